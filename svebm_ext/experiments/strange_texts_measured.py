"""How well strange texts are told, by the parts of the novelty and by distances to the training texts."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from svebm_ext.data.sentence_encoders import PACKAGED, find_encoder
from svebm_ext.files import JsonObject
from svebm_ext.models.answering import Answerer
from svebm_ext.models.novelty import NOVELTY_SAMPLES, estimate_of
from svebm_ext.models.svebm import SVEBM
from svebm_ext.training.guides.bags import Array

#: Nearest training texts, and texts that are compared with them at a time.
NEAREST, AT_A_TIME = 5, 512
#: The pretrained encoder.
ENCODER = "all-MiniLM-L6-v2"

#: Numbers of texts: high where one is strange.
Score = Callable[[Sequence[str]], np.ndarray]


def areas(
    model: SVEBM, training: Sequence[str], known: Sequence[str], strange: Mapping[str, Sequence[str]]
) -> JsonObject:
    """Areas under the ROC curve by set and score.

    Args:
        model: trained on `training`.
        training: texts that distances are to.
        known: test texts of the same kind.
        strange: texts of other kinds, by set.
    """
    from sklearn.metrics import roc_auc_score

    scores: list[tuple[str, Score]] = [("tfidf", by_tfidf(training))]
    if _has_encoder():
        scores.append(("encoder", by_encoder(training)))
    own = _of_model(model, known) | {name: score(known) for name, score in scores}
    results: JsonObject = {}
    for name, texts in strange.items():
        others = _of_model(model, texts) | {key: score(texts) for key, score in scores}
        is_strange = np.repeat([0, 1], [len(known), len(texts)])
        told = {key: float(roc_auc_score(is_strange, np.concatenate((own[key], others[key])))) for key in own}
        results[name] = {"encoder": None} | told | {"known_texts": len(known), "strange_texts": len(texts)}
    return results


def _of_model(model: SVEBM, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Novelty, -log p(x) by as many samples, and how unlikely the likeliest answer is."""
    estimate = estimate_of(model, {})
    answers, _ = Answerer(model, novelty=estimate)(list(texts))
    nll = model.nll(texts, n_samples=NOVELTY_SAMPLES, log_z=estimate.log_z, proposal_scale=estimate.proposal_scale)
    return {
        "novelty": np.array([answer.novelty for answer in answers]),
        "nll": nll.double().cpu().numpy(),
        "doubt": 1.0 - np.array([answer.probability for answer in answers]),
    }


def by_tfidf(training: Sequence[str]) -> Score:
    """Mean cosine distance to the nearest training texts by TF-IDF."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, min_df=min(2, len(training)))
    known = words.fit_transform(training)
    return lambda texts: mean_distances(words.transform(texts), known)


def _has_encoder() -> bool:
    """Whether the encoder and what reads it are installed."""
    return all(importlib.util.find_spec(name) is not None for name in (PACKAGED[ENCODER][0], "sentence_transformers"))


def by_encoder(training: Sequence[str]) -> Score:
    """Mean cosine distance to the nearest training texts by vectors of the encoder."""
    encode, _ = find_encoder(ENCODER).open()

    def vectors(texts: Sequence[str]) -> np.ndarray:
        parts = [encode(texts[first : first + AT_A_TIME]) for first in range(0, len(texts), AT_A_TIME)]
        stacked = np.concatenate(parts)
        return stacked / np.linalg.norm(stacked, axis=1, keepdims=True).clip(1e-9)

    known = vectors(training)
    return lambda texts: mean_distances(vectors(texts), known)


def mean_distances(rows: Array, known: Array) -> np.ndarray:
    """1 - x . t over the NEAREST of some unit vectors t, mean [N], of each unit vector x; either may be sparse."""
    n, parts = min(NEAREST, known.shape[0]), []
    for first in range(0, rows.shape[0], AT_A_TIME):
        likeness = rows[first : first + AT_A_TIME] @ known.T
        likeness = likeness.toarray() if hasattr(likeness, "toarray") else likeness
        parts.append(1.0 - np.partition(likeness, -n, axis=1)[:, -n:].mean(1))
    return np.concatenate(parts)
