"""What stands on a command line, checked before it is parsed: names of options, their values, the word None."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from svebm_ext.config import FORMER_CORPORA, OF_TEXT, SEPARATOR, ModelConfig, kinds_with, lacking
from svebm_ext.errors import ConfigError, alternatives, nearest

#: Stands for the word None on a command line, where the parser would take it for "not given".
NONE = "\ue000None"
#: What the parser itself understands, for every command.
_HELP = ("--help", "-h")
#: What options are called elsewhere: by `svebm_ext.TextModel`, and by people.
_ALSO_CALLED = {
    "n-symbols": "model.n-categories", "symbols": "model.n-categories", "n-topics": "model.n-categories",
    "n-clusters": "model.n-categories", "groups": "model.n-groups", "max-iter": "training.max-steps",
    "iterations": "training.max-steps",
    "epochs": "training.max-steps", "random-state": "seed", "output": "out", "output-dir": "out", "input": "data.train",
    "n-samples": "n",
}  # fmt: skip
#: Options that name files of the user's own text, of which there may be several.
OF_FILES = tuple(f"--data.{name}" for name in OF_TEXT)
_KINDS = {int: "a whole number", float: "a number", str: "a text", Path: "a path", bool: "True or False"}


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a command line.

    Args:
        name: with its dashes.
        kind: type of its value.
        optional: whether None is one of its values.
        choices: the values that it has, where they are few.
        several: whether any number of values follows it.
        is_switch: whether no value follows it.
        negates: the option that it turns off, where it is such a switch.
    """

    name: str
    kind: Any
    optional: bool = False
    choices: tuple[str, ...] = ()
    several: bool = False
    is_switch: bool = False
    negates: str = ""

    @property
    def expected(self) -> str:
        """What an error says that the value should be."""
        return f"one of {', '.join(self.choices)}" if self.choices else _KINDS.get(self.kind, "a value")


def options_of(kind: Any, prefix: str = "--", default: object = None) -> dict[str, Option]:
    """Options of a dataclass by name, those of dataclasses within it after a point.

    Args:
        kind: the dataclass.
        prefix: of the names.
        default: one of that class; where it holds one of several dataclasses, the options are of that one, not of all.
    """
    options: dict[str, Option] = {}
    for name, hint in typing.get_type_hints(kind).items():
        option, value = prefix + name.replace("_", "-"), getattr(default, name, None)
        sections = [part for part in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(part)]
        if sections:
            for section in [type(value)] if dataclasses.is_dataclass(value) else sections:
                options |= options_of(section, f"{option}.", value)
            continue
        options[option] = _option(option, hint)
        if hint is bool:
            negated = f"{prefix}no-{option.removeprefix(prefix)}"
            options[negated] = Option(negated, bool, is_switch=True, negates=option)
    return options


def _option(name: str, hint: Any) -> Option:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (within,) = (part for part in parts if part is not type(None))
        return dataclasses.replace(_option(name, within), optional=True, is_switch=False)
    if origin is Literal:
        return Option(name, str, choices=tuple(map(str, parts)))
    if origin is tuple:
        return Option(name, parts[0], several=True)
    return Option(name, hint, is_switch=hint is bool)


def checked(arguments: list[str], kind: Any, default: object = None) -> list[str]:
    """The arguments as the parser should read them: the word None marked, former names of values replaced.

    Args:
        arguments: of the command, after its name and what stands before the options.
        kind: dataclass of the options.
        default: their values where they are not given; of a kind of example the options are those that it has.

    Raises:
        ConfigError: no option of a name, none of its values, no value, or an option twice; the message says what was
            probably meant.
    """
    known, every, given = options_of(kind, default=default), options_of(kind), list(arguments)
    before: dict[str, str] = {}
    for index, option, equals, value in _named(given, known, every, default):
        refuse_twice(option.name, None if option.is_switch and not equals else value, before, option.negates)
        if value is None or option.is_switch or option.several:
            if value is None and not (option.is_switch or option.several):
                raise ConfigError(f"{option.name}: no value given, expected {option.expected}")
            continue
        value = _checked_value(option, value)
        given[index if equals else index + 1] = f"{option.name}={value}" if equals else value
    return given


def refuse_twice(name: str, value: str | None, before: dict[str, str], negates: str = "") -> None:
    """Refuse an option that has been given before, of which the parser would take the last one without a word.

    Args:
        name: with its dashes.
        value: as it was given; None where it has none.
        before: what was given of each option that came before; this one is added to it.
        negates: the option that it turns off.

    Raises:
        ConfigError: names the option and what was given of it both times.
    """
    option, shown = negates or name, name if value is None else f"{name} {value}"
    if option not in before:
        before[option] = shown
        return
    several = ""
    if name in OF_FILES:
        several = f"; several files stand in one value, with commas between them ({before[option]}{SEPARATOR}{value})"
    raise ConfigError(f"{option}: given twice ({before[option]}, then {shown}), expected once{several}")


def _named(
    given: list[str], known: dict[str, Option], every: dict[str, Option], default: object
) -> Iterator[tuple[int, Option, str, str | None]]:
    """Place, option, "=" where it stands there, and value of each option that is named.

    Args:
        given: the arguments.
        known: options that can be given.
        every: these and those of other kinds of examples.
        default: as of `checked`.
    """
    index, takes_words = 0, False
    while index < len(given):
        name, equals, value = given[index].partition("=")
        name = name.replace("_", "-")
        if name not in known:
            if name.startswith("-") and name[1:2] not in ("", ".", *map(str, range(10))) and name not in _HELP:
                raise ConfigError(_no_option(name, known, every, getattr(default, "model", None)))
            if not takes_words and name not in _HELP:
                raise ConfigError(f"{given[index]!r:.80}: stands behind no option; expected options, --help lists all")
            index += 1
            continue
        option = known[name]
        takes_words = option.several
        following = given[index + 1] if index + 1 < len(given) else None
        if not equals and following is not None and following.partition("=")[0].replace("_", "-") in (*every, *_HELP):
            following = None
        yield index, option, equals, value if equals else following
        index += 1 if equals or option.is_switch or following is None else 2


def _checked_value(option: Option, value: str) -> str:
    if option.kind is Path and not value:
        raise ConfigError(f"{option.name}: nothing given, expected a path")
    if option.optional and value == "None":
        return NONE if option.kind in (str, Path) and not option.choices else value
    if option.choices:
        if value not in option.choices:
            value = FORMER_CORPORA.get(value, value)
        if value not in option.choices:
            raise ConfigError(f"{option.name}: {value!r} given, {alternatives(value, option.choices)}")
    elif option.kind in (int, float):
        try:
            option.kind(value)
        except ValueError:
            raise ConfigError(f"{option.name}: {value!r} given, expected {option.expected}") from None
    return value


def _no_option(name: str, known: dict[str, Option], every: dict[str, Option], model: object) -> str:
    """What there is to say of a name that no option has, or none of the model's kind, where others have it."""
    if name in every and isinstance(model, ModelConfig):
        return f"{name}: {lacking(type(model), _field(name))}; --help lists all of them"
    plain = name.lstrip("-")
    spelled = {option.lstrip("-"): option for option in (*known, *every)}
    for option in (*known, *every):
        spelled.setdefault(option.lstrip("-").rpartition(".")[2], option)
    for called, means in _ALSO_CALLED.items():
        if f"--{means}" in known:
            group = means.rpartition(".")[0]
            for one in (called, f"{group}.{called}"):
                spelled.setdefault(one, f"--{means}")
    meant = nearest(plain, spelled) or nearest(plain.rpartition(".")[2], spelled)
    hint = "" if meant is None else f"did you mean {spelled[meant]}{_whose(spelled[meant], known)}? "
    return f"{name}: no such option; {hint}--help lists all of them"


def _whose(name: str, known: dict[str, Option]) -> str:
    """What there is to say of an option that other kinds than the model's have."""
    return "" if name in known else f", an option of {kinds_with(_field(name))}"


def _field(name: str) -> str:
    """Field of an option, or of the switch that turns it off."""
    return name.rpartition(".")[2].removeprefix("no-").replace("-", "_")
