"""Encoder, latent family and decoder, put together. Every system of the paper is one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.synthetic import PointBatch
from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent, Posterior
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.encoders import FeatureEncoder
from svebm_ext.models.features import WordFeatures
from svebm_ext.models.guide import SymbolGuide
from svebm_ext.prior.symbols import log_symbols_of
from svebm_ext.randomness import Draw

if TYPE_CHECKING:  # any modules with these methods will do
    from svebm_ext.models.decoders import Decoder
    from svebm_ext.models.encoders import Encoder

Batch = SentenceBatch | DocumentBatch | PointBatch


@dataclass
class Forward:
    """What one pass over a batch gives: [B] nll = -log p(x|z) in nats, the posterior, and its sample z [B, D].

    `labelled_mean` is mu(x) of a labelled batch that counts in the cross-entropy alone.
    """

    nll: Tensor
    posterior: Posterior
    z: Tensor
    labelled_mean: Tensor | None = None

    @property
    def context(self) -> Tensor | None:
        """c [B, C], where the prior depends on one."""
        return self.posterior.context

    def detached(self) -> Forward:
        """The same without gradient of encoder and decoder."""
        labelled = None if self.labelled_mean is None else self.labelled_mean.detach()
        return Forward(self.nll.detach(), self.posterior.detached(), self.z.detach(), labelled)


class LatentVariableModel(nn.Module):
    """q(z|x), p(z) and p(x|z) (Eq. 1).

    Args:
        encoder: batch to features [B, F].
        latent: latent family.
        decoder: has `nll(batch, z, draw) -> [B]`.
        bag_of_words: linear map of z to scores of words, for the auxiliary loss, or None.
        guide: what words alone say about the symbol, or None.
    """

    encoder: Encoder
    latent: Latent
    decoder: Decoder

    def __init__(
        self,
        encoder: Encoder,
        latent: Latent,
        decoder: Decoder,
        bag_of_words: nn.Linear | None = None,
        guide: SymbolGuide | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.latent = latent
        self.decoder = decoder
        self.bag_of_words = bag_of_words
        self.guide = guide

    def forward(self, batch: Batch, draw: Draw, *, dropout: bool = True) -> Forward:
        """Sample z from q(z|x) and compute -log p(x|z).

        Args:
            batch: B examples.
            draw: random numbers of this step.
            dropout: apply dropout (training).
        """
        masks = draw if dropout else None
        posterior = self.latent.posterior(self.encoder(batch, masks))
        z = posterior.rsample(draw, batch.indices)
        return Forward(self.nll(batch, z, masks), posterior, z)

    def nll(self, batch: Batch, z: Float[Tensor, "B D"], draw: Draw | None = None) -> Float[Tensor, "B"]:
        """-log p(x|z) in nats; dropout only where a draw is given."""
        return self.decoder.nll(batch, z, draw, **self.symbol_argument(z))

    def symbol_argument(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """p(y|z) for a decoder that has a table of classes, by the name of its argument; nothing for others."""
        if getattr(self.decoder, "class_words", None) is None:
            return {}
        return {"symbol": log_symbols_of(self.energy_latent.logits(z)).exp()}

    def bag_of_words_nll(self, batch: SentenceBatch, z: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        """Sum over a sentence's tokens of -log p(token|z), each token predicted from z alone, in nats."""
        if self.bag_of_words is None:
            raise ConfigError("bag_of_words: the model was built without this auxiliary loss")
        scores = self.bag_of_words(z).log_softmax(-1)
        tokens = -scores[batch.rows, batch.targets]
        return torch.zeros_like(tokens[: z.shape[0]]).index_add(0, batch.rows, tokens)

    def decode(self, batch: Batch, z: Float[Tensor, "B D"], **options: object) -> list[list[int]]:
        """Sentences of each z, given what else the examples of the batch are conditioned on: here nothing.

        Options are those of the decoder.
        """
        return self.decoder.decode(z, **options)

    def sample_prior(self, batch: Batch, *, seed: int, symbol: int | None = None) -> Float[Tensor, "B D"]:
        """A z of the prior for each example of the batch, or of p(z|y = symbol)."""
        return self.latent.sample_prior(len(batch.indices), seed=seed, symbol=symbol)

    def encode(self, batch: Batch, draw: Draw | None = None) -> Float[Tensor, "B D"]:
        """mu(x); with the encoder's dropout only where a draw is given."""
        return self.posterior(batch, draw).mean

    def posterior(self, batch: Batch, draw: Draw | None = None) -> Posterior:
        """q(z|x); with the encoder's dropout only where a draw is given."""
        return self.latent.posterior(self.encoder(batch, draw))

    def answers(self, batch: Batch, posterior: Posterior, *, calibrated: bool = True) -> Float[Tensor, "B n K"] | None:
        """log probabilities of the symbols of x: p(y | z = mu(x)), times p(y | words of x)^tau where there is a guide.

        Without a guide these are `Posterior.log_categories`; None where the family has no symbols.

        Args:
            batch: B examples.
            posterior: q(z|x) of them.
            calibrated: divide the logarithms by the guide's temperature before they are normalised.
        """
        by_vector = posterior.log_categories
        if by_vector is None or self.guide is None:
            return by_vector
        by_words = self.guide(batch, self.word_features)
        both = by_vector + self.guide.power * by_words[:, None]
        return (both / self.guide.log_temperature.exp() if calibrated else both).log_softmax(-1)

    @property
    def energy_latent(self) -> EnergyLatent:
        """The latent family, where it is one whose prior is learnt."""
        assert isinstance(self.latent, EnergyLatent)
        return self.latent

    @property
    def word_features(self) -> WordFeatures:
        """h(x) of the encoder, where it is one that has it."""
        assert isinstance(self.encoder, FeatureEncoder)
        return self.encoder.words

    def prior_parameters(self) -> list[nn.Parameter]:
        """Parameters of the learnt prior (alpha); empty where the prior is fixed."""
        return list(self.latent.prior.parameters()) if isinstance(self.latent, EnergyLatent) else []

    def network_parameters(self) -> list[nn.Parameter]:
        """All other parameters (beta of the generator, phi of the encoder)."""
        prior = {id(p) for p in self.prior_parameters()}
        return [p for p in self.parameters() if id(p) not in prior]
