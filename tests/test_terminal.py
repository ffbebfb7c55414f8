"""What is printed: no character of a user's text, a file or a model acts on the terminal."""

import io
import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest

import svebm_ext
from svebm_ext import terminal
from svebm_ext.evaluation.report import ReportContext, metrics_document, render_report
from svebm_ext.evaluation.summary import print_summary
from svebm_ext.training.loggers import Progress

HOSTILE = "\x1b]0;owned\x07\x1b[31m a\x9bb\x7f \u202ex\u2066"
BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_unsafe(character):
    """By Unicode's own tables: controls, and what changes the direction of the text that follows."""
    controls = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    return controls or unicodedata.bidirectional(character) in BIDIRECTIONAL or character in "\u061c\u200e\u200f"


def test_every_control_character_is_escaped_and_no_other():
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        shown = terminal.printable(character)
        if is_unsafe(character):
            assert shown.isascii() and shown.isprintable() and shown.startswith("\\"), hex(code)
            assert shown.encode().decode("unicode_escape") == character or 0xD800 <= code < 0xE000
        else:
            assert shown == character, hex(code)
    assert terminal.printable("a\nb\tc", "\n") == "a\nb\\tc"


def test_json_stays_json():
    record = {"text": HOSTILE, "label": "caf\u00e9 \u2028"}
    for dumped in (json.dumps(record), json.dumps(record, ensure_ascii=False, indent=2)):
        shown = terminal.printable_json(dumped)
        assert json.loads(shown) == record
        assert not any(is_unsafe(c) for c in shown.replace("\n", ""))


def test_messages_and_results_are_escaped(capsys):
    terminal.show(f"{HOSTILE}\tb\nc")
    terminal.say(HOSTILE)
    Progress(10, 0).say(f"sample {HOSTILE}\nsecond line")
    context = ReportContext("t", {}, 0, "cpu", warnings=[HOSTILE], summary=[HOSTILE], texts={"samples": [HOSTILE]})
    document = metrics_document({}, context)
    print_summary(document)
    printed = capsys.readouterr()
    for text in (printed.out, printed.err, render_report(document, context)):
        assert "owned" in text and "\\x1b" in text
        assert not any(is_unsafe(c) for c in re.sub("[\n\t]", "", text))


def test_all_printing_goes_through_one_place():
    """A new `print` of a user's text would forget to escape it."""
    allowed = {"terminal.py": 2, "loggers.py": 1, "table.py": 1}  # the place itself; rich, with text that is escaped
    package = Path(svebm_ext.__file__).parent
    for path in package.rglob("*.py"):
        calls = re.findall(r"(?<![\w\"])(?:\w+\([^)]*\)\.|console\.)?print\(", path.read_text(encoding="utf-8"))
        assert len(calls) <= allowed.get(path.name, 0), path


def test_a_message_that_nobody_can_read_stops_nothing(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Gone())
    terminal.say("lost")
    Progress(10, 0).say("lost")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device", "a/b"), "a/b: No space left on device; free some space"),
        (OSError(30, "Read-only file system", "a"), "a: Read-only file system; choose a place that can be written"),
        (OSError(36, "File name too long", b"a"), "a: File name too long; choose a shorter name"),
        (OSError(13, "Permission denied", "a", None, "b"), "b: Permission denied; choose a place"),
        (OSError(2, "No such file or directory", 5), "5: No such file or directory; check the path"),
        (OSError("odd"), "odd; check that the place"),
    ],
)
def test_errors_of_the_system_name_place_reason_and_cure(error, expected):
    described = terminal.describe_os_error(error)
    assert described.startswith(expected) and "\n" not in described


def test_one_thing_is_counted_as_one():
    from svebm_ext.terminal import counted

    assert [counted(n, "text") for n in (0, 1, 2, 2000)] == ["0 texts", "1 text", "2 texts", "2,000 texts"]
    assert [counted(n, "text has", "texts have") for n in (1, 2)] == ["1 text has", "2 texts have"]
