"""Configuration: the options (`options`), what each kind takes (`kinds`), plain form (`plain`), and `checks`."""

from svebm_ext.config.bounds import check_bounds
from svebm_ext.config.changes import Changes, with_changes
from svebm_ext.config.checks import validate, validate_built
from svebm_ext.config.kinds import KindOptions, options_of
from svebm_ext.config.options import (
    FORMER_CORPORA,
    ChainConfig,
    Config,
    CorpusName,
    DataConfig,
    EvaluationConfig,
    LatentName,
    ModelConfig,
    ObjectiveConfig,
    OptimiserConfig,
    TrainingConfig,
    asked_iterations,
    has_subwords,
)
from svebm_ext.config.plain import from_dict, to_dict, with_absolute_paths

__all__ = [
    "FORMER_CORPORA",
    "ChainConfig",
    "Changes",
    "Config",
    "CorpusName",
    "DataConfig",
    "EvaluationConfig",
    "KindOptions",
    "LatentName",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimiserConfig",
    "TrainingConfig",
    "asked_iterations",
    "check_bounds",
    "from_dict",
    "has_subwords",
    "options_of",
    "to_dict",
    "validate",
    "validate_built",
    "with_absolute_paths",
    "with_changes",
]
