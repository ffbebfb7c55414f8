"""Which symbol a text has, by a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.texts import Texts, checked_texts
from svebm_ext.errors import ConfigError
from svebm_ext.latents.energy import EnergyLatent

if TYPE_CHECKING:
    from svebm_ext.models.svebm import SVEBM


class Classification(NamedTuple):
    """Most probable symbol of a text, its label where the model learnt from labels, and its probability."""

    symbol: int
    label: str | None
    probability: float


@torch.no_grad()
def symbol_probabilities(model: SVEBM, texts: Texts) -> Float[Tensor, "B K"]:
    """As `SVEBM.symbol_probabilities`.

    Raises:
        ConfigError: a latent family without symbols.
        DataError: something that is no text.
    """
    networks, latent = model.networks, model.networks.latent
    if not isinstance(latent, EnergyLatent):
        family = model.config.model.latent
        raise ConfigError(f"symbol_probabilities: this model ({family} latent family) has no symbols")
    listed = checked_texts(texts)
    probabilities = torch.empty(len(listed), latent.n_categories, dtype=model.dtype, device=model.device)
    for batch in model.batches(listed):
        answers = networks.answers(batch, networks.posterior(batch))
        assert answers is not None
        probabilities[batch.indices] = answers[:, 0].to(probabilities.dtype).exp()
    return probabilities


def classify(model: SVEBM, texts: Texts) -> list[Classification]:
    """As `SVEBM.classify`; errors as those of `symbol_probabilities`."""
    listed = checked_texts(texts)
    if not listed:
        return []
    probability, symbol = model.symbol_probabilities(listed).max(-1)
    names = model.label_names
    return [
        Classification(s, names[s] if s < len(names) else None, p)
        for s, p in zip(symbol.tolist(), probability.tolist(), strict=True)
    ]
