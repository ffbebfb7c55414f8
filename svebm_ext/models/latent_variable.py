"""Encoder, latent family and decoder, put together. Every system of the paper is one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.config import ModelConfig, is_bag_of_words
from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import N_SPECIAL, DocumentBatch
from svebm_ext.data.synthetic import PointBatch
from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent
from svebm_ext.latents.categorical import CategoricalLatent
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.latents.deterministic import DeterministicLatent
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import ConditionalPosterior, GaussianLatent
from svebm_ext.latents.mixture import MixtureLatent
from svebm_ext.latents.none import NoLatent
from svebm_ext.latents.semi import SemiLatent
from svebm_ext.models.decoders import PointDecoder, RecurrentDecoder
from svebm_ext.models.document import DocumentDecoder, DocumentEncoder
from svebm_ext.models.encoders import FeatureEncoder, NoEncoder, PointEncoder, RecurrentEncoder
from svebm_ext.models.features import WordFeatures
from svebm_ext.models.guide import SymbolGuide
from svebm_ext.randomness import Draw

Batch = SentenceBatch | DocumentBatch | PointBatch


@dataclass
class Forward:
    """What one pass over a batch gives: [B] nll = -log p(x|z) in nats, the posterior, and its sample z [B, D].

    `labelled_mean` is mu(x) of a labelled batch that counts in the cross-entropy alone.
    """

    nll: Tensor
    posterior: Any
    z: Tensor
    labelled_mean: Tensor | None = None

    @property
    def context(self) -> Tensor | None:
        """c [B, C], where the prior depends on one."""
        return self.posterior.context if isinstance(self.posterior, ConditionalPosterior) else None


class LatentVariableModel(nn.Module):
    """q(z|x), p(z) and p(x|z) (Eq. 1).

    Args:
        encoder: batch to features [B, F].
        latent: latent family.
        decoder: has `nll(batch, z, draw) -> [B]`.
        bag_of_words: linear map of z to scores of words, for the auxiliary loss, or None.
        guide: what words alone say about the symbol, or None.
    """

    # Networks of sentences or of points; both kinds have the methods that are called here.
    encoder: Any
    latent: Latent
    decoder: Any

    def __init__(
        self,
        encoder: nn.Module,
        latent: Latent,
        decoder: nn.Module,
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
        z = self.latent.sample(posterior, draw, batch.indices)
        return Forward(self.nll(batch, z, masks), posterior, z)

    def nll(self, batch: Batch, z: Float[Tensor, "B D"], draw: Draw | None = None) -> Float[Tensor, "B"]:
        """-log p(x|z) in nats; dropout only where a draw is given."""
        return self.decoder.nll(batch, z, draw, **self.symbol_argument(z))

    def symbol_argument(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """p(y|z) for a decoder that has a table of classes, by the name of its argument; nothing for others."""
        if getattr(self.decoder, "class_words", None) is None:
            return {}
        return {"symbol": cast(EnergyLatent, self.latent).prior.log_posterior_symbol(z).exp()}

    def bag_of_words_nll(self, batch: SentenceBatch, z: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
        """Sum over a sentence's tokens of -log p(token|z), each token predicted from z alone, in nats."""
        if self.bag_of_words is None:
            raise ConfigError("bag_of_words: the model was built without this auxiliary loss")
        scores = self.bag_of_words(z).log_softmax(-1)
        tokens = -scores[batch.rows, batch.targets]
        return torch.zeros_like(tokens[: z.shape[0]]).index_add(0, batch.rows, tokens)

    def decode(self, batch: Batch, z: Float[Tensor, "B D"], **options: Any) -> list[list[int]]:
        """Sentences of each z, given what else the examples of the batch are conditioned on: here nothing.

        Options are those of the decoder.
        """
        return self.decoder.decode(z, **options)

    def sample_prior(self, batch: Batch, *, seed: int, symbol: int | None = None) -> Float[Tensor, "B D"]:
        """A z of the prior for each example of the batch, or of p(z|y = symbol)."""
        return self.latent.sample_prior(len(batch.indices), seed=seed, symbol=symbol)

    def encode(self, batch: Batch, draw: Draw | None = None) -> Float[Tensor, "B D"]:
        """mu(x); with the encoder's dropout only where a draw is given."""
        return self.latent.mean(self.latent.posterior(self.encoder(batch, draw)))

    def answers(self, batch: Batch, posterior: Any) -> Float[Tensor, "B n K"] | None:
        """log probabilities of the symbols of x: p(y | z = mu(x)), times p(y | words of x)^tau where there is a guide.

        Without a guide these are `Latent.log_categories`; None where the family has no symbols.
        """
        found = self.latent.log_categories(posterior)
        if found is None or self.guide is None:
            return found
        by_words = self.guide(batch, self.encoder.words)
        return (found + self.guide.power * by_words[:, None]).log_softmax(-1)

    def prior_parameters(self) -> list[nn.Parameter]:
        """Parameters of the learnt prior (alpha); empty where the prior is fixed."""
        return list(self.latent.prior.parameters()) if isinstance(self.latent, EnergyLatent) else []

    def network_parameters(self) -> list[nn.Parameter]:
        """All other parameters (beta of the generator, phi of the encoder)."""
        prior = {id(p) for p in self.prior_parameters()}
        return [p for p in self.parameters() if id(p) not in prior]


def build_latent(config: ModelConfig, feature_dim: int, step_size: float) -> Latent:
    """Latent family by name."""
    if config.latent == "gaussian":
        return GaussianLatent(feature_dim, config.latent_dim)
    if config.latent == "deterministic":
        return DeterministicLatent(feature_dim, config.latent_dim)
    if config.latent == "none":
        return NoLatent()
    if config.latent == "categorical":
        return CategoricalLatent(feature_dim, config.n_variables, config.n_classes, config.gumbel_temperature)
    if config.latent == "semi":
        return SemiLatent(
            feature_dim, config.latent_dim, config.n_variables, config.n_classes, config.gumbel_temperature
        )
    if config.latent == "mixture":
        return MixtureLatent(feature_dim, config.n_variables, config.n_classes, config.latent_dim)
    options: dict[str, Any] = {
        "hidden": tuple(config.prior_hidden),
        "activation": config.prior_activation,
        "step_size": step_size,
    }
    sizes = (feature_dim, config.latent_dim, config.n_categories)
    latent: EnergyLatent
    if config.kind == "dialogs":
        latent = ConditionalEnergyLatent(*sizes, context_dim=config.context_dim, **options)
    else:
        latent = EnergyLatent(*sizes, **options)
    with torch.no_grad():
        latent.prior.layers()[-1][0].mul_(config.prior_scale)
    return latent


def build_networks(
    config: ModelConfig, vocabulary_size: int, step_size: float = 0.125, *, bag_of_words: bool = False
) -> LatentVariableModel:
    """Freshly initialised networks.

    Args:
        config: sizes and family.
        vocabulary_size: V; unused for points.
        step_size: s, kept by the energy family for sampling its prior.
        bag_of_words: with the auxiliary map of z to words.
    """
    if config.kind == "points":
        points = PointEncoder(2, config.points_hidden)
        latent = build_latent(config, points.feature_dim, step_size)
        decoder: nn.Module = PointDecoder(config.latent_dim, 2, config.points_hidden, config.points_std)
        return LatentVariableModel(points, latent, decoder)
    if is_bag_of_words(config):
        return _build_documents(config, vocabulary_size - N_SPECIAL, step_size)
    encoder: NoEncoder | RecurrentEncoder | FeatureEncoder = NoEncoder()
    guide: SymbolGuide | None = None
    if config.latent != "none":
        encoder = RecurrentEncoder(
            vocabulary_size, config.embedding_dim, config.encoder_hidden, config.cell, config.encoder_pooling
        )
        if config.sentence_features == "words":
            words = WordFeatures(vocabulary_size)
            hidden = encoder.feature_dim
            encoder = FeatureEncoder(encoder, words, hidden=hidden, dropout=config.feature_dropout)
            guide = SymbolGuide(vocabulary_size, config.n_categories) if config.latent == "energy" else None
    model: LatentVariableModel
    if config.kind == "dialogs":
        from svebm_ext.models.dialog import build_dialogs

        model = build_dialogs(
            config, cast(RecurrentEncoder, encoder), vocabulary_size, step_size, bag_of_words=bag_of_words
        )
    else:
        latent = build_latent(config, encoder.feature_dim, step_size)
        recurrent = build_decoder(config, vocabulary_size, latent.latent_dim)
        bag = nn.Linear(latent.latent_dim, vocabulary_size) if bag_of_words else None
        model = LatentVariableModel(encoder, latent, recurrent, bag, guide)
    if config.init_range > 0.0:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not name.startswith("latent.prior."):
                    parameter.uniform_(-config.init_range, config.init_range)
    return model


def build_decoder(config: ModelConfig, vocabulary_size: int, input_dim: int) -> RecurrentDecoder:
    """Generator of sentences that receives a vector of `input_dim` numbers at every step."""
    return RecurrentDecoder(
        vocabulary_size,
        input_dim,
        config.embedding_dim,
        config.decoder_hidden,
        cell=config.cell,
        tied=config.tied,
        embedding_dropout=config.embedding_dropout,
        output_dropout=config.output_dropout,
        word_dropout=config.word_dropout,
    )


def _build_documents(config: ModelConfig, n_words: int, step_size: float) -> LatentVariableModel:
    """Networks over bags of words; their layers keep their own initialisation."""
    bags = DocumentEncoder(
        n_words,
        config.document_hidden,
        dropout=config.document_dropout,
        word_dropout=config.word_dropout,
        counts=config.document_counts,
    )
    latent = build_latent(config, bags.feature_dim, step_size)
    decoder = DocumentDecoder(
        n_words,
        latent.latent_dim,
        config.document_hidden,
        config.document_layers,
        batch_norm=config.batch_norm,
        n_classes=config.n_categories if config.class_words else 0,
    )
    return LatentVariableModel(bags, latent, decoder)
