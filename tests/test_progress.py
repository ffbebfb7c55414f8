"""How far long work is: nothing at first, then one short line on a terminal, a line now and then elsewhere."""

import io

import pytest

from svebm_ext import progress
from svebm_ext.progress import Tally


@pytest.fixture
def clock(monkeypatch):
    times = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: times[0])
    return times


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_one_line_that_is_taken_away(clock, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    tally = Tally("texts")
    for second in range(8):
        clock[0] = 100.0 + second / 2
        tally.update(1000 * second, second / 10)
    assert stream.getvalue().startswith("\r6,000 texts, 2,000 a second, 60 %, 0:02 left\r7,000 texts")
    tally.close()
    assert stream.getvalue().endswith("\r" + " " * len("7,000 texts, 2,000 a second, 70 %, 0:01 left") + "\r")
    assert "\n" not in stream.getvalue()


def test_elsewhere_there_is_a_line_now_and_then(clock, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    tally, silent = Tally("texts"), Tally("texts", enabled=False)
    for second in range(26):
        clock[0] = 100.0 + second
        tally.update(1000 * second)
        silent.update(second)
    tally.close()
    assert stream.getvalue() == "10,000 texts, 1,000 a second\n20,000 texts, 1,000 a second\n"


def test_lines_fit_a_terminal_of_80_columns():
    text = Tally("texts").text(10**12, 1.0, 0.00001)
    assert len(text) <= 79 and text.startswith("1,000,000,000,000 texts, ")
