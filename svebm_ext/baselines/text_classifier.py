"""Averages of word vectors with a hidden layer: the supervised rows of Table 8, and self-training on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.baselines.fitting import Curve, Fit, Labelled, fit, predict, share_right
from svebm_ext.data.documents import DocumentBatch, DocumentSplit
from svebm_ext.errors import ConfigError
from svebm_ext.ops.philox import Stream
from svebm_ext.randomness import TOKENS_PER_ROW, Draw

#: Standard deviation of random word vectors at the start.
VECTOR_STD = 0.1


class AverageClassifier(nn.Module):
    """Mean of a document's word vectors, further features beside it -> h (ReLU) -> K.

    Args:
        n_words: V.
        dim: size of word vectors.
        hidden: h.
        n_classes: K.
        vectors: [V, dim] initial word vectors, which are trained on; random where None.
        n_features: F, further features of a document that stand beside the mean.
        dropout: probability on the hidden layer.
        word_dropout: probability that a word of a document is not seen.

    Raises:
        ConfigError: vectors of another shape.

    Source: Iyyer et al., Deep Unordered Composition Rivals Syntactic Methods for Text Classification, ACL 2015.
    """

    def __init__(
        self,
        n_words: int,
        dim: int,
        hidden: int,
        n_classes: int,
        *,
        vectors: Float[Tensor, "V dim"] | None = None,
        n_features: int = 0,
        dropout: float = 0.3,
        word_dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(n_words, dim, mode="sum")
        if vectors is None:
            nn.init.normal_(self.words.weight, std=VECTOR_STD)
        elif vectors.shape != (n_words, dim):
            raise ConfigError(f"word vectors are of shape {list(vectors.shape)}; expected [{n_words}, {dim}]")
        else:
            with torch.no_grad():
                self.words.weight.copy_(vectors)
        self.hidden = nn.Linear(dim + n_features, hidden)
        self.output = nn.Linear(hidden, n_classes)
        self.dropout, self.word_dropout = dropout, word_dropout

    def forward(
        self, batch: DocumentBatch, features: Float[Tensor, "B F"] | None = None, draw: Draw | None = None
    ) -> Float[Tensor, "B K"]:
        """Scores of the classes; dropout only where a draw is given. A document without words has a mean of 0."""
        ids = batch.indices * TOKENS_PER_ROW
        weights = batch.counts / batch.totals.clamp_min(1.0)[batch.rows]
        if draw is not None and self.word_dropout > 0.0:
            entries = ids[batch.rows] + torch.arange(batch.words.numel(), device=ids.device) - batch.offsets[batch.rows]
            seen = draw.uniform(entries, 1, Stream.WORD)[:, 0] >= self.word_dropout
            weights = weights * seen.to(weights.dtype) / (1.0 - self.word_dropout)
        mean = self.words(batch.words, batch.offsets[:-1], per_sample_weights=weights)
        hidden = F.relu(self.hidden(mean if features is None else torch.cat((mean, features), -1)))
        if draw is not None:
            hidden = draw.dropout(hidden, self.dropout, ids, stream=Stream.DROPOUT)
        return self.output(hidden)


def train_classifier(
    model: AverageClassifier,
    documents: DocumentSplit,
    valid: DocumentSplit,
    settings: Fit,
    device: torch.device,
    features: tuple[Float[Tensor, "B F"], Float[Tensor, "N F"]] | None = None,
) -> Curve:
    """Cross-entropy of the labelled documents; the parameters of the best validation accuracy are kept.

    Args:
        model: in place, on the device.
        documents: labels -1 where there is none.
        valid: documents that choose the iteration.
        settings: of the training.
        device: where it runs.
        features: of documents and of validation documents, on the device.
    """
    labelled = Labelled(documents, settings, device)
    trained, checked = features or (None, None)

    def loss(step: int) -> Tensor:
        batch = labelled.batch(step)
        given = None if trained is None else trained[batch.indices]
        return F.cross_entropy(model(batch, given, Draw(settings.seed, step)), batch.labels)

    def logits(batch: DocumentBatch) -> Tensor:
        return model(batch, None if checked is None else checked[batch.indices])

    return fit(model, loss, settings, lambda: share_right(logits, valid, device))


def choose_confident(
    log_probabilities: Float[Tensor, "B K"], threshold: float, n_each: int
) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"]]:
    """Rows to take their own prediction as label: of each class the surest, equally many, none less sure than asked.

    Equally many, since otherwise the class that is predicted first crowds out the others round by round.

    Args:
        log_probabilities: log p(y|x).
        threshold: least p(y|x) of a row, from 0 to 1.
        n_each: most rows of each class.

    Returns:
        Rows and their classes. Empty where some class has no row that is sure enough.
    """
    confidence, predicted = log_probabilities.exp().max(-1)
    order = confidence.argsort(descending=True, stable=True)
    sure = order[confidence[order] >= threshold]
    of_class = [sure[predicted[sure] == k] for k in range(log_probabilities.shape[1])]
    n = min(n_each, *map(len, of_class))
    rows = torch.cat([own[:n] for own in of_class])
    return rows, predicted[rows]


def self_train(
    make: Callable[[], AverageClassifier],
    documents: DocumentSplit,
    valid: DocumentSplit,
    settings: Fit,
    device: torch.device,
    *,
    n_rounds: int = 5,
    threshold: float = 0.9,
    final_share: float = 0.9,
) -> tuple[AverageClassifier, Curve]:
    """Train, take confident predictions on unlabelled documents as labels, train anew with them, round by round.

    Round r of R takes at most a share r / R * `final_share` of the unlabelled documents; labels of earlier rounds are
    given anew. The round with the best validation accuracy is kept.

    Args:
        make: a freshly initialised classifier, on the device.
        documents: labels -1 where there is none.
        valid: documents that choose iteration and round.
        settings: of each round's training.
        device: where it runs.
        n_rounds: R, after the supervised one.
        threshold: least p(y|x) of a label that is taken.
        final_share: see above.

    Returns:
        The classifier, and the validation accuracies over the iterations of all rounds.

    Source: Yarowsky, Unsupervised Word Sense Disambiguation Rivaling Supervised Methods, ACL 1995.
    """
    model = make()
    curve = train_classifier(model, documents, valid, settings, device)
    kept, best = model, max(value for _, value in curve)
    others = (documents.labels < 0).nonzero()[:, 0]
    for number in range(1, n_rounds + 1) if len(others) else ():
        log_probabilities = predict(model, documents, device)[others]
        n_each = int(len(others) * final_share * number / n_rounds / log_probabilities.shape[1])
        rows, classes = choose_confident(log_probabilities, threshold, n_each)
        labels = documents.labels.index_copy(0, others[rows], classes)
        model = make()
        learnt = train_classifier(model, replace(documents, labels=labels), valid, settings, device)
        curve += [(number * settings.n_steps + step, value) for step, value in learnt]
        if max(value for _, value in learnt) > best:
            kept, best = model, max(value for _, value in learnt)
    return kept, curve
