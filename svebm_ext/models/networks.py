"""Freshly initialised networks of a configuration: encoder, latent family and decoder of its kind."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import nn

from svebm_ext.config import (
    BagModel,
    Config,
    DialogModel,
    FeatureModel,
    ModelConfig,
    PointModel,
    RecurrentModel,
    SentenceModel,
    SequenceModel,
    options_of,
)
from svebm_ext.data.documents import N_SPECIAL
from svebm_ext.latents.base import Latent
from svebm_ext.latents.categorical import CategoricalLatent
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.latents.deterministic import DeterministicLatent
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianLatent
from svebm_ext.latents.mixture import MixtureLatent
from svebm_ext.latents.none import NoLatent
from svebm_ext.latents.semi import SemiLatent
from svebm_ext.models.decoders import PointDecoder, RecurrentDecoder
from svebm_ext.models.dialog import ContextEncoder, DialogEncoder, DialogNetworks
from svebm_ext.models.document import DocumentDecoder, DocumentEncoder
from svebm_ext.models.encoders import Encoder, FeatureEncoder, NoEncoder, PointEncoder, RecurrentEncoder
from svebm_ext.models.features import WordFeatures
from svebm_ext.models.guide import SymbolGuide
from svebm_ext.models.latent_variable import LatentVariableModel


def networks_of(config: Config, vocabulary_size: int) -> LatentVariableModel:
    """Freshly initialised networks of a run; V is unused for points."""
    bag_of_words = config.objective.bag_of_words > 0
    return build_networks(config.model, vocabulary_size, config.chains.step_size, bag_of_words=bag_of_words)


def build_networks(
    config: ModelConfig, vocabulary_size: int, step_size: float = 0.125, *, bag_of_words: bool = False
) -> LatentVariableModel:
    """Freshly initialised networks.

    Args:
        config: kind, sizes and family.
        vocabulary_size: V; unused for points.
        step_size: s, kept by the energy family for sampling its prior.
        bag_of_words: with the auxiliary map of z to words, where an example is a sequence of words.
    """
    return NETWORKS[options_of(config).name](config, vocabulary_size, step_size, bag_of_words)


def build_latent(config: ModelConfig, feature_dim: int, step_size: float, context_dim: int = 0) -> Latent:
    """Latent family by name.

    Args:
        config: family and sizes.
        feature_dim: size of the encoder's features.
        step_size: s of the energy family.
        context_dim: C, where an energy-based prior depends on a context, the last C of the features; 0: on none.
    """
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
    sizes = (feature_dim, config.latent_dim, config.n_categories)
    make = functools.partial(ConditionalEnergyLatent, context_dim=context_dim) if context_dim > 0 else EnergyLatent
    latent = make(*sizes, hidden=tuple(config.prior_hidden), activation=config.prior_activation, step_size=step_size)
    with torch.no_grad():
        latent.prior.layers()[-1][0].mul_(config.prior_scale)
    return latent


def build_decoder(config: RecurrentModel, vocabulary_size: int, input_dim: int) -> RecurrentDecoder:
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


def _build_points(config: ModelConfig, vocabulary_size: int, step_size: float, bag: bool) -> LatentVariableModel:
    """Perceptrons over points of the plane."""
    points = PointModel.of(config)
    encoder = PointEncoder(2, points.points_hidden)
    latent = build_latent(points, encoder.feature_dim, step_size)
    decoder = PointDecoder(points.latent_dim, 2, points.points_hidden, points.points_std)
    return LatentVariableModel(encoder, latent, decoder)


def _build_bags(config: ModelConfig, vocabulary_size: int, step_size: float, bag: bool) -> LatentVariableModel:
    """Networks over bags of words; their layers keep their own initialisation."""
    bags = BagModel.of(config)
    n_words = vocabulary_size - N_SPECIAL
    counted = DocumentEncoder(
        n_words,
        bags.document_hidden,
        dropout=bags.document_dropout,
        word_dropout=bags.word_dropout,
        counts=bags.document_counts,
    )
    encoder, guide = _with_features(counted, counted.feature_dim, bags, vocabulary_size)
    latent = build_latent(bags, encoder.feature_dim, step_size)
    decoder = DocumentDecoder(
        n_words,
        latent.latent_dim,
        bags.document_hidden,
        bags.document_layers,
        batch_norm=bags.batch_norm,
        n_classes=bags.n_categories if bags.class_words else 0,
    )
    return LatentVariableModel(encoder, latent, decoder, None, guide)


def _with_features(
    encoder: Encoder, hidden: int, config: FeatureModel, vocabulary_size: int
) -> tuple[Encoder, SymbolGuide | None]:
    """An encoder with the features of the words beside its own, where a model has them, and the guide of the symbols.

    Args:
        encoder: of the words.
        hidden: size of the layer between h(x) and the posterior.
        config: of the model.
        vocabulary_size: V.
    """
    if not config.has_word_features:
        return encoder, None
    words = WordFeatures(vocabulary_size, config.sentence_encoder_dim)
    with_words = FeatureEncoder(encoder, words, hidden=hidden, dropout=config.feature_dropout)
    if config.latent != "energy":
        return with_words, None
    return with_words, SymbolGuide(vocabulary_size, config.n_categories, words.dim)


def _recurrent_encoder(config: RecurrentModel, vocabulary_size: int) -> RecurrentEncoder:
    """Encoder of words in their order."""
    return RecurrentEncoder(
        vocabulary_size, config.embedding_dim, config.encoder_hidden, config.cell, config.encoder_pooling
    )


def _build_sentences(config: ModelConfig, vocabulary_size: int, step_size: float, bag: bool) -> LatentVariableModel:
    """Recurrent networks over sentences."""
    sentences = SentenceModel.of(config)
    if sentences.latent == "none":
        return _with_generator(NoEncoder(), sentences, vocabulary_size, step_size, bag)
    recurrent = _recurrent_encoder(sentences, vocabulary_size)
    encoder, guide = _with_features(recurrent, recurrent.feature_dim, sentences, vocabulary_size)
    return _with_generator(encoder, sentences, vocabulary_size, step_size, bag, guide)


def _build_sequences(config: ModelConfig, vocabulary_size: int, step_size: float, bag: bool) -> LatentVariableModel:
    """The networks of sentences over documents."""
    sequences = SequenceModel.of(config)
    encoder = NoEncoder() if sequences.latent == "none" else _recurrent_encoder(sequences, vocabulary_size)
    return _with_generator(encoder, sequences, vocabulary_size, step_size, bag)


def _with_generator(
    encoder: Encoder,
    config: RecurrentModel,
    vocabulary_size: int,
    step_size: float,
    bag: bool,
    guide: SymbolGuide | None = None,
) -> LatentVariableModel:
    """The networks of an encoder of words in their order."""
    latent = build_latent(config, encoder.feature_dim, step_size)
    decoder = build_decoder(config, vocabulary_size, latent.latent_dim)
    words = nn.Linear(latent.latent_dim, vocabulary_size) if bag else None
    return _start_uniformly(LatentVariableModel(encoder, latent, decoder, words, guide), config.init_range)


def _build_dialogs(config: ModelConfig, vocabulary_size: int, step_size: float, bag: bool) -> LatentVariableModel:
    """Recurrent networks over responses and their contexts."""
    dialogs = DialogModel.of(config)
    response = _recurrent_encoder(dialogs, vocabulary_size)
    context = ContextEncoder(vocabulary_size, dialogs.context_hidden, dialogs.context_dim, dialogs.cell)
    encoder = DialogEncoder(response, context, response.feature_dim, dialogs.context_dim)
    latent = build_latent(dialogs, encoder.feature_dim, step_size, dialogs.context_dim)
    decoder = build_decoder(dialogs, vocabulary_size, latent.latent_dim + dialogs.context_map)
    context_map = nn.Linear(dialogs.context_dim, dialogs.context_map)
    words = nn.Linear(latent.latent_dim, vocabulary_size) if bag else None
    return _start_uniformly(DialogNetworks(encoder, latent, decoder, context_map, words), dialogs.init_range)


def _start_uniformly(model: LatentVariableModel, limit: float) -> LatentVariableModel:
    """The networks with all parameters but the prior's uniform in (-limit, limit); 0 leaves them as they are."""
    if limit > 0.0:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not name.startswith("latent.prior."):
                    parameter.uniform_(-limit, limit)
    return model


#: Networks by the name of the kind: of options, V, s, and whether there is the auxiliary map of z to words.
NETWORKS: dict[str, Callable[[ModelConfig, int, float, bool], LatentVariableModel]] = {
    "sentences": _build_sentences,
    "dialogs": _build_dialogs,
    "documents-bow": _build_bags,
    "documents-gru": _build_sequences,
    "points": _build_points,
}
