"""What the commands share: errors as one line, exit codes, signals, arguments."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import gc
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from svebm_ext import __version__
from svebm_ext.command_line import NONE, checked
from svebm_ext.errors import ConfigError, Interrupted, SvebmError, alternatives
from svebm_ext.files import missing_folders
from svebm_ext.models.folder import check_folder, names_repository
from svebm_ext.stopping import status_of, stops_raised
from svebm_ext.terminal import (
    STANDARD_OUTPUT,
    describe_os_error,
    flush_output,
    give_up_output,
    mute,
    prepare_streams,
    printable,
    say,
    show,
)
from svebm_ext.training.folder import check_trained

if TYPE_CHECKING:
    import torch

    from svebm_ext.models.svebm import SVEBM

Options = TypeVar("Options")
#: Exit status of a mistake or of something outside this program that fails; as for a shell, of a reader that has gone.
FAILED, NO_READER = 2, 128 + 13
#: Exit status of work that a signal has stopped and that can be taken up again.
STOPPED = 130
#: What the environment may ask of the ops; as CHOICES of `svebm_ext.ops.backend` and `svebm_ext.ops.threads`, for which
#: torch has to be imported.
ASKED_OF_OPS = {"SVEBM_BACKEND": ("auto", "native", "reference"), "SVEBM_THREADS": ("auto", "own")}
#: Columns of the narrowest terminal that anything is laid out for.
NARROWEST = 40
#: Objects after which Python looks for garbage, of `rare_collections`; by default 700, 10, 10.
RARELY = (50_000, 20, 100)
#: Threads that a system can be asked for.
MOST_THREADS = 4096
#: Largest seed; most things that are made or looked at in one call.
LARGEST_SEED, MOST = 2**63 - 1, 10_000_000


def run_command(main: Callable[[Sequence[str]], object], arguments: Sequence[str] | None = None) -> None:
    """Run a command's main function; whatever the user or the system gets wrong is one clear line and exit status 2.

    Args:
        main: takes the arguments after the command's name.
        arguments: default: those of the process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    status: int | str | None = 0
    try:
        with stops_raised():
            prepare_streams()
            _check_surroundings()
            try:
                if given == ["--version"]:
                    show_version()
                else:
                    main(given)
            except SystemExit as ended:  # of the parser, or of a command that has told why
                status = ended.code
            flush_output()
    except BaseException as error:
        is_first = _is_first_to_tell(error)
        mute(not is_first)
        status = _tell(error)
        if status is None and is_first:
            raise
        status = 1 if status is None else status
    sys.exit(status)


def show_version() -> None:
    """Print the version of the package."""
    show(f"svebm_ext {__version__}")


def _tell(error: BaseException) -> int | None:
    """Say in one line what has ended a command; returns its exit status, None where the fault is this program's."""
    if isinstance(error, Interrupted):
        message, status = f"interrupted: {error}", STOPPED
    elif isinstance(error, KeyboardInterrupt):
        message, status = "interrupted", status_of(error)
    elif isinstance(error, BrokenPipeError) and error.filename in (None, STANDARD_OUTPUT):
        # The reader of our output has gone (head, less): not an error, and nothing more can be written.
        give_up_output()
        return NO_READER
    else:
        described = describe(error)
        if described is None:
            return None
        message, status = f"error: {described}", FAILED
    if not _can_write_output():
        give_up_output()
    say(printable(message))
    return status


def _is_first_to_tell(error: BaseException) -> bool:
    """Whether this process tells what has ended the work; of several that torchrun has started one does."""
    if os.environ.get("WORLD_SIZE", "1") in ("", "1"):  # torch takes a second to read
        return True
    from svebm_ext.processes import is_first_to_tell

    return is_first_to_tell(error)


def describe(error: BaseException) -> str | None:
    """What has gone wrong outside this program, in one line; None for anything else."""
    if isinstance(error, SvebmError):
        return str(error)
    if isinstance(error, OSError):
        return describe_os_error(error)
    if isinstance(error, UnicodeError):
        return f"text that cannot be written or read: {error}; set PYTHONIOENCODING=utf-8, or mend the text"
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        return (
            "out of memory; ask for less at a time (--training.batch-size, --evaluation.max-sentences, -n), or for a "
            "smaller model"
        )
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether torch has asked for memory that there is not, on a CPU or a GPU."""
    text = str(error)
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text or "out of memory" in text
    )


def _can_write_output() -> bool:
    try:
        flush_output()
    except OSError:
        return False
    return True


def _check_surroundings() -> None:
    """Refuse, before any work, streams and variables of the environment that the work would fail for.

    Raises:
        ConfigError: names the variable, its value, and what is expected.
        OSError: standard output is closed.
    """
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and 0 < int(columns) < NARROWEST:  # help in columns of one letter takes minutes to lay out
        os.environ["COLUMNS"] = str(NARROWEST)
    if sys.stdout is None:
        raise OSError(errno.EBADF, "closed", STANDARD_OUTPUT)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        value = os.environ.get(name, "")
        numbers = [part.strip() for part in value.split(",")]  # of nested levels
        usable = all(n.isascii() and n.isdigit() and 1 <= int(n[:9]) <= MOST_THREADS for n in numbers)
        if value.strip() and not usable:
            raise ConfigError(
                f"{name}: {value!r} given in the environment, expected a number of threads, 1 .. {MOST_THREADS}; "
                "or unset it"
            )
    for name, choices in ASKED_OF_OPS.items():
        value = os.environ.get(name, "")
        if value and value not in choices:
            raise ConfigError(
                f"{name}: {value!r} given in the environment, {alternatives(value, choices)}; or unset it"
            )


def check_numbers(options: object, **bounds: tuple[int, int]) -> None:
    """Refuse whole numbers of a command's own options that nothing can be done with.

    Args:
        options: of the command.
        bounds: least and largest value by name.

    Raises:
        ConfigError: names the option, its value and what is expected.
    """
    for name, (least, most) in bounds.items():
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            option = name.replace("_", "-")
            raise ConfigError(f"{option}: {value} given, expected a number from {least} to {most}")


def say_missing_folders(folder: Path) -> None:
    """Tell which folders above something that is to be written are missing, and are made: one may be a slip."""
    missing = missing_folders(folder)
    if missing:
        said = "folder" if len(missing) == 1 else "folders"
        say(f"--out: makes the {said} {', '.join(map(str, missing))}")


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """In the block, Python seldom looks for objects that refer to each other and to which nothing else refers.

    Each time it goes through the hundred thousands of objects that torch is made of. Reading torch and answering texts
    leave few such objects behind, and made it look hundreds of times.
    """
    before = gc.get_threshold()
    gc.set_threshold(*RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def load_model(run: str | Path, device: str | torch.device) -> SVEBM:
    """Model of a run folder, on a device; by its name it is the device of one process.

    Raises:
        ModelFolderError: no model there; of a run whose training has not ended, the message says how to go on.
        ConfigError: no such device.
    """
    from svebm_ext.models.svebm import SVEBM
    from svebm_ext.training.runtime import Runtime

    check_run(run)
    return SVEBM.from_pretrained(run, Runtime.alone(device).device if isinstance(device, str) else device)


def check_run(run: str | Path) -> None:
    """Refuse, before torch is read, a folder in which there is no trained model; a repository is not asked for one.

    Raises:
        ModelFolderError: says what is there, and how its training can go on.
        ConfigError: a repository, and no package to ask for it.
    """
    if names_repository(run):
        from svebm_ext.models.hub import check_hub

        check_hub(str(run))
        return
    check_trained(Path(run))
    check_folder(Path(run))


def parse(
    kind: type[Options], arguments: Sequence[str], *, prog: str, description: str, default: Options | None = None
) -> Options:
    """Parse a command line into a dataclass with tyro; "~" is the home folder, and None a word as any other.

    Raises:
        ConfigError: tyro is not installed, or an option or value is none that the command has.
    """
    try:
        import tyro
    except ImportError as error:
        raise ConfigError("the command line needs tyro (pip install tyro); the Python interface does not") from error
    given = checked(list(arguments), kind, default)
    if default is None:
        return _as_meant(tyro.cli(kind, args=given, prog=prog, description=description))
    # The options of a union are those of the default's class, by their names; tyro would make commands of them.
    plain = (tyro.conf.AvoidSubcommands,)
    return _as_meant(tyro.cli(kind, args=given, prog=prog, description=description, default=default, config=plain))


def _as_meant(options: Options) -> Options:
    """Options as the command line means them: marked words as they are, paths without "~"."""
    assert dataclasses.is_dataclass(options) and not isinstance(options, type)
    changed = {f.name: _value_as_meant(getattr(options, f.name)) for f in dataclasses.fields(options)}
    return dataclasses.replace(options, **changed)


def _value_as_meant(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _as_meant(value)
    if isinstance(value, Path):
        return expanded("None" if str(value) == NONE else str(value))
    return "None" if value == NONE else value


def with_numbers(arguments: Sequence[str], options: Collection[str]) -> list[str]:
    """The arguments, "auto" of some options written as the 0 that it is in a configuration."""
    given = list(arguments)
    for index, argument in enumerate(given):
        option, equals, value = argument.partition("=")
        if option.replace("_", "-") not in options:
            continue
        if equals and value == "auto":
            given[index] = f"{option}=0"
        elif not equals and given[index + 1 : index + 2] == ["auto"]:
            given[index + 1] = "0"
    return given


def expanded(path: str) -> Path:
    """Path of a command line, "~" and "~name" replaced.

    Raises:
        ConfigError: it is empty, or there is no such home folder.
    """
    if not path:
        raise ConfigError("RUN: nothing given, expected a folder")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: no home folder is known for it ({error}); write the path in full") from None


def parse_with_run(
    kind: type[Options],
    arguments: Sequence[str],
    *,
    command: str,
    description: str,
    default: Callable[[str | None], Options] | None = None,
) -> tuple[str, Options]:
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
    rest = list(arguments)
    run = str(expanded(rest.pop(0))) if rest and not rest[0].startswith("-") else None
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
