"""How far long work is whose end may not be known: one line on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time

from svebm_ext.terminal import say

#: Seconds before anything is shown, between the changes of a line on a terminal, and between lines elsewhere.
BEGIN, TERMINAL_INTERVAL, QUIET_INTERVAL = 3.0, 0.5, 10.0
#: Characters of a line at most.
WIDEST = 79


class Tally:
    """Things that are done, on standard error.

    Args:
        what: is counted, in the plural.
        enabled: False shows nothing.
    """

    def __init__(self, what: str, *, enabled: bool = True) -> None:
        self._what, self._enabled = what, enabled
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._start = time.monotonic()
        self._next = self._start + (BEGIN if self._is_terminal else QUIET_INTERVAL)
        self._shown = 0

    def update(self, n: int, share: float | None = None) -> None:
        """Show that n are done, where it is time to.

        Args:
            n: so far.
            share: of all, where it is known.
        """
        now = time.monotonic()
        if not self._enabled or now < self._next:
            return
        text = self.text(n, now - self._start, share)
        if self._is_terminal:
            self._next = now + TERMINAL_INTERVAL
            say(text.ljust(self._shown), over=True)
            self._shown = len(text)
        else:
            self._next = now + QUIET_INTERVAL
            say(text)

    def text(self, n: int, seconds: float, share: float | None) -> str:
        """A line of at most 79 characters: 412,000 texts, 20,100 a second, 41 %, 0:29 left."""
        parts = [f"{n:,} {self._what}", f"{n / max(seconds, 1e-9):,.0f} a second"]
        if share:
            left = int(seconds / share * (1.0 - share))
            parts += [f"{int(100 * share)} %", f"{left // 60}:{left % 60:02d} left"]
        return ", ".join(parts)[:WIDEST]

    def close(self) -> None:
        """Take the line on a terminal away."""
        if self._shown:
            say(" " * self._shown, over=True)
            say("", over=True)
            self._shown = 0
