"""The largest value of every number: a configuration from anyone must not ask for memory or time without measure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from svebm_ext.config.options import Config
from svebm_ext.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: Width of a layer, length of a sentence, and counts of what is done or kept.
WIDTH, LENGTH, COUNT, STEPS = 65_536, 10_000, 10_000_000, 1_000_000_000
#: Magnitude of a number that is no count: beyond, float32 soon overflows.
MAGNITUDE = 1e9

#: What scores can be divided by such that those of order one stay numbers of float32.
TEMPERATURES = (1e-20, 1e20)

#: What an option of a type holds, in words and as types of Python.
EXPECTED: dict[str, tuple[str, tuple[type, ...]]] = {
    "int": ("a whole number", (int,)),
    "tuple[int, ...]": ("whole numbers", (int,)),
    "float": ("a number", (int, float)),
    "bool": ("True or False", (bool,)),
}

LARGEST: dict[str, int] = {
    "model.latent_dim": WIDTH,
    "model.n_categories": 100_000,
    "model.n_groups": 100_000,
    "model.n_variables": 1000,
    "model.n_classes": WIDTH,
    "model.prior_hidden": WIDTH,
    "model.embedding_dim": WIDTH,
    "model.encoder_hidden": WIDTH,
    "model.decoder_hidden": WIDTH,
    "model.sentence_encoder_dim": WIDTH,
    "model.context_turns": LENGTH,
    "model.context_hidden": WIDTH,
    "model.context_dim": WIDTH,
    "model.context_map": WIDTH,
    "model.document_hidden": WIDTH,
    "model.document_layers": 100,
    "model.document_words": COUNT,
    "model.points_hidden": WIDTH,
    "data.n_labelled": COUNT,
    "data.max_tokens": LENGTH,
    "data.vocabulary_size": COUNT,
    "data.seed": 2**63 - 1,
    "chains.n_chains": COUNT,
    "chains.per_iteration": 2**20,
    "chains.n_steps": 100_000,
    "objective.n_cycles": STEPS,
    "training.batch_size": 2**20,
    "training.labelled_batch_size": 2**20,
    "training.max_steps": STEPS,
    "training.prior_steps": STEPS,
    "training.checkpoint_every": 2**63 - 1,
    "training.validate_every": 2**63 - 1,
    "training.log_every": 2**63 - 1,
    "training.sample_every": 2**63 - 1,
    "training.patience": COUNT,
    "training.recoveries": 1000,
    "evaluation.importance_samples": 100_000,
    "evaluation.max_sentences": 2**63 - 1,
    "evaluation.annealed_sentences": 2**63 - 1,
    "evaluation.annealed_chains": 100_000,
    "evaluation.annealed_temperatures": 100_000,
    "evaluation.frequency_samples": COUNT,
    "evaluation.response_samples": 10_000,
    "evaluation.grammar_samples": COUNT,
    "evaluation.log_z_chains": 1_000_000,
    "evaluation.log_z_temperatures": 1_000_000,
    "seed": 2**63 - 1,
}


def check_bounds(config: Config) -> None:
    """Check that every number is finite and no larger than anyone needs, and every text can be written.

    Raises:
        ConfigError: names the option, the value and what is expected.
    """
    _check(config, "")


def _check(section: DataclassInstance, prefix: str) -> None:
    for option in dataclasses.fields(section):
        value, name = getattr(section, option.name), prefix + option.name
        _check_type(name, str(option.type), value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            _check(value, f"{name}.")
        for item in value if isinstance(value, tuple) else (value,):
            check_value(name, item)


def _check_type(name: str, kind: str, value: object) -> None:
    """Refuse, in a configuration made in Python, what is no number where one is expected: True is 1 otherwise."""
    items = value if kind == "tuple[int, ...]" and isinstance(value, tuple) else (value,)
    expected, types = EXPECTED.get(kind, ("", (object,)))
    for item in items:
        if not isinstance(item, types) or (expected and isinstance(item, bool) != (kind == "bool")):
            raise ConfigError(f"{name.replace('_', '-')}: {shown(item)} given, expected {expected}")


def check_value(name: str, value: object) -> None:
    """Check one number or text, an item of an option by its section and name, as `check_bounds` does (ConfigError)."""
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return
    largest = LARGEST.get(name)
    if isinstance(value, int | float):
        if largest is not None and value > largest:
            raise ConfigError(f"{option}: {shown(value)} given, expected at most {largest:,}")
        if largest is not None and value < -1:
            raise ConfigError(f"{option}: {shown(value)} given, expected a number of at least 0")
        if largest is None and not abs(value) <= MAGNITUDE:
            raise ConfigError(f"{option}: {shown(value)} given, expected a finite number of at most {MAGNITUDE:g}")
    if isinstance(value, str) and not _is_text(value):
        raise ConfigError(f"{option}: {value!r:.80} given, expected a text without control characters")


def _is_text(value: str) -> bool:
    return value.isprintable() or all(character.isprintable() or character == "\t" for character in value)


def shown(value: object) -> str:
    """A value for an error, in few characters whatever it is."""
    if isinstance(value, int) and abs(value) >= 10**18:
        return f"{'-' if value < 0 else ''}a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
