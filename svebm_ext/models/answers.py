"""What a model says of texts: symbols, their groups and labels, as methods of `SVEBM`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.data.texts import Texts
from svebm_ext.errors import ConfigError
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.symbols import (
    Classification,
    GroupedClassification,
    classify,
    groups_of,
    symbol_probabilities,
)
from svebm_ext.prior.groups import SymbolGroups, log_groups_of

if TYPE_CHECKING:
    from svebm_ext.models.latent_variable import LatentVariableModel


class Answering(nn.Module):
    """Answers of a model; it has `networks` and `label_names`."""

    networks: LatentVariableModel
    label_names: list[str]

    @property
    def groups(self) -> SymbolGroups | None:
        """Groups of the symbols, where they are in two levels."""
        latent = self.networks.latent
        return latent.groups if isinstance(latent, EnergyLatent) else None

    @groups.setter
    def groups(self, groups: SymbolGroups | None) -> None:
        latent = self.networks.energy_latent
        if groups is not None and len(groups.of) != latent.n_categories:
            raise ConfigError(f"groups: of {len(groups.of)} symbols given, expected {latent.n_categories}")
        latent.groups = groups

    def symbol_probabilities(self, texts: Texts) -> Float[Tensor, "B K"]:
        """p(y | z = mu(x)) of each text (Eq. 3), times p(y | words of x)^tau where words guided the symbols."""
        return symbol_probabilities(self, texts)  # type: ignore[arg-type]

    def group_probabilities(self, texts: Texts) -> Float[Tensor, "B K1"]:
        """p(c|x) of each text: the sum of `symbol_probabilities` over the symbols of each group.

        Raises:
            ConfigError: a model whose symbols have no groups, or that has none.
        """
        groups = groups_of(self)  # type: ignore[arg-type]
        return log_groups_of(torch.log(self.symbol_probabilities(texts)), groups).exp()

    def label_of(self, symbol: int) -> str | None:
        """Label that a symbol stands for, where the model learnt from labels."""
        return self.label_names[symbol] if symbol < len(self.label_names) else None

    def classify(self, texts: Texts) -> list[Classification | GroupedClassification]:
        """Most probable symbol of each text, with its group, and its label where the model learnt from labels."""
        return classify(self, texts)  # type: ignore[arg-type]
