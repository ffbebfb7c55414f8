"""Options of a command from a file: `--config run.yaml`, in YAML or JSON, or the config.json of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from svebm_ext.errors import ConfigError
from svebm_ext.files import read_json

OPTION = "--config"
#: Endings of YAML; others are JSON.
YAML = (".yaml", ".yml")


def with_options_of_file(arguments: Sequence[str]) -> list[str]:
    """A command line with the options of the file that `--config` names, where there is one.

    What stands on the command line wins over the file, its preset as well. The options of the file come first, so that
    the rest of a command line is read as ever.

    Args:
        arguments: of the command, after its name.

    Raises:
        ConfigError: two files, none, one that is not there or cannot be read, or one of another form.
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
    given = {_plain(word.partition("=")[0]) for word in rest if word.startswith("--")}
    written = [
        word for name, value in _flat(content, path) if _plain(name) not in given for word in _words(name, value, path)
    ]
    if rest and not rest[0].startswith("-"):
        positional = [word for word in rest[: _n_positional(rest)]]
        return [*positional, *written, *rest[len(positional) :]]
    return [*([] if preset is None or "--resume" in given else [str(preset)]), *written, *rest]


def _n_positional(words: Sequence[str]) -> int:
    """Words before the first option."""
    return next((place for place, word in enumerate(words) if word.startswith("--")), len(words))


def _plain(name: str) -> str:
    """Name of an option, whether it is turned on or off."""
    section, point, option = name.replace("_", "-").lstrip("-").rpartition(".")
    return f"--{section}{point}{option.removeprefix('no-')}"


def _read(path: Path) -> Mapping[object, object]:
    """Content of the file: a mapping of options; that of a run's config.json stands under "config" (ConfigError)."""
    if not path.is_file():
        raise ConfigError(f"{OPTION}: no such file: {path}")
    content: object = _yaml(path) if path.suffix.lower() in YAML else read_json(path)
    if isinstance(content, Mapping) and isinstance(content.get("config"), Mapping):
        content = content["config"]
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"{path}: {type(content).__name__} given, expected options by name, such as training: {{max_steps: 500}}"
        )
    return content


def _yaml(path: Path) -> object:
    try:
        import yaml
    except ImportError as error:
        raise ConfigError(f"{path}: YAML needs a package (pip install pyyaml); JSON needs none") from error
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None


def _flat(content: Mapping[object, object], path: Path, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Options by their names on a command line, those of sections after a point."""
    for name, value in content.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][\w.-]*", name):
            raise ConfigError(f"{path}: {name!r:.80} is no name of an option")
        option = f"{prefix}{name.replace('_', '-')}"
        if isinstance(value, Mapping):
            yield from _flat(value, path, f"{option}.")
        elif value is not None:  # as the preset has it
            yield f"--{option}", value


def _words(name: str, value: object, path: Path) -> list[str]:
    """An option with its value as words of a command line."""
    if isinstance(value, bool):
        section, point, option = name.removeprefix("--").rpartition(".")
        return [name if value else f"--{section}{point}no-{option}"]
    if isinstance(value, list | tuple):
        if not value or any(isinstance(one, Mapping | list) for one in value):
            raise ConfigError(f"{path}: {name.removeprefix('--')}: {value!r:.80} given, expected numbers or texts")
        return [name, *map(str, value)]
    return [name, str(value)]
