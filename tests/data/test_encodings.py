"""Which encoding a file has, which characters are refused, and where its lines end."""

import codecs
import gzip
import re
import subprocess

import pytest

from svebm_ext.data.encodings import decode, split_lines
from svebm_ext.data.examples import read_examples
from svebm_ext.errors import DataError

LATIN = "héllo wörld, ça va ?\nAchten Sie auf die Tür\nÖl und „Äpfel“ – 5 €\nplain words\n"
HINDI = "क्या आज बारिश होगी\nमेरा ऑर्डर कहाँ है\n"
CHINESE = "今天天气怎么样\n请播放音乐\n关灯\n"


@pytest.mark.parametrize("text", [LATIN, HINDI, CHINESE, "plain\nascii words\n"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("marked", [True, False])
def test_wide_encodings_with_and_without_mark(text, encoding, marked):
    mark = "\ufeff".encode(encoding) if marked else b""
    found, notes = decode(mark + text.encode(encoding), "a")
    assert found == text
    named = encoding[:6].upper() if marked else encoding.upper()
    assert len(notes) == 1 and f"a: read as {named}" in notes[0]


def test_utf8_wins_and_is_not_noted():
    assert decode(LATIN.encode(), "a") == (LATIN, [])
    assert decode(codecs.BOM_UTF8 + LATIN.encode(), "a") == (LATIN, [])


def test_marks_of_joined_files_are_left_out():
    text, notes = decode("\ufefftech\tone\n\ufefftech\ttwo\n".encode(), "a")
    assert text == "tech\tone\ntech\ttwo\n"
    assert notes == ["a: 1 byte-order marks inside the text left out"]
    assert decode("\ufeffone\n".encode("utf-16-le") + "\ufefftwo\n".encode("utf-16-le"), "a")[0] == "one\ntwo\n"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_western_letters_are_windows_1252(encoding):
    text = LATIN if encoding == "cp1252" else "plain\nnaïve café\nÉcole d'été\n"
    found, notes = decode(text.encode(encoding), "a")
    assert found == text
    line, word = (1, "héllo") if encoding == "cp1252" else (2, "naïve")
    assert len(notes) == 1 and f"read as Windows-1252 (line {line}, for instance '{word}')" in notes[0]
    assert "iconv -f" in notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "one\nпривет, как дела\n".encode("cp1251"),
            r"^a:2: .*may be windows-1251; convert it: iconv -f windows-1251 -t",
        ),
        ("one\nпривет, как дела\n".encode("koi8-r"), r"^a:2: .*iconv -f koi8-r -t utf-8 a > new\.txt"),
        ("こんにちは\n".encode("shift_jis"), r"^a:1: .*iconv -f shift_jis"),
        ("café wörld\n".encode("mac_roman"), r"^a:1: not UTF-8 \(byte 0x8e\).*iconv -f ENCODING"),
        ("zażółć gęślą jaźń\n".encode("cp1250"), r"^a:1: not UTF-8 .*cannot be recognised"),
        ("café\nnaïve\n".encode() + b"caf\xe9\n", r"^a:3: not UTF-8 \(byte 0xe9\), although the rest of the file is"),
        (codecs.BOM_UTF16_LE + b"a\0b", r"^a: begins as UTF-16, but is damaged at byte 4"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8a\0", r"^a: begins as UTF-16, but is damaged"),
    ],
)
def test_other_encodings_are_refused_with_a_command(content, message):
    with pytest.raises(DataError, match=message):
        decode(content, "a")


@pytest.mark.parametrize("name", ["standard input", "a b's.txt", "data.csv.gz", "plain.txt", "new.txt"])
@pytest.mark.parametrize(
    "content",
    [b"caf\xe9 \x81\n", "caf\u00e9\n".encode() * 3 + b"caf\xe9\n", b"a\0b\n", "привет, как дела\n".encode("cp1251")],
)
def test_the_command_that_a_message_proposes_can_be_run(content, name, tmp_path):
    """In a shell, on the very file: it gives a text that is read."""
    with pytest.raises(DataError) as raised:
        decode(content, name)
    proposed = re.search(
        r"(?:: |put )((?:perl|iconv|gzip) .*?)(?: \(iconv -l| before this command|$)", str(raised.value)
    )
    command = proposed[1].replace("ENCODING", "latin1").removesuffix(" |")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    given = content if name == "standard input" else b""
    done = subprocess.run(command, shell=True, cwd=tmp_path, input=given, capture_output=True)
    made = tmp_path / ("newer.txt" if name == "new.txt" else "new.txt")  # never what is read
    converted = done.stdout if name == "standard input" else made.read_bytes()
    assert converted and decode(converted.replace(b"\xc2\x81", b""), "new.txt")[1] == []
    assert (done.stdout != b"") == (name == "standard input") and b"No such file" not in done.stderr


def test_lines_of_another_encoding_are_counted_and_keep_their_letters(tmp_path):
    content = "café\n".encode() * 5 + b"caf\xe9\n" * 2 + "naïve\n".encode() + b"\x80 5\n"
    with pytest.raises(
        DataError, match=r"^a:6: .* and so are 2 further lines, although the rest .* read such lines as"
    ) as raised:
        decode(content, "a")
    (tmp_path / "a").write_bytes(content)
    subprocess.run(str(raised.value).split("Windows-1252: ")[1], shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / "new.txt").read_text() == "café\n" * 7 + "naïve\n€ 5\n"


def test_a_few_bytes_name_no_encoding():
    with pytest.raises(DataError, match=r"cannot be recognised; convert it: put iconv -f ENCODING -t utf-8 \| before"):
        decode(b"abc \xff\xfe\x80\n", "standard input")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\ntwo\0 x\n", r"^a:2: control character U\+0000 in column 4"),
        ("one\n\nth\x07ree\n", r"^a:3: control character U\+0007 in column 3"),
        ("one\rtw\x1bo\r", r"^a:2: control character U\+001B in column 3"),
        ("\x7f\n", r"^a:1: control character U\+007F in column 1"),
        ("é\x9b\n", r"^a:1: control character U\+009B in column 2"),
    ],
)
def test_control_characters_name_line_and_column(text, message):
    with pytest.raises(DataError, match=message):
        decode(text.encode(), "a")


def test_white_space_of_all_kinds_is_text():
    text = "a\tb\x0bc\x0cd\x85e\u2028f\u2029g\xa0h\n"
    assert decode(text.encode(), "a") == (text, [])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb", ["a", "b"]),
        ("a\rb\r", ["a", "b"]),
        ("a\r\r\nb\r\r\n", ["a", "b"]),
        ("a\rb\nc\n", ["a\rb", "c"]),
        ("a\u2028b\x0cc\x85d\x0be\n\nf\n", ["a\u2028b\x0cc\x85d\x0be", "", "f"]),
    ],
)
def test_lines_end_where_other_programs_count_them(text, lines):
    assert split_lines(text) == lines


def test_carriage_returns_inside_lines_are_noted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\rtwo\nthree\n")
    found = read_examples(path)
    assert found.texts == ["one\rtwo", "three"]
    assert found.notes == [f"{path}: carriage returns inside 1 line count as white space"]
