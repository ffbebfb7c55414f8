"""`svebm COMMAND ...`: the commands under one name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from svebm_ext.commands import run_command, show_version
from svebm_ext.errors import ConfigError, nearest
from svebm_ext.terminal import show

COMMANDS = ("train", "evaluate", "generate", "classify", "group", "explore", "experiments", "info")
USAGE = f"svebm {{{','.join(COMMANDS)}}} ...   (svebm COMMAND --help tells the options; svebm --version)"


def main() -> None:
    """Run one command."""
    run_command(_run, sys.argv[1:])


def _run(arguments: Sequence[str]) -> None:
    command, *rest = arguments or ["--help"]
    if command in ("--help", "-h"):
        show(f"usage: {USAGE}")
    elif command not in COMMANDS:
        meant = nearest(command, COMMANDS)
        hint = "" if meant is None else f"did you mean {meant}? "
        raise ConfigError(f"COMMAND: {command!r} given; {hint}usage: {USAGE}")
    elif rest == ["--version"]:
        show_version()
    else:
        importlib.import_module(f"svebm_ext.{command}").main(rest)


if __name__ == "__main__":
    main()
