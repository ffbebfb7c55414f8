"""The kinds of examples: sentences, dialogs, documents (bags of words, or sequences), points of the plane.

A run chooses its kind once, `kind_of(config.model)`, and asks it from then on. A kind knows the options that it takes
(`options`, from `svebm_ext.config.kinds`), its vocabulary, how a split is encoded, and how texts go in. Parts that the
rooms above make of these are found by the name of the kind, in one table each:

| part | table |
|---|---|
| networks | `svebm_ext.models.networks.NETWORKS` |
| feed, validator, start of the networks | `svebm_ext.training.feeds.FEEDS` |
| evaluator | `svebm_ext.evaluation.evaluate_model.EVALUATORS` |
"""

from svebm_ext.config import ModelConfig, options_of
from svebm_ext.kinds.base import EncodedTexts, Kind, TextKind
from svebm_ext.kinds.dialogs import Dialogs
from svebm_ext.kinds.documents import BagsOfWords
from svebm_ext.kinds.points import Points
from svebm_ext.kinds.sentences import Sentences, Sequences

__all__ = [
    "KINDS",
    "BagsOfWords",
    "Dialogs",
    "EncodedTexts",
    "Kind",
    "Points",
    "Sentences",
    "Sequences",
    "TextKind",
    "kind_of",
]

KINDS: dict[str, Kind] = {kind.name: kind for kind in (Sentences(), Dialogs(), BagsOfWords(), Sequences(), Points())}


def kind_of(model: ModelConfig) -> Kind:
    """The kind of example that a model is of.

    Raises:
        ConfigError: an unknown kind.
    """
    return KINDS[options_of(model).name]
