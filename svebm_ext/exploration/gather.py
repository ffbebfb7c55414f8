"""Gathers what a model has learnt: symbols and their sentences, a map, interpolations, learning curves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.corpus import Corpus
from svebm_ext.errors import ConfigError
from svebm_ext.evaluation.documents import top_words
from svebm_ext.exploration.content import (
    Example,
    Exploration,
    Group,
    Interpolation,
    LabelCount,
    MapView,
    Pair,
    Settings,
    Step,
    Symbol,
)
from svebm_ext.exploration.encoded import Encoded, cut, encode
from svebm_ext.exploration.facts import facts, hash_of, shown_of, title_of
from svebm_ext.exploration.labelling import table_of, worth_a_label
from svebm_ext.exploration.measured import Say, curves_of, measures_of
from svebm_ext.exploration.projection import Projection, discriminants, principal_components
from svebm_ext.exploration.topics import certain_texts, topic_words
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.measures.words import characterising_words
from svebm_ext.models.grouping import find_groups
from svebm_ext.models.svebm import SVEBM
from svebm_ext.prior.groups import SymbolGroups

#: Sentences that are shown for a symbol, in each list.
EXAMPLES = 8
#: Values of a label that are told apart for a symbol.
LABEL_VALUES = 6
#: Points of an interpolation, ends included.
STEPS = 7
#: Samples of the prior on the map.
PRIOR_SAMPLES = 500


def gather(run: Path, model: SVEBM, corpus: Corpus, settings: Settings, say: Say = lambda text: None) -> Exploration:
    """Look at a trained model through the sentences of a split.

    Args:
        run: its folder; metrics.json and metrics.jsonl are read where it has them.
        model: trained.
        corpus: of the run.
        settings: what is looked at.
        say: receives a line about each finished part.

    Raises:
        ConfigError: a setting out of range, or a model without a latent space.
        DataError: a split without sentences.
        ModelFolderError: a damaged metrics.json.
    """
    check(model, settings)
    timer = Timer(say)
    groups = groups_shown(model, corpus)
    encoded = encode(model, corpus, settings, groups)
    timer.done(f"encoded {shown_of(encoded.sizes)}")
    reasons: dict[str, str] = {}
    symbols = symbols_of(model, encoded, settings, reasons)
    timer.done(f"read {len(symbols)} symbols")
    views = map_views(model, encoded, settings, reasons)
    timer.done("drew the map")
    walks = interpolations(model, encoded, settings, reasons)
    timer.done(f"walked between {len(walks)} pairs of sentences")
    sentences, fields = table_of(encoded)
    label_next = worth_a_label(encoded)
    timer.done("looked for what is uncertain, and what is unlike the rest")
    measures, warnings = measures_of(run, reasons)
    series = curves_of(run, reasons, say)
    return Exploration(
        title=title_of(model, corpus),
        about=facts(model, corpus, encoded.sizes, settings),
        measures=measures,
        warnings=warnings,
        sentences=sentences,
        fields=fields,
        symbols=symbols,
        views=views,
        interpolations=walks,
        series=series,
        reasons=reasons,
        run=hash_of(model),
        sizes=encoded.sizes,
        label_next=label_next,
        groups=groups_of_symbols(encoded),
        groups_kept=model.groups is not None,
    )


def groups_shown(model: SVEBM, corpus: Corpus) -> SymbolGroups | None:
    """Groups of the symbols: those of the model; where it has none and symbols are many and no classes, new ones."""
    if model.groups is not None or model.label_names or not isinstance(model.networks.latent, EnergyLatent):
        return model.groups
    is_single = not isinstance(model.networks.latent, ConditionalEnergyLatent)
    return find_groups(model, corpus.train) if is_single else None


def groups_of_symbols(encoded: Encoded) -> list[Group]:
    """What the page shows of each group; none where symbols are in one level."""
    if encoded.groups is None:
        return []
    n = encoded.groups.n_groups
    words, texts = topic_words(encoded, encoded.group, n), certain_texts(encoded, encoded.group, encoded.of_group, n)
    return [Group(number, words[number], texts[number]) for number in range(n)]


def check(model: SVEBM, settings: Settings) -> None:
    """Raise ConfigError where there is nothing to look at, or a setting is out of range."""
    if model.networks.latent.latent_dim == 0:
        raise ConfigError("explore: a language model without latent variables has no space to look at")
    for name in ("max_sentences", "samples", "interpolations"):
        value = getattr(settings, name)
        if value < 0:
            raise ConfigError(f"{name.replace('_', '-')}: {value} given, expected 0 or more")


# Symbols --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def symbols_of(model: SVEBM, encoded: Encoded, settings: Settings, reasons: dict[str, str]) -> list[Symbol]:
    """Every symbol, the one with most sentences first; none, with the reason, for a model without symbols."""
    if encoded.logits is None:
        reasons["symbols"] = f"the {model.config.model.latent} latent family has no symbol that could be chosen"
        return []
    n_symbols = encoded.logits.shape[1]
    log_odds = log_odds_of(encoded.logits)
    # f_y(z) + log p0(z) = log p(z|y) + a constant of y: what `generate --symbol` samples from.
    log_density = encoded.logits - 0.5 * encoded.z.double().cpu().square().sum(-1, keepdim=True)
    known = [[model.shown(word) for word in words if word in model.vocabulary] for words in encoded.words]
    words = characterising_words(known, encoded.symbol, n_symbols)
    names = topic_words(encoded, encoded.symbol, n_symbols)
    texts = certain_texts(encoded, encoded.symbol, encoded.probability, n_symbols)
    drawn = generated(model, n_symbols, settings, reasons)
    typical_words: list[list[str]] = [[] for _ in range(n_symbols)]
    if not model.kind.is_ordered:
        typical_words = top_words(model.networks, model.vocabulary, seed=settings.seed)
    symbols = []
    for k in range(n_symbols):
        rows = (encoded.symbol == k).nonzero()[:, 0]
        symbols.append(
            Symbol(
                number=k,
                name=model.label_names[k] if k < len(model.label_names) else "",
                n_sentences=len(rows),
                share=len(rows) / len(encoded.words),
                certainty=float(log_odds[rows, k].sigmoid().mean()) if len(rows) else 0.0,
                words=words[k],
                generator_words=typical_words[k],
                labels={name: count_labels(values, rows) for name, values in encoded.labels.items()},
                certain=best_examples(encoded, log_odds[:, k], rows, log_odds[:, k]),
                typical=best_examples(encoded, log_density[:, k], rows, log_odds[:, k]),
                generated=drawn[k],
                topic_words=names[k],
                texts=texts[k],
                group=-1 if encoded.groups is None else encoded.groups.of[k],
                address="" if model.groups is None else model.groups.address(k),
            )
        )
    return sorted(symbols, key=lambda symbol: (-symbol.n_sentences, symbol.number))


def log_odds_of(logits: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
    """log p(y|z) / (1 - p(y|z)) of each symbol: it tells apart what is 1.0000 as a probability; infinite for K = 1."""
    own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = [logits.masked_fill(row, -torch.inf).logsumexp(-1) for row in own]
    return logits - torch.stack(others, dim=1)


def best_examples(encoded: Encoded, score: Tensor, rows: Tensor, log_odds: Tensor) -> list[Example]:
    """The `EXAMPLES` different texts of the rows with the largest score, largest first."""
    texts: dict[str, float] = {}
    for row in rows[score[rows].argsort(descending=True, stable=True)].tolist():
        texts.setdefault(cut(encoded.texts[row]), float(log_odds[row]))
        if len(texts) == EXAMPLES:
            break
    return [Example(text, odds) for text, odds in texts.items()]


def count_labels(values: Sequence[str], rows: Tensor) -> list[LabelCount]:
    """The most frequent values of a label among the rows, and the rest together; unlabelled sentences left out."""
    counts = Counter(values[row] for row in rows.tolist() if values[row]).most_common()
    most = [LabelCount(value, count) for value, count in counts[:LABEL_VALUES]]
    rest = sum(count for _, count in counts[LABEL_VALUES:])
    return [*most, LabelCount(f"{len(counts) - LABEL_VALUES} others", rest)] if rest else most


def generated(model: SVEBM, n_symbols: int, settings: Settings, reasons: dict[str, str]) -> list[list[tuple[str, int]]]:
    """Greedily decoded sentences of each symbol, as `SVEBM.generate` gives them; equal ones counted."""
    if not model.kind.is_ordered:
        reasons["generated"] = "a bag of words has no order, so that no sentence can be generated"
    if "generated" in reasons or settings.samples == 0:
        return [[] for _ in range(n_symbols)]
    n, seed = settings.samples, settings.seed
    return [
        Counter(map(model.to_read, model.generate_words(n, symbol=k, seed=seed))).most_common()
        for k in range(n_symbols)
    ]


# Map and interpolations -----------------------------------------------------------------------------------------


@torch.no_grad()
def map_views(model: SVEBM, encoded: Encoded, settings: Settings, reasons: dict[str, str]) -> list[MapView]:
    """Principal components of the posterior means, and the directions that separate the symbols."""
    prior = encoded.z[:0]
    if model.networks.latent.has_prior:
        prior = model.networks.latent.sample_prior(PRIOR_SAMPLES, seed=settings.seed)
    else:
        reasons["prior"] = "an autoencoder has no prior"

    def view(name: str, what: str, projection: Projection) -> MapView:
        first, second = projection.shares
        note = f"{first:.0%} and {second:.0%} of {what}"
        return MapView(name, note, pairs(projection(encoded.z)), pairs(projection(prior)))

    views = [view("principal components of mu(x)", "the variance", principal_components(encoded.z))]
    separating = None if encoded.logits is None else discriminants(encoded.z, encoded.symbol)
    if separating is not None:
        what = "the variance between symbols over that within them"
        views.append(view("directions that separate the symbols", what, separating))
    return views


def pairs(points: Float[Tensor, "B 2"]) -> list[Pair]:
    """Coordinates with as many digits as a screen can show."""
    return [(float(f"{x:.4g}"), float(f"{y:.4g}")) for x, y in points.tolist()]


@torch.no_grad()
def interpolations(model: SVEBM, encoded: Encoded, settings: Settings, reasons: dict[str, str]) -> list[Interpolation]:
    """Sentences decoded between pairs that the seed chooses, of different symbols where there are some."""
    if not model.kind.is_ordered:
        reasons["interpolations"] = "a bag of words has no order, so that no sentence can be decoded"
        return []
    chosen = choose_pairs(encoded, settings)
    if not chosen:
        reasons["interpolations"] = "no pair of sentences was asked for, or there is none"
        return []
    weights = torch.linspace(0, 1, STEPS, device=encoded.z.device)[:, None]
    z = torch.cat([(1 - weights) * encoded.z[i] + weights * encoded.z[j] for i, j in chosen])
    texts = list(map(model.to_read, model.decode_words(z)))
    symbols, probability = [-1] * len(texts), [0.0] * len(texts)
    latent = model.networks.latent
    if isinstance(latent, EnergyLatent):
        best = latent.logits(z).softmax(-1).max(-1)
        symbols, probability = best.indices.tolist(), best.values.tolist()
    steps = [Step(*step) for step in zip(texts, symbols, probability, strict=True)]
    return [
        Interpolation(cut(encoded.texts[i]), cut(encoded.texts[j]), steps[n * STEPS : (n + 1) * STEPS])
        for n, (i, j) in enumerate(chosen)
    ]


def choose_pairs(encoded: Encoded, settings: Settings) -> list[tuple[int, int]]:
    """Rows of different sentences, no row twice; of different symbols as long as there are such."""
    order = torch.randperm(len(encoded.words), generator=torch.Generator().manual_seed(settings.seed)).tolist()
    symbol = encoded.symbol.tolist()
    chosen: list[tuple[int, int]] = []
    while order and len(chosen) < settings.interpolations:
        first = order.pop(0)
        different = [row for row in order if encoded.texts[row] != encoded.texts[first]]
        if not different:
            continue
        second = next((row for row in different if symbol[row] != symbol[first]), different[0])
        order.remove(second)
        chosen.append((first, second))
    return chosen


class Timer:
    """Tells how long each part took."""

    def __init__(self, say: Say) -> None:
        self._say, self._begin = say, time.monotonic()

    def done(self, what: str) -> None:
        """A part is finished."""
        self._say(f"{what} in {time.monotonic() - self._begin:.1f} s")
        self._begin = time.monotonic()
