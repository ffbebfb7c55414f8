"""`svebm COMMAND ...`: the commands under one name."""

from __future__ import annotations

import importlib
import sys

from svebm_ext.commands import run_command

COMMANDS = ("train", "evaluate", "generate", "classify", "explore", "experiments", "info")


def main() -> None:
    """Run one command."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in COMMANDS:
        asked = arguments[:1]
        print(f"usage: svebm {{{','.join(COMMANDS)}}} ...   (svebm COMMAND --help tells the options)")
        sys.exit(0 if asked in ([], ["--help"], ["-h"]) else 2)
    run_command(importlib.import_module(f"svebm_ext.{arguments[0]}").main, arguments[1:])


if __name__ == "__main__":
    main()
