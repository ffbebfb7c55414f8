"""Gathers what a model has learnt: symbols and their sentences, a map, interpolations, learning curves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.config import asked_iterations
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.evaluation.documents import top_words
from svebm_ext.exploration.content import (
    Example,
    Exploration,
    Interpolation,
    LabelCount,
    LabelField,
    MapView,
    Pair,
    Sentence,
    Settings,
    Step,
    Symbol,
)
from svebm_ext.exploration.measured import Say, curves_of, measures_of
from svebm_ext.exploration.projection import Projection, discriminants, principal_components
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.measures.words import characterising_words
from svebm_ext.models.svebm import SVEBM
from svebm_ext.provenance import source_version

#: Sentences that are shown for a symbol, in each list.
EXAMPLES = 8
#: Values of a label that are told apart for a symbol.
LABEL_VALUES = 6
#: Points of an interpolation, ends included.
STEPS = 7
#: Samples of the prior on the map.
PRIOR_SAMPLES = 500
#: Characters after which a text is cut; documents are longer than anyone reads in a list.
LONGEST = 300


@dataclass(frozen=True)
class Encoded:
    """B sentences as the model sees them: words, labels, mu(x), f(mu(x)), and the probabilities [B, K] of its answers.

    The last two are None for a model without symbols.
    """

    words: list[list[str]]
    texts: list[str]
    labels: dict[str, list[str]]
    z: Tensor
    logits: Tensor | None
    answers: Tensor | None

    @property
    def symbol(self) -> Tensor:
        """Most probable symbol of each sentence, [B]; -1 for a model without symbols."""
        if self.answers is None:
            return torch.full((len(self.words),), -1)
        return self.answers.argmax(-1)


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
    encoded = encode(model, getattr(corpus, settings.split), settings)
    timer.done(f"encoded {len(encoded.words):,} of {len(getattr(corpus, settings.split)):,} {settings.split} sentences")
    reasons: dict[str, str] = {}
    symbols = symbols_of(model, encoded, settings, reasons)
    timer.done(f"read {len(symbols)} symbols")
    views = map_views(model, encoded, settings, reasons)
    timer.done("drew the map")
    walks = interpolations(model, encoded, settings, reasons)
    timer.done(f"walked between {len(walks)} pairs of sentences")
    sentences, fields = table_of(encoded)
    measures, warnings = measures_of(run, reasons)
    series = curves_of(run, reasons, say)
    return Exploration(
        title=model.config.preset if model.config.preset == corpus.name else f"{model.config.preset} on {corpus.name}",
        about=facts(model, corpus, encoded, settings),
        measures=measures,
        warnings=warnings,
        sentences=sentences,
        fields=fields,
        symbols=symbols,
        views=views,
        interpolations=walks,
        series=series,
        reasons=reasons,
    )


def check(model: SVEBM, settings: Settings) -> None:
    """Raise ConfigError where there is nothing to look at, or a setting is out of range."""
    if model.networks.latent.latent_dim == 0:
        raise ConfigError("explore: a language model without latent variables has no space to look at")
    for name in ("max_sentences", "samples", "interpolations"):
        value = getattr(settings, name)
        if value < 0:
            raise ConfigError(f"{name.replace('_', '-')}: {value} given, expected 0 or more")


@torch.no_grad()
def encode(model: SVEBM, split: Split, settings: Settings) -> Encoded:
    """Posterior means of the split's sentences, or of as many as the settings allow, chosen by the seed.

    Raises:
        DataError: no sentence.
    """
    rows = torch.tensor([i for i, words in enumerate(split.sentences) if words], dtype=torch.long)
    if len(rows) == 0:
        raise DataError(f"split: the {settings.split} split has no sentence to look at")
    if 0 < settings.max_sentences < len(rows):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(settings.seed))
        rows = rows[order[: settings.max_sentences].sort().values]
    chosen = rows.tolist()
    words = [split.sentences[i] for i in chosen]
    z = model.encode(words).float()
    latent = model.networks.latent
    return Encoded(
        words,
        [cut(model.written(sentence)) for sentence in words],
        {name: [values[i] for i in chosen] for name, values in split.labels.items() if any(values)},
        z,
        latent.prior.logits(z).double().cpu() if isinstance(latent, EnergyLatent) else None,
        model.symbol_probabilities(words).double().cpu() if isinstance(latent, EnergyLatent) else None,
    )


def cut(text: str) -> str:
    """A text of at most `LONGEST` characters."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rsplit(" ", 1)[0] + " …"


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
    drawn = generated(model, n_symbols, settings, reasons)
    typical_words: list[list[str]] = [[] for _ in range(n_symbols)]
    if not model.kind.is_ordered:
        typical_words = top_words(model.networks, model.vocabulary, seed=settings.seed)
    symbols = []
    for k in range(n_symbols):
        rows = (encoded.symbol == k).nonzero()[:, 0]
        names = model.label_names
        symbols.append(
            Symbol(
                number=k,
                name=names[k] if k < len(names) else "",
                n_sentences=len(rows),
                share=len(rows) / len(encoded.words),
                certainty=float(log_odds[rows, k].sigmoid().mean()) if len(rows) else 0.0,
                words=words[k],
                generator_words=typical_words[k],
                labels={name: count_labels(values, rows) for name, values in encoded.labels.items()},
                certain=best_examples(encoded, log_odds[:, k], rows, log_odds[:, k]),
                typical=best_examples(encoded, log_density[:, k], rows, log_odds[:, k]),
                generated=drawn[k],
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
        texts.setdefault(encoded.texts[row], float(log_odds[row]))
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
        reasons["interpolations"] = "no pair of sentences was asked for, or found"
        return []
    weights = torch.linspace(0, 1, STEPS, device=encoded.z.device)[:, None]
    z = torch.cat([(1 - weights) * encoded.z[i] + weights * encoded.z[j] for i, j in chosen])
    texts = list(map(model.to_read, model.decode_words(z)))
    symbols, probability = [-1] * len(texts), [0.0] * len(texts)
    latent = model.networks.latent
    if isinstance(latent, EnergyLatent):
        best = latent.prior.logits(z).softmax(-1).max(-1)
        symbols, probability = best.indices.tolist(), best.values.tolist()
    steps = [Step(*step) for step in zip(texts, symbols, probability, strict=True)]
    return [
        Interpolation(encoded.texts[i], encoded.texts[j], steps[n * STEPS : (n + 1) * STEPS])
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


# Sentences, facts -----------------------------------------------------------------------------------------------


def table_of(encoded: Encoded) -> tuple[list[Sentence], list[LabelField]]:
    """Sentences with symbol, probability and labels, and what the labels' numbers mean."""
    fields = [
        LabelField(name, [value for value, _ in Counter(value for value in values if value).most_common()])
        for name, values in encoded.labels.items()
    ]
    numbers = [{value: i for i, value in enumerate(one.values)} for one in fields]
    symbol = encoded.symbol
    probability = torch.zeros(len(symbol))
    if encoded.answers is not None:
        probability = encoded.answers.max(-1).values
    labels: Iterable[tuple[int, ...]] = [()] * len(symbol)
    if fields:
        columns = [
            [ids.get(value, -1) for value in encoded.labels[f.name]] for f, ids in zip(fields, numbers, strict=True)
        ]
        labels = zip(*columns, strict=True)
    rows = zip(encoded.texts, symbol.tolist(), probability.tolist(), labels, strict=True)
    return [Sentence(text, k, round(p, 4), list(own)) for text, k, p, own in rows], fields


def facts(model: SVEBM, corpus: Corpus, encoded: Encoded, settings: Settings) -> list[tuple[str, str]]:
    """What the run was, and what this page was made from."""
    config = model.config
    sizes = f"{config.model.latent}, D = {model.networks.latent.latent_dim}"
    if encoded.logits is not None:
        sizes += f", K = {encoded.logits.shape[1]}"
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return [
        ("preset", config.preset),
        ("corpus", corpus.name),
        ("latent family", sizes),
        ("vocabulary", f"{len(model.vocabulary):,} words"),
        ("parameters", f"{n_parameters:,}"),
        ("training", f"{asked_iterations(config)} of {config.training.batch_size}, seed {config.seed}"),
        ("looked at", f"{len(encoded.words):,} of {len(getattr(corpus, settings.split)):,} sentences, "
                      f"{settings.split} split, seed {settings.seed}"),
        ("page made", f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, by {source_version()}"),
    ]  # fmt: skip


class Timer:
    """Tells how long each part took."""

    def __init__(self, say: Say) -> None:
        self._say, self._begin = say, time.monotonic()

    def done(self, what: str) -> None:
        """A part is finished."""
        self._say(f"{what} in {time.monotonic() - self._begin:.1f} s")
        self._begin = time.monotonic()
