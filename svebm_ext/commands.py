"""What the commands share: errors as one line, exit codes, arguments."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from svebm_ext.errors import SvebmError


def run_command(main: Callable[[Sequence[str]], Any], arguments: Sequence[str] | None = None) -> None:
    """Run a command's main function; the user's mistakes become one clear line and exit status 2.

    Args:
        main: takes the arguments after the command's name.
        arguments: default: those of the process.
    """
    from svebm_ext.training.loop import Interrupted

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # "café" on a terminal that knows ASCII alone: caf\\xe9
    try:
        main(sys.argv[1:] if arguments is None else arguments)
    except SvebmError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stopped:
        print(f"interrupted: {stopped}", file=sys.stderr)
        sys.exit(130)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (head, less): not an error, and nothing more can be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def parse(kind: Any, arguments: Sequence[str], *, prog: str, description: str, default: Any = None) -> Any:
    """Parse a command line into a dataclass with tyro.

    Raises:
        ConfigError: tyro is not installed.
    """
    from svebm_ext.errors import ConfigError

    try:
        import tyro
    except ImportError as error:
        raise ConfigError("the command line needs tyro (pip install tyro); the Python interface does not") from error
    options: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(kind, args=list(arguments), prog=prog, description=description, **options)


def parse_with_run(
    kind: Any,
    arguments: Sequence[str],
    *,
    command: str,
    description: str,
    default: Callable[[str | None], Any] | None = None,
) -> tuple[str, Any]:
    """Run folder (first argument) and options of a command that works on one.

    Args:
        kind: dataclass of the options.
        arguments: after the command's name.
        command: its name.
        description: for --help.
        default: gives the options' defaults for a run folder (None: none given, for --help).

    Raises:
        ConfigError: no run folder given.
    """
    from svebm_ext.errors import ConfigError

    rest = list(arguments)
    run = rest.pop(0) if rest and not rest[0].startswith("-") else None
    options = parse(
        kind,
        rest,
        prog=f"python -m svebm_ext.{command} RUN",
        description=description,
        default=None if default is None else default(run),
    )
    if run is None:
        raise ConfigError(f"RUN: missing; usage: python -m svebm_ext.{command} RUN [options], --help tells them")
    return run, options
