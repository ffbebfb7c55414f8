"""Configuration: the options (`options`), their plain form (`plain`), and what they may be (`checks`)."""

from svebm_ext.config.bounds import check_bounds
from svebm_ext.config.checks import validate, validate_built
from svebm_ext.config.options import (
    ChainConfig,
    Config,
    CorpusName,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimiserConfig,
    TrainingConfig,
    asked_iterations,
    has_subwords,
    is_bag_of_words,
    is_sequence,
)
from svebm_ext.config.plain import from_dict, to_dict, with_absolute_paths

__all__ = [
    "ChainConfig",
    "Config",
    "CorpusName",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimiserConfig",
    "TrainingConfig",
    "asked_iterations",
    "check_bounds",
    "from_dict",
    "has_subwords",
    "is_bag_of_words",
    "is_sequence",
    "to_dict",
    "validate",
    "validate_built",
    "with_absolute_paths",
]
