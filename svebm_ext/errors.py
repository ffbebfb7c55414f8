"""Exceptions that commands turn into one clear line instead of a stack trace."""


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


class BackendUnavailableError(SvebmError, RuntimeError):
    """`SVEBM_BACKEND=native` was asked for where the native library cannot serve the call."""


class Interrupted(Exception):  # noqa: N818
    """The work was asked to stop by a signal, and has kept what it had; the message says how to go on."""
