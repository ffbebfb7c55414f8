"""Options of a command from a file: `--config run.yaml`, in YAML or JSON, or the config.json of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from svebm_ext.command_line import Option, options_of
from svebm_ext.errors import ConfigError
from svebm_ext.presets import is_preset

OPTION = "--config"
#: Endings of YAML; others are JSON.
YAML = (".yaml", ".yml")
#: Option that names the file of the user's own text, which may stand behind the preset as well.
TEXT = "--data.train"


def with_options_of_file(arguments: Sequence[str], kind: Any) -> list[str]:
    """A command line with the options of the file that `--config` names, where there is one.

    What stands on the command line wins over the file: its preset, its file of text, its options. The options of the
    file come first, so that the rest of a command line is read as ever.

    Args:
        arguments: of the command, after its name.
        kind: dataclass of the options.

    Raises:
        ConfigError: two files, none, one that is not there or cannot be read, or one of another form; an option in it
            with a value of another kind.
    """
    rest, files = [], []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == OPTION:
            files.append(value if equals else next(words, ""))
        else:
            rest.append(word)
    if not files:
        return rest
    if len(files) > 1 or not files[0] or files[0].startswith("--"):
        told = f"given twice ({files[0]}, then {files[1]})" if len(files) > 1 else "no file given"
        raise ConfigError(f"{OPTION}: {told}, expected one file of options (YAML or JSON)")
    path = Path(files[0]).expanduser()
    content = dict(_read(path))
    preset = content.pop("preset", None)
    if not isinstance(preset, str | None):
        raise ConfigError(f"{path}: preset: {preset!r:.80} given, expected the name of one")
    positional = rest[: next((place for place, word in enumerate(rest) if word[:1] == "-" and word != "-"), len(rest))]
    given = {_plain(word.partition("=")[0]) for word in rest if word.startswith("--")}
    begins = bool(positional) and is_preset(positional[0])
    if len(positional) > begins:
        given.add(TEXT)
    known = options_of(kind)
    written = [
        word
        for name, value in _flat(content, path, known)
        if _plain(name) not in given
        for word in _words(name, value, path, known.get(name))
    ]
    named = [preset] if preset is not None and not begins and "--resume" not in given else []
    return [*named, *positional, *written, *rest[len(positional) :]]


def _plain(name: str) -> str:
    """Name of an option, whether it is turned on or off."""
    section, point, option = name.replace("_", "-").lstrip("-").rpartition(".")
    return f"--{section}{point}{option.removeprefix('no-')}"


# The file -------------------------------------------------------------------------------------------------------


def _read(path: Path) -> Mapping[object, object]:
    """Content of the file: a mapping of options; that of a run's config.json stands under "config" (ConfigError)."""
    if path.is_dir():
        raise ConfigError(f"{OPTION}: {path} is a folder, expected a file of options")
    if not path.is_file():
        raise ConfigError(f"{OPTION}: no such file: {path}")
    form = "YAML" if path.suffix.lower() in YAML else "JSON"
    try:
        text = path.read_text(encoding="utf-8-sig")
        content: object = _yaml(text, path) if form == "YAML" else json.loads(text, object_pairs_hook=_each_once)
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply, expected options by name") from None
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path}: not {form}: {' '.join(str(error).split())[:200]}") from None
    if isinstance(content, Mapping) and isinstance(content.get("config"), Mapping):
        content = content["config"]
    if not isinstance(content, Mapping):
        told = "empty" if content is None else f"no options by name ({content!r:.40})"
        raise ConfigError(f"{path}: {told}, expected options such as training: {{max_steps: 500}}")
    return content


def _each_once(pairs: list[tuple[object, object]]) -> dict[object, object]:
    """A mapping of pairs whose names differ (ValueError)."""
    content: dict[object, object] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"{name!r:.80} stands there twice")
        content[name] = value
    return content


def _yaml(text: str, path: Path) -> object:
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(f"{path}: YAML needs a package (pip install pyyaml); JSON needs none") from error

    class Loader(yaml.SafeLoader):
        """Refuses a name that stands twice in a mapping."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[object, object]:
        loader.flatten_mapping(node)
        pairs = loader.construct_pairs(node, deep=True)
        if not all(isinstance(name, str | int | float | bool | None) for name, _ in pairs):
            raise ValueError("a name is a list or a mapping")
        return _each_once(pairs)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


# Words of a command line ----------------------------------------------------------------------------------------


def _flat(
    content: Mapping[object, object], path: Path, known: Mapping[str, Option], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Options by their names on a command line, those of sections after a point."""
    for name, value in content.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][\w.-]*", name) or name in ("help", "config"):
            raise ConfigError(f"{path}: {name!r:.80} is no name of an option")
        option = f"{prefix}{name.replace('_', '-')}"
        is_section = any(one.startswith(f"--{option}.") for one in known)
        if isinstance(value, Mapping):
            if not is_section and f"--{option}" in known:
                raise ConfigError(f"{path}: {option}: options given, expected {known[f'--{option}'].expected}")
            yield from _flat(value, path, known, f"{option}.")
        elif is_section and value is not None:
            raise ConfigError(f"{path}: {option}: {value!r:.80} given, expected its options, such as {option}: {{...}}")
        elif value is not None:  # as the preset has it
            yield f"--{option}", value


def _words(name: str, value: object, path: Path, option: Option | None) -> list[str]:
    """An option with its value as words of a command line (ConfigError: a value of another kind)."""
    shown = f"{path}: {name.removeprefix('--')}: {value!r:.80} given"
    if option is None:  # the parser says what is meant
        return [f"{name}={value}"]
    if option.is_switch:
        if not isinstance(value, bool):
            raise ConfigError(f"{shown}, expected true or false")
        section, point, own = name.removeprefix("--").rpartition(".")
        return [name if value else f"--{section}{point}no-{own}"]
    several = isinstance(value, list | tuple)
    if isinstance(value, bool) or several != option.several or (not value and several):
        raise ConfigError(f"{shown}, expected {'a list' if option.several else option.expected}")
    if not several:
        return [f"{name}={value}"]
    return [name, *map(str, value)]  # type: ignore[call-overload]
