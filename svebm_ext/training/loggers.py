"""What a run tells: metrics.jsonl always, a progress bar, TensorBoard when asked."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svebm_ext.config import TrainingConfig
from svebm_ext.files import JsonObject, append_line, folder_is_gone, sync_file, write_whole
from svebm_ext.plots.series import damaged_lines, read_records
from svebm_ext.terminal import printable, say
from svebm_ext.training.callbacks import Callback

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

#: Seconds between lines where there is no terminal to draw a bar on.
QUIET_INTERVAL = 10.0
#: Iterations of a run that are left out of its timing, and those that are timed, for the line at the beginning.
UNTIMED, TIMED = 5, 20
#: Of the time that is told at the beginning.
AFTERWARDS = "what comes after them is not counted"


class MetricsFile:
    """metrics.jsonl: one JSON object a line, `step` counting finished iterations.

    Args:
        path: the file.
        resume_step: lines of later iterations are dropped, since the resumed run writes them again.
        say: receives a line where lines cannot be read.

    Raises:
        ModelFolderError: what is there is no regular file.
    """

    def __init__(self, path: Path, resume_step: int = 0, say: Callable[[str], None] = lambda text: None) -> None:
        self.path = path
        self._say = say
        self.keep_until(resume_step)

    def keep_until(self, step: int) -> None:
        """Drop the lines of later iterations, which will be done again, and those that a crash has damaged."""
        kept = ""
        if self.path.is_symlink() or self.path.exists():
            records, damaged = read_records(self.path)
            if damaged and step > 0:
                self._say(f"{self.path}: {damaged_lines(damaged)}")
            kept = "".join(f"{line}\n" for _, line, record in records if record["step"] <= step) if step > 0 else ""
        write_whole(self.path, kept)

    def write(self, record: JsonObject) -> None:
        """Append one line; the file is complete up to here whenever the process dies.

        Raises:
            ModelFolderError: the run's folder has gone.
            OSError: the line cannot be written, and is not there in part.
        """
        try:
            append_line(self.path, json.dumps(record))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise folder_is_gone(self.path.parent) from error

    def sync(self) -> None:
        """Make the lines so far outlast a loss of power: before a checkpoint that goes on from here."""
        if self.path.exists():
            sync_file(self.path)


class Progress:
    """Bar with loss terms, throughput and time left on a terminal; a line every few seconds elsewhere."""

    def __init__(self, max_steps: int, start: int, *, enabled: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self.console = Console(stderr=True)
        self._max_steps, self._begin, self._enabled = max_steps, start, enabled
        self._start_time = self._last = time.monotonic()
        self._timed_from = self._start_time
        self._bar = None
        if enabled and self.console.is_terminal:
            self._bar = RichProgress(
                BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[text]}"),
                console=self.console,
            )  # fmt: skip
            self._task = self._bar.add_task("train", total=max_steps, completed=start, text="")
            self._bar.start()

    def time_iteration(self, step: int) -> None:
        """Say once, near the beginning, how long the run will take; to be told of every finished iteration."""
        done = step - self._begin
        if done == UNTIMED:
            self._timed_from = time.monotonic()
        elif done == UNTIMED + TIMED:
            left = self._max_steps - step
            seconds = (time.monotonic() - self._timed_from) / TIMED * left
            if left > TIMED:
                self.say(f"about {_minutes(seconds)} for the other {left:,} iterations; {AFTERWARDS}")

    def update(self, step: int, text: str, *, force: bool = False) -> None:
        """Show the state after `step` iterations."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, text=text)
        elif self._enabled and (force or time.monotonic() - self._last >= QUIET_INTERVAL):
            self._last = time.monotonic()
            left = (self._last - self._start_time) / max(1, step - self._begin) * (self._max_steps - step)
            say(f"{step}/{self._max_steps}  {text}  {_minutes(left)} left")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._enabled:
            console = self._bar.console if self._bar else self.console
            with contextlib.suppress(OSError):  # as `say`: a terminal that has gone stops no run
                console.print(printable(text, "\n"), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


class RunLog:
    """Where a run tells what it does: metrics.jsonl, TensorBoard and a bar; nothing but on the main process.

    Args:
        out: run folder.
        config: iterations in all, and whether TensorBoard files are written.
        step: iterations done before.
        enabled: whether this is the main process.
        callbacks: are told what is written.
    """

    def __init__(
        self, out: Path, config: TrainingConfig, step: int, *, enabled: bool, callbacks: Sequence[Callback] = ()
    ) -> None:
        self._callbacks = callbacks if enabled else ()
        self.metrics = MetricsFile(out / "metrics.jsonl", step, say) if enabled else None
        self._board = tensorboard_writer(out / "tensorboard") if enabled and config.tensorboard else None
        self.progress = Progress(config.max_steps, step, enabled=enabled)
        self._tokens, self._lap = 0, time.monotonic()

    def count(self, step: int, n_tokens: int) -> None:
        """An iteration is done, and so many tokens were seen in it."""
        self._tokens += n_tokens
        self.progress.time_iteration(step)

    def rate(self) -> float:
        """Tokens a second since this was asked last."""
        now = time.monotonic()
        rate = self._tokens / max(now - self._lap, 1e-9)
        self._tokens, self._lap = 0, now
        return rate

    def keep_until(self, step: int) -> None:
        """Drop what was written of later iterations, which will be done again."""
        if self.metrics is not None:
            self.metrics.keep_until(step)

    def write_step(self, record: JsonObject) -> None:
        """Append an iteration to metrics.jsonl, and show it on the board where asked for; record has its `step`."""
        if self.metrics is not None:
            self.metrics.write(record)
        if self._board is not None:
            for name, value in record.items():
                self._board.add_scalar(name, value, record["step"])
        for callback in self._callbacks:
            callback.on_step(dict(record))

    def write_validation(self, record: JsonObject) -> None:
        """Append what was measured on held-out examples to metrics.jsonl; record has the iteration `step`."""
        if self.metrics is not None:
            self.metrics.write(record)
        for callback in self._callbacks:
            callback.on_validation(dict(record))

    def sync(self) -> None:
        """Make the lines so far outlast a loss of power."""
        if self.metrics is not None:
            self.metrics.sync()

    def close(self) -> None:
        """Take the bar away, and close the board."""
        self.progress.close()
        if self._board is not None:
            self._board.close()


def _minutes(seconds: float) -> str:
    """Minutes and seconds, m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def tensorboard_writer(folder: Path) -> SummaryWriter:
    """TensorBoard writer.

    Raises:
        ConfigError: tensorboard is not installed.
    """
    from svebm_ext.errors import ConfigError

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "training.tensorboard: tensorboard is not installed; pip install 'svebm_ext[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder))


def describe(terms: dict[str, float]) -> str:
    """Loss terms in short form."""
    short = {"energy_positive": "F+", "energy_negative": "F-", "label": "ce", "bag_of_words": "bow"}
    return "  ".join(f"{short.get(name, name)} {value:.2f}" for name, value in terms.items())
