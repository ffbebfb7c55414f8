"""A configuration as plain values, for JSON, and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, overload

from svebm_ext.config.bounds import check_value, shown
from svebm_ext.config.models import MODELS, AnyModel, KindName, lacking, model_class
from svebm_ext.config.options import FORMER_CORPORA, Config, DataConfig
from svebm_ext.config.paths import absolute_paths
from svebm_ext.errors import ConfigError, alternatives

from ..files import JsonObject

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar("Section")
#: Options of data that name files of the user's own text.
OF_TEXT = ("train", "valid", "test", "labelled")
#: Items of a list, and unknown options that are named, at most.
MOST_ITEMS = 16
#: Options that a kind lacks and that were refused when every model had the options of all kinds, unless at the default.
#: The others did nothing.
REFUSED = {"sentence_features": "none", "class_words": False, "class_words_start": "zero"}


def to_dict(config: DataclassInstance) -> JsonObject:
    """Plain JSON-ready form of a configuration."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (tuple, list)):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    return {name: plain(value) for name, value in dataclasses.asdict(config).items()}


@overload
def from_dict(values: object) -> Config: ...


@overload
def from_dict(values: object, cls: type[Section], where: str = "config") -> Section: ...


def from_dict(values: object, cls: type = Config, where: str = "config") -> object:
    """Configuration from its plain form.

    Raises:
        ConfigError: an unknown key or a value of the wrong type; the message names the option.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected an object, found {type(values).__name__}")
    hints = _hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        names = ", ".join(f"{name:.80}" for name in unknown[:MOST_ITEMS])
        raise ConfigError(f"{where}: unknown option {names}; {alternatives(unknown[0], sorted(hints), 'known are')}")
    return cls(**{key: _convert(value, hints[key], f"{where}.{key}") for key, value in values.items()})


def _hints(cls: type) -> dict[str, object]:
    """Types of a section's options by name."""
    hints = typing.get_type_hints(cls)
    return {option.name: hints[option.name] for option in dataclasses.fields(cls)}


def _model_from_dict(values: object, where: str) -> object:
    """Options of the networks from their plain form, which may list those of all kinds, as files did.

    Options of other kinds are left out: they were of no effect, or refused.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected an object, found {type(values).__name__}")
    kind = _convert(values.get("kind", "sentences"), KindName, f"{where}.kind")
    cls = model_class(kind, values.get("encoder"))
    others = {name: hint for one in MODELS for name, hint in _hints(one).items()}
    own, kept = _hints(cls), dict(values)
    for name in sorted(others.keys() & values.keys() - own.keys()):
        value = _convert(kept.pop(name), others[name], f"{where}.{name}")
        check_value(f"model.{name}", value)
        if value != REFUSED.get(name, value):
            raise ConfigError(f"{where}.{name}: {shown(value)} given; {lacking(cls, name)}")
    return from_dict(kept, cls, where)


def with_absolute_paths(data: DataConfig) -> DataConfig:
    """Data options whose paths hold from every folder: a run is resumed and evaluated from others."""
    changed: JsonObject = {}
    for option in dataclasses.fields(data):
        value = getattr(data, option.name)
        if isinstance(value, Path):
            changed[option.name] = absolute_paths(value) if option.name in OF_TEXT else value.expanduser().absolute()
    return dataclasses.replace(data, **changed)


def _convert(value: object, hint: object, where: str) -> object:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_dict(value, hint, where)
    if hint == AnyModel:
        return _model_from_dict(value, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        value = FORMER_CORPORA.get(value, value) if isinstance(value, str) else value
        if isinstance(value, str) and value in arguments:
            return value
        raise ConfigError(f"{where}: {shown(value)} given, {alternatives(value, arguments)}")
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), where)
    if origin is tuple and isinstance(value, (list, tuple)):
        if len(value) > MOST_ITEMS:
            raise ConfigError(f"{where}: {len(value):,} items, expected at most {MOST_ITEMS}")
        return tuple(_convert(item, arguments[0], where) for item in value)
    if hint is Path and isinstance(value, (str, Path)):
        if "\0" in str(value):
            raise ConfigError(f"{where}: {shown(value)} is no path: it has a zero byte")
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ConfigError(f"{where}: {shown(value)} is beyond the largest float") from None
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise ConfigError(f"{where}: expected {getattr(hint, '__name__', hint)}, found {shown(value)}")
