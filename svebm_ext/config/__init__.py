"""Configuration: options (`options`, `models`), what each kind takes (`kinds`), plain form (`plain`), and `checks`."""

from svebm_ext.config.bounds import check_bounds
from svebm_ext.config.changes import Changes, with_changes, with_named_options
from svebm_ext.config.checks import validate, validate_built
from svebm_ext.config.kinds import KindOptions, options_of
from svebm_ext.config.models import (
    KIND_NAMES,
    AnyModel,
    BagModel,
    DialogModel,
    LatentName,
    ModelConfig,
    PointModel,
    RecurrentModel,
    SentenceModel,
    SequenceModel,
    kinds_with,
    lacking,
    of_kind,
)
from svebm_ext.config.options import (
    FORMER_CORPORA,
    ChainConfig,
    Config,
    CorpusName,
    DataConfig,
    EvaluationConfig,
    ObjectiveConfig,
    OptimiserConfig,
    TrainingConfig,
    asked_iterations,
    has_subwords,
)
from svebm_ext.config.plain import from_dict, to_dict, with_absolute_paths

__all__ = [
    "FORMER_CORPORA",
    "KIND_NAMES",
    "AnyModel",
    "BagModel",
    "ChainConfig",
    "Changes",
    "Config",
    "CorpusName",
    "DataConfig",
    "DialogModel",
    "EvaluationConfig",
    "KindOptions",
    "LatentName",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimiserConfig",
    "PointModel",
    "RecurrentModel",
    "SentenceModel",
    "SequenceModel",
    "TrainingConfig",
    "asked_iterations",
    "check_bounds",
    "from_dict",
    "has_subwords",
    "kinds_with",
    "lacking",
    "of_kind",
    "options_of",
    "to_dict",
    "validate",
    "validate_built",
    "with_absolute_paths",
    "with_changes",
    "with_named_options",
]
