"""Options of the networks: one frozen dataclass for each kind of example, so that none has the options of another.

What all kinds share is in `ModelConfig`. Documents are two kinds, one for each encoder: as sequences they have the
networks of sentences (`RecurrentModel`), as bags of words their own.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias, TypeVar

from svebm_ext.errors import ConfigError, alternatives

KindName = Literal["sentences", "dialogs", "documents", "points"]
EncoderName = Literal["bow", "gru"]
LatentName = Literal["energy", "gaussian", "deterministic", "categorical", "semi", "mixture", "none"]
KIND_NAMES: tuple[str, ...] = typing.get_args(KindName)
Networks = TypeVar("Networks", bound="ModelConfig")
#: Options that say which of the classes a model is of.
CHOOSING = ("kind", "encoder")


@dataclass(frozen=True)
class ModelConfig(ABC):
    """The networks."""

    kind: KindName = "sentences"
    """Recurrent networks over sentences, over turns of dialogs given the turns before them, networks over whole
    documents, or perceptrons over points of the plane."""
    latent: LatentName = "energy"
    """Latent family: energy-based prior (SVEBM), N(0, I) prior (VAE), a point (AE), discrete variables (DVAE), a
    vector and discrete variables (semi-VAE), mixtures of Gaussians (GM-VAE), or no latent variable (RNN-LM)."""
    latent_dim: int = 40
    """D, size of the continuous vector z."""
    n_categories: int = 20
    """K, number of symbols y of the energy family; 0 (or auto, on the command line): as many as the label has classes
    where it is learnt, else the number on which two halves of your own text agree best."""
    n_groups: int = 1
    """K1, coarse groups of these symbols, each with its fine symbols. 1: one level; 0 (or auto, on the command line):
    as many as the symbols fall into, where there are ten symbols or more."""
    n_variables: int = 20
    """Discrete variables, or mixtures, of the families categorical, semi and mixture."""
    n_classes: int = 5
    """Categories of each discrete variable, or components of each mixture."""
    gumbel_temperature: float = 1.0
    """Temperature of the Gumbel-softmax of the families categorical and semi."""
    prior_hidden: tuple[int, ...] = (200, 200)
    """Hidden layer sizes of the prior's network f."""
    prior_activation: Literal["gelu", "leaky_relu", "silu", "tanh"] = "gelu"
    """Activation of the prior's network."""
    prior_scale: float = 1.0
    """Factor on the initial output weights of the prior's network."""

    def __post_init__(self) -> None:
        """Refuse the kind or the encoder of another class (ConfigError); `of_kind` goes from one to another."""
        for option in CHOOSING:
            given, own = getattr(self, option, None), getattr(type(self), option, None)
            if given != own:
                raise ConfigError(f"model.{option}: {given!r} given for {type(self).__name__}, expected {own!r}")

    @property
    @abstractmethod
    def name(self) -> str:
        """Key of the parts of the kind, in one table each; documents have a name for each encoder."""

    @property
    def has_word_features(self) -> bool:
        """Whether an example has features that are learnt from what its words say."""
        return False

    @property
    def pretrained_encoder(self) -> str | None:
        """Folder or name of a frozen encoder of its texts."""
        return None

    @property
    def pretrained_dim(self) -> int:
        """Numbers of that encoder's vectors."""
        return 0

    @classmethod
    def title(cls) -> str:
        """The kind in words, for a message."""
        encoder = getattr(cls, "encoder", None)
        return cls.kind if encoder is None else f"{cls.kind} (encoder {encoder})"

    @classmethod
    def of(cls: type[Networks], model: ModelConfig) -> Networks:
        """A model as one of this class, for what has to do with that kind alone.

        Raises:
            ConfigError: it is of another kind.
        """
        if not isinstance(model, cls):
            raise ConfigError(f"model.kind: {model.title()} given, expected {cls.title()}")
        return model


@dataclass(frozen=True)
class RecurrentModel(ModelConfig):
    """Recurrent networks over words in their order: sentences, turns of dialogs, documents as sequences."""

    cell: Literal["gru", "lstm"] = "gru"
    """Recurrent cell of encoder and decoder."""
    embedding_dim: int = 512
    """Size of word embeddings."""
    encoder_hidden: int = 512
    """Hidden size of each direction of the encoder."""
    encoder_pooling: Literal["final", "mean"] = "final"
    """Features of a sentence: final states of both directions (the paper), or their mean over the sentence."""
    decoder_hidden: int = 512
    """H, hidden size of the decoder."""
    embedding_dropout: float = 0.3
    """Dropout probability on the decoder's input embeddings."""
    output_dropout: float = 0.3
    """Dropout probability on the decoder's outputs."""
    word_dropout: float = 0.0
    """Probability that a decoder input word is replaced by the unknown word."""
    tied: bool = True
    """Share the softmax weights with the decoder's embedding (needs embedding-dim equal to decoder-hidden)."""
    init_range: float = 0.1
    """Parameters of encoder and decoder start uniform in (-r, r); 0 keeps the layers' own initialisation."""


@dataclass(frozen=True)
class FeatureModel(ModelConfig):
    """Options of the kinds that have features of a text beside those of their encoder."""

    sentence_features: Literal["none", "words"] = "none"
    """Features of a text beside those of the encoder: none (the paper), or what its words say by themselves, from
    statistics of the training text (latent semantic analysis and word vectors)."""
    sentence_encoder: str | None = None
    """Frozen pretrained encoder whose vectors stand beside these features: a folder (sentence-transformers, Hugging
    Face, model2vec), or the name of a model on this disk, such as all-MiniLM-L6-v2. Nothing is downloaded."""
    sentence_encoder_dim: int = 0
    """E, numbers of its vectors; 0: as many as it gives."""
    feature_dropout: float = 0.3
    """Dropout probability on these features in the encoder."""

    @property
    def has_word_features(self) -> bool:
        """Where `sentence_features` asks for them."""
        return self.sentence_features == "words"

    @property
    def pretrained_encoder(self) -> str | None:
        """Where `sentence_encoder` names one."""
        return self.sentence_encoder

    @property
    def pretrained_dim(self) -> int:
        """As `sentence_encoder_dim` says."""
        return self.sentence_encoder_dim


@dataclass(frozen=True)
class SentenceModel(FeatureModel, RecurrentModel):
    """Sentences, each by itself."""

    @property
    def name(self) -> str:
        """Of sentences."""
        return "sentences"


@dataclass(frozen=True)
class DialogModel(RecurrentModel):
    """Turns of dialogs, given the turns before them."""

    kind: KindName = "dialogs"
    context_turns: int = 5
    """Dialogs: turns that a context has at most, the last ones before the response."""
    context_hidden: int = 256
    """Dialogs: size of the word embeddings and of each direction of the network over the words of a context's turn."""
    context_dim: int = 512
    """Dialogs: size of the context c, the state of the network over a context's turns."""
    context_map: int = 128
    """Dialogs: size of the linear map of c that the decoder receives at every step, beside z."""

    @property
    def name(self) -> str:
        """Of dialogs."""
        return "dialogs"


@dataclass(frozen=True)
class BagModel(FeatureModel):
    """Documents as bags of words."""

    kind: KindName = "documents"
    encoder: EncoderName = "bow"
    """Documents: bags of words with a multinomial likelihood, or sequences, with the networks of sentences."""
    word_dropout: float = 0.0
    """Probability that the encoder does not see a word of the document."""
    document_hidden: int = 500
    """Width of encoder and generator of bags of words."""
    document_layers: int = 3
    """Hidden layers of the generator of bags of words; 0: word scores are linear in z."""
    document_words: int = 0
    """Words that a document counts as, at most: the counts of a longer one are scaled down to so many, since it would
    outweigh all others. 0: as many as it has."""
    document_dropout: float = 0.5
    """Dropout probability on the hidden layers of the encoder of bags of words."""
    document_counts: Literal["counts", "log"] = "counts"
    """What the encoder of bags of words sees of a word: how often it occurs, or log(1 + that)."""
    batch_norm: bool = True
    """Batch normalisation, with a fixed scale, of the hidden layers of the generator of bags of words."""
    class_words: bool = False
    """The generator of bags of words adds p(y|z) times a table of classes and words to its scores."""
    class_words_start: Literal["zero", "naive_bayes"] = "zero"
    """Where that table starts: at 0, or at the class's log-ratios of naive Bayes with EM on the same labels, which the
    first features of the encoder then see as well."""

    @property
    def name(self) -> str:
        """Of documents as bags of words."""
        return "documents-bow"


@dataclass(frozen=True)
class SequenceModel(RecurrentModel):
    """Documents as sequences of words."""

    kind: KindName = "documents"
    encoder: EncoderName = "gru"
    """Documents: bags of words with a multinomial likelihood, or sequences, with the networks of sentences."""

    @property
    def name(self) -> str:
        """Of documents as sequences."""
        return "documents-gru"


@dataclass(frozen=True)
class PointModel(ModelConfig):
    """Points of the plane."""

    kind: KindName = "points"
    points_hidden: int = 200
    """Width of encoder and decoder of the 2-D models."""
    points_std: float = 1.0
    """Standard deviation of the observation noise of the 2-D models."""

    @property
    def name(self) -> str:
        """Of points."""
        return "points"


#: The options of one model; of several classes of a kind the first is the default.
AnyModel: TypeAlias = SentenceModel | DialogModel | BagModel | SequenceModel | PointModel
MODELS: tuple[type[AnyModel], ...] = typing.get_args(AnyModel)


def model_class(kind: object, encoder: object = None) -> type[AnyModel]:
    """Class of a kind's options; an encoder counts where the kind has several.

    Raises:
        ConfigError: no such kind.
    """
    classes = [one for one in MODELS if one.kind == kind]
    if not classes:
        raise ConfigError(f"model.kind: {kind!r:.80} given, {alternatives(kind, KIND_NAMES)}")
    return next((one for one in classes if getattr(one, "encoder", None) == encoder), classes[0])


def of_kind(model: ModelConfig, kind: object = None, encoder: object = None) -> AnyModel:
    """A model as one of a kind: options that both have stay, the others are the kind's defaults.

    Args:
        model: the networks.
        kind: as the option says it; None: that of the model.
        encoder: of documents; None: that of the model, or bags of words.

    Raises:
        ConfigError: no such kind.
    """
    asked = encoder if encoder is not None else getattr(model, "encoder", None)
    cls = model_class(model.kind if kind is None else kind, asked)
    names = [option.name for option in fields(cls) if option.name not in CHOOSING and hasattr(model, option.name)]
    return cls(**{name: getattr(model, name) for name in names})


def kinds_with(option: str) -> str:
    """The kinds that have an option, in words; empty where none has."""
    return ", ".join(one.title() for one in MODELS if any(own.name == option for own in fields(one)))


def lacking(cls: type[ModelConfig], option: str) -> str:
    """What there is to say of an option that others have, where the kind of a class has not; else empty."""
    kinds = kinds_with(option)
    lacks = kinds and all(own.name != option for own in fields(cls))
    return f"no such option of {cls.title()}, but of {kinds}" if lacks else ""
