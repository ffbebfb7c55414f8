"""Exceptions that commands turn into one clear line instead of a stack trace, and what they say of a wrong name."""

from __future__ import annotations

from collections.abc import Iterable

#: Likeness (0 to 1, of difflib) from which on a name is taken for a slip of another.
LIKE = 0.6
#: Characters of a name that are looked at; it may come from any file.
LONGEST_NAME = 80


class SvebmError(Exception):
    """Base of every error that is the caller's to mend: the message names what was wrong and what is expected."""


class DataError(SvebmError, ValueError):
    """A corpus, vocabulary or input file that cannot be used; the message names the file and, where known, the line."""


class ConfigError(SvebmError, ValueError):
    """An option, or a combination of options, outside its range."""


class ModelFolderError(SvebmError, ValueError):
    """A model or run folder that is damaged, incomplete, or of another format."""


class TrainingDivergedError(SvebmError, RuntimeError):
    """Training was stopped by a guard; the message says what to change and where the last good state is kept."""


class RunStoppedError(SvebmError, RuntimeError):
    """The system has stopped a run (a full disk, no memory); the message says why, what is kept and how to go on."""


class ProcessLostError(SvebmError, RuntimeError):
    """Another of the processes that share the work has ended; it tells why, if it can."""


class BackendUnavailableError(SvebmError, RuntimeError):
    """`SVEBM_BACKEND=native` was asked for where the native library cannot serve the call."""


class Interrupted(Exception):  # noqa: N818
    """The work was asked to stop by a signal, and has kept what it had; the message says how to go on."""


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name that another one is most like, whatever its capitals; None where it is like none."""
    import difflib

    if not isinstance(name, str):
        return None
    plain = {one.casefold(): one for one in known}
    alike = difflib.get_close_matches(name[:LONGEST_NAME].casefold(), plain, 1, LIKE)
    return plain[alike[0]] if alike else None


def alternatives(name: object, known: Iterable[str], lead: str = "expected one of") -> str:
    """What an error says after a name that nothing has: the name that was probably meant, and all that there are.

    Args:
        name: as it was given.
        known: names that there are.
        lead: what stands before them.
    """
    names = list(known)
    meant = nearest(name, names)
    listed = f"{lead} {', '.join(names) or 'none'}"
    return listed if meant is None else f"did you mean {meant}? {listed[0].upper()}{listed[1:]}"
