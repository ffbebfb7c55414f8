"""Few groups of many symbols, by what the symbols' texts have in common: for any model whose symbols are known.

Each symbol stands at the mean of its texts' features: of what their words (and a frozen encoder, where there is one)
say, and of a model without such features of mu(x). The two symbols are joined, again and again, whose union adds least
to the scatter of texts about their means: Ward's method, each symbol with the weight of its texts.

Source: Ward, Hierarchical Grouping to Optimize an Objective Function, JASA 58, 1963.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.corpus import Split
from svebm_ext.data.token_lists import lengths_of
from svebm_ext.errors import ConfigError
from svebm_ext.kinds import EncodedTexts
from svebm_ext.models.encoders import FeatureEncoder
from svebm_ext.models.reading import Chunk
from svebm_ext.models.symbols import check_symbols, probabilities_of
from svebm_ext.prior.groups import SymbolGroups

if TYPE_CHECKING:
    from svebm_ext.models.svebm import SVEBM

#: Texts that are looked at, at most, evenly spread, and some at a time.
MOST_TEXTS, AT_A_TIME = 10_000, 2048
#: Symbols from which on a model has groups without being asked for a number of them.
LEAST_SYMBOLS = 10
#: The number of groups is looked for from the square root of the number of symbols to so many times it: fewer leave one
#: group that has half of the texts.
RANGE = 1.5


def find_groups(model: SVEBM, split: Split, n_groups: int = 0) -> SymbolGroups | None:
    """Groups of a model's symbols.

    Args:
        model: trained.
        split: texts, those of the training.
        n_groups: K1; 0: as many as `number_of_groups` finds.

    Returns:
        None where the symbols are too few, or there is one group.

    Raises:
        ConfigError: a model without symbols, or with fewer than groups are asked for.
    """
    n_symbols = check_symbols(model)
    check_number(n_groups, n_symbols)
    if n_groups == 1 or (n_groups == 0 and n_symbols < LEAST_SYMBOLS):
        return None
    weights, means = profiles(model, split)
    return joined(weights, means, n_groups)


def check_number(n_groups: int, n_symbols: int) -> None:
    """Refuse more groups than symbols (ConfigError)."""
    if n_groups > n_symbols:
        raise ConfigError(f"n-groups: {n_groups} given, expected no more groups than the {n_symbols} symbols")


@torch.no_grad()
def profiles(model: SVEBM, split: Split) -> tuple[Float[Tensor, "K"], Float[Tensor, "K F"]]:
    """Weight of each symbol, the sum of p(y|x) as it was learnt, and the mean of features by these weights."""
    filled = np.flatnonzero(lengths_of(split.sentences))
    rows = filled[:: max(1, math.ceil(len(filled) / MOST_TEXTS))].tolist()
    weights, sums = torch.zeros(()).double(), torch.zeros(()).double()
    square, total, n = torch.zeros(()).double(), torch.zeros(()).double(), 0
    for first in range(0, len(rows), AT_A_TIME):
        chunk = Chunk(0, model.encode_split(_part(split, rows[first : first + AT_A_TIME])), 0)
        answers = probabilities_of(model, chunk, calibrated=False).double().cpu()
        features = _features(model, chunk.texts) if _has_features(model) else None
        if features is None:
            features = chunk.in_order(model.device, model.networks.encode).double().cpu()
        weights, sums = weights + answers.sum(0), sums + answers.T @ features
        square, total, n = square + features.square().sum(0), total + features.sum(0), n + len(features)
    if n == 0:
        raise ConfigError("groups: no text to find them by")
    means = sums / weights[:, None].clamp_min(1e-9)
    if not _has_features(model):  # dimensions of z differ in scale
        deviation = (square / n - (total / n).square()).clamp_min(1e-12).sqrt()
        means = means / deviation
    return weights, means


def _part(split: Split, rows: list[int]) -> Split:
    vectors = None if split.vectors is None else split.vectors[rows]
    return Split([split.sentences[row] for row in rows], vectors=vectors)


def _has_features(model: SVEBM) -> bool:
    encoder = model.networks.encoder
    return isinstance(encoder, FeatureEncoder) and bool(encoder.words.idf.any())


def _features(model: SVEBM, texts: EncodedTexts) -> Float[Tensor, "B F"]:
    """h(x) of some texts."""
    return model.networks.word_features.of_split(texts).double().cpu()


def joined(weights: Float[Tensor, "K"], means: Float[Tensor, "K F"], n_groups: int = 0) -> SymbolGroups | None:
    """Groups by Ward's method, the one with the largest weight first.

    Args:
        weights: of the symbols.
        means: of their texts' features.
        n_groups: K1; 0: see `number_of_groups`.

    Returns:
        None for one group.
    """
    losses, pairs = _joins(weights.double(), means.double())
    n_groups = n_groups or number_of_groups(losses)
    if n_groups < 2:
        return None
    goes_to = list(range(len(weights)))
    for stays, goes in pairs[: len(weights) - n_groups]:
        goes_to = [stays if one == goes else one for one in goes_to]
    sizes = torch.zeros(len(weights)).double().index_add(0, torch.tensor(goes_to), weights.double())
    order = sorted(set(goes_to), key=lambda group: (-float(sizes[group]), group))
    return SymbolGroups(tuple(order.index(group) for group in goes_to))


def number_for(weights: Float[Tensor, "K"], means: Float[Tensor, "K F"]) -> int:
    """The number of groups that Ward's method gives symbols of these weights and means of features; see `joined`."""
    return number_of_groups(_joins(weights.double(), means.double())[0])


def number_of_groups(losses: Sequence[float]) -> int:
    """The number of groups below which joining begins to cost: where a further join loses most, in proportion to the
    one before it.

    Args:
        losses: scatter that each join adds, from the first of K-1 joins to the last.
    """
    n_symbols = len(losses) + 1
    least, most = round(math.sqrt(n_symbols)), math.floor(math.sqrt(n_symbols) * RANGE)
    candidates = range(max(2, least), min(most, n_symbols - 2) + 1)
    # losses[K - n] joins n groups to n - 1, losses[K - n - 1] joined n + 1 to n.
    steps = {n: losses[n_symbols - n] / max(losses[n_symbols - n - 1], 1e-12) for n in candidates}
    return max(steps, key=lambda n: (steps[n], -n)) if steps else 1


def _joins(weights: Float[Tensor, "K"], means: Float[Tensor, "K F"]) -> tuple[list[float], list[tuple[int, int]]]:
    """Scatter that each join adds, and which group stays and which goes."""
    means, weights = means.clone(), weights.clamp_min(1e-12).clone()
    n = len(weights)
    product = weights[:, None] * weights / (weights[:, None] + weights)
    loss = product * torch.cdist(means, means).square()
    loss.masked_fill_(torch.ones(n, n, dtype=torch.bool).tril(), torch.inf)
    alive = torch.ones(n, dtype=torch.bool)
    losses, pairs = [], []
    for _ in range(n - 1):
        stays, goes = divmod(int(loss.argmin()), n)
        losses.append(float(loss[stays, goes]))
        pairs.append((stays, goes))
        both = weights[stays] + weights[goes]
        means[stays] = (weights[stays] * means[stays] + weights[goes] * means[goes]) / both
        weights[stays], alive[goes] = both, False
        loss[goes], loss[:, goes] = torch.inf, torch.inf
        others = alive.nonzero()[:, 0]
        others = others[others != stays]
        added = (means[others] - means[stays]).square().sum(-1) * weights[others] * both / (weights[others] + both)
        loss[others.clamp_max(stays), others.clamp_min(stays)] = added
    return losses, pairs
