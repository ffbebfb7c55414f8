"""Which symbol a text has, by a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.data.texts import Texts
from svebm_ext.errors import ConfigError
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.latent_variable import Batch
from svebm_ext.models.reading import Chunk, chunks_of
from svebm_ext.prior.groups import SymbolGroups

if TYPE_CHECKING:
    from svebm_ext.models.svebm import SVEBM


class Classification(NamedTuple):
    """Most probable symbol of a text, its label where the model learnt from labels, and its probability."""

    symbol: int
    label: str | None
    probability: float


class GroupedClassification(NamedTuple):
    """The same where symbols have groups: with the symbol's group, and the probability of that."""

    symbol: int
    label: str | None
    probability: float
    group: int
    group_probability: float


def of_own_group(
    probabilities: Float[Tensor, "B K"], symbols: Int[Tensor, "B"], groups: SymbolGroups
) -> Float[Tensor, "B"]:
    """p(c|x) of the group of a symbol of each text."""
    of = torch.tensor(groups.of, device=probabilities.device)
    same = of == of[symbols][:, None]
    return probabilities.masked_fill(~same, 0.0).sum(-1).clamp_max(1.0)


@torch.no_grad()
def probabilities_of(model: SVEBM, chunk: Chunk, *, calibrated: bool = True) -> Float[Tensor, "B K"]:
    """p(y|x) of the texts of a chunk, as `symbol_probabilities`."""
    networks, dtype = model.networks, model.dtype

    def of_batch(batch: Batch) -> Tensor:
        answers = networks.answers(batch, networks.posterior(batch), calibrated=calibrated)
        assert answers is not None
        return answers[:, 0].to(dtype).exp()

    return chunk.in_order(model.device, of_batch)


def check_symbols(model: SVEBM) -> int:
    """K, the number of symbols.

    Raises:
        ConfigError: a latent family without symbols.
    """
    latent = model.networks.latent
    if not isinstance(latent, EnergyLatent):
        family = model.config.model.latent
        raise ConfigError(f"symbol_probabilities: this model ({family} latent family) has no symbols")
    return latent.n_categories


def groups_of(model: SVEBM) -> SymbolGroups:
    """Groups of the symbols.

    Raises:
        ConfigError: they have none, or there are no symbols.
    """
    check_symbols(model)
    if model.groups is None:
        raise ConfigError("groups: the symbols of this model have none; svebm group RUN finds them")
    return model.groups


def symbol_probabilities(model: SVEBM, texts: Texts, *, calibrated: bool = True) -> Float[Tensor, "B K"]:
    """As `SVEBM.symbol_probabilities`.

    Args:
        model: with symbols.
        texts: B texts.
        calibrated: with the temperature that makes them as certain as they are right; False: as they were learnt.

    Raises:
        ConfigError: a latent family without symbols.
        DataError: something that is no text.
    """
    none = torch.empty(0, check_symbols(model), dtype=model.dtype, device=model.device)
    parts = [probabilities_of(model, chunk, calibrated=calibrated) for chunk in chunks_of(model, texts)]
    return torch.cat(parts) if parts else none


def classify(model: SVEBM, texts: Texts) -> list[Classification | GroupedClassification]:
    """As `SVEBM.classify`; errors as those of `symbol_probabilities`."""
    check_symbols(model)
    answers: list[Classification | GroupedClassification] = []
    for chunk in chunks_of(model, texts):
        part, groups = probabilities_of(model, chunk), model.groups
        probability, symbol = part.max(-1)
        told = map(Classification, symbol.tolist(), map(model.label_of, symbol.tolist()), probability.tolist())
        if groups is None:
            answers += told
            continue
        own = of_own_group(part, symbol, groups).tolist()
        answers += [GroupedClassification(*one, groups.of[one.symbol], p) for one, p in zip(told, own, strict=True)]
    return answers
