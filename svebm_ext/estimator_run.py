"""The run that `TextModel` asks for: its parameters as a configuration, and errors in the words of its caller."""

from __future__ import annotations

import contextlib
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from svebm_ext.config import Config, SentenceModel, with_named_options, with_second_stage_within
from svebm_ext.data.class_labels import LABELLED, TEXTS, known_of, written
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.presets import preset

#: Parameters of `TextModel` by the option that they set.
PARAMETERS = {
    "model.n-categories": "n_symbols", "model.n-groups": "n_groups", "training.max-steps": "max_iter",
    "seed": "random_state", "model.sentence-encoder": "sentence_encoder", "training.device": "device",
}  # fmt: skip


def configuration(parameters: Mapping[str, Any], texts: list[str], labels: list[object] | None, folder: Path) -> Config:
    """Configuration of the run, whose texts and labels are written to files of a folder.

    Args:
        parameters: of `TextModel`, by name.
        texts: N texts.
        labels: None, or N labels, None for a text without one.
        folder: where files are written.

    Raises:
        ConfigError: a parameter out of its range, or one that goes not with the labels; the message names it.
    """
    config = preset("lines" if labels is None else "lines-labelled")
    n_symbols, n_groups = (_auto_or_whole(parameters, name) for name in ("n_symbols", "n_groups"))
    if labels is None:
        config = replace(config, model=replace(config.model, n_categories=n_symbols, n_groups=n_groups))
    else:
        _check_classes(n_symbols, n_groups, len({str(label) for label in labels if label is not None}))
    training = replace(config.training, device=parameters["device"], sample_every=0)
    if parameters["max_iter"] is not None:
        training = replace(training, max_steps=_whole(parameters, "max_iter", 1, "None or "))
    if parameters["sentence_encoder"] is not None:
        networks = replace(SentenceModel.of(config.model), sentence_encoder=str(parameters["sentence_encoder"]))
        config = replace(config, model=networks)
    train, labelled = written(folder, texts, labels)
    data = replace(config.data, train=train, labelled=labelled)
    config = replace(config, data=data, training=training, seed=_whole(parameters, "random_state", 0))
    options = parameters["options"] or {}
    config = with_named_options(config, options)
    named = {str(name).replace("-", "_") for name in options}
    return config if "training.prior_steps" in named else with_second_stage_within(config)


def _auto_or_whole(parameters: Mapping[str, Any], name: str) -> int:
    """A number that may be left to the texts, which 0 stands for."""
    return 0 if parameters[name] == "auto" else _whole(parameters, name, 1, "'auto' or ")


def _whole(parameters: Mapping[str, Any], name: str, least: int, others: str = "") -> int:
    value = parameters[name]
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or int(value) < least:
        raise ConfigError(f"{name}: {value!r} given, expected {others}a whole number of at least {least}")
    return int(value)


def _check_classes(n_symbols: int, n_groups: int, n_classes: int) -> None:
    """Refuse numbers that labels decide (ConfigError)."""
    if n_symbols not in (0, n_classes):
        raise ConfigError(
            f"n_symbols: {n_symbols} given, but y has {n_classes} classes, each of which is a symbol; expected 'auto' "
            f"or {n_classes}"
        )
    if n_groups > 1:
        raise ConfigError(
            f"n_groups: {n_groups} given, but y has classes, which are in one level; expected 'auto' or 1"
        )


@contextlib.contextmanager
def told_to_caller(
    options: Mapping[str, object] | None, labels: Sequence[object] | None, folder: Path
) -> Iterator[None]:
    """Errors of a run name what its caller has written: parameters for options, places in X for lines of files.

    Args:
        options: of `TextModel`; what stands there keeps its name.
        labels: as of `configuration`.
        folder: of the files of texts, which the caller has not seen.
    """
    try:
        yield
    except (ConfigError, DataError) as error:
        raise type(error)(_in_own_words(str(error), options or {}, labels, folder)) from error


def _in_own_words(message: str, options: Mapping[str, object], labels: Sequence[object] | None, folder: Path) -> str:
    places = known_of(labels)

    def place(match: re.Match[str]) -> str:
        if match["line"] is None:
            return "X"
        own = places.get(match["file"], range(int(match["line"])))
        line = int(match["line"]) - 1
        return f"X: text {own[line] if line < len(own) else line}"

    files = "|".join(map(re.escape, (TEXTS, LABELLED)))
    message = re.sub(rf"({re.escape(str(folder))}/)?(?P<file>{files})(:(?P<line>\d+))?", place, message)
    given = {str(name).replace("_", "-") for name in options}
    for option, parameter in PARAMETERS.items():
        if option not in given:
            message = re.sub(rf"(?<![\w.-])(--)?{re.escape(option)}(?![\w-])(?=:|$|[ ,;)])", parameter, message)
    return message
