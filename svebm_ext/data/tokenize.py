"""Text to tokens, for text that is not tokenised yet."""

import functools
import html
import re
import unicodedata
from typing import Literal

from ..errors import ConfigError

Tokenization = Literal["words", "whitespace"]

# In this order: PTB's "<unk>" and the like; numbers ("1,000.5", "7:30"); words with inner apostrophes and hyphens
# ("don't", "check-in"); runs of dots or dashes; any other single character.
_TOKEN = re.compile(r"<\w+>|\d+(?:[.,:]\d+)*(?!\w)|\w+(?:['’-]\w+)*|\.\.+|--+|\S")

#: Characters as HTML writes them: by number or by name.
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")

#: Zero-width space: a break between words that is not seen.
_BREAK = "\u200b"
#: Zero-width joiner and non-joiner: parts of a word between its letters.
_JOINERS = "\u200c\u200d"
#: Scripts whose words have no spaces between them.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
#: Vowels of Thai and Lao that are written before their consonant, and behind it; signs that join two consonants.
_VOWELS_BEFORE, _VOWELS_BEHIND = "\u0e40-\u0e44\u0ec0-\u0ec4", "\u0e30\u0e32\u0e33\u0e45\u0eb0\u0eb2\u0eb3"
_STACKERS = "\u17d2\u1039"


def tokenize(text: str, tokenization: Tokenization = "words", lowercase: bool = True) -> list[str]:
    """Tokens of `text`, in order.

    A word is a run of letters, digits, their marks, and joiners between them. Of scripts without spaces between words
    (Chinese characters, hiragana, Thai, Lao, Khmer, Burmese) each character is a token, with its vowels and marks. An
    emoji is one token with its modifiers. Other format characters (soft hyphens, byte-order marks, marks of direction)
    are left out, and so are marks that belong to no character. An entity of HTML ("&amp;") is its character.

    Args:
        text: any text; it is brought to Unicode normal form C first.
        tokenization: "words" separates punctuation from words; "whitespace" splits at white space only, for text that
            is tokenised already.
        lowercase: whether tokens are lower-cased.

    Raises:
        ConfigError: an unknown tokenization.
    """
    if tokenization not in ("words", "whitespace"):
        raise ConfigError(f"tokenization must be 'words' or 'whitespace', not {tokenization!r}")
    if tokenization == "words":
        text = without_entities(text)
    ascii_only = text.isascii()
    if not ascii_only:
        text = normalise(text) if tokenization == "words" else unicodedata.normalize("NFC", text)
    if lowercase:
        text = lower(text)
    if tokenization == "whitespace":
        return text.split() if ascii_only else [token for token in text.split() if not is_blank(token)]
    return (_TOKEN if ascii_only else _patterns().token).findall(text)


def without_entities(text: str) -> str:
    """Text with the characters that entities of HTML stand for ("&amp;", "&#39;"); those of no character stay."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text) if "&" in text else text


def normalise(text: str) -> str:
    """Text in Unicode normal form C, without format characters; a zero-width space becomes a space.

    Joiners stay where they stand, and so do the tags in emoji of flags.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _patterns().format.sub("", text.replace(_BREAK, " ")))


def lower(text: str) -> str:
    """Text in lower case, in Unicode normal form C; "İ" becomes "i", not "i" and a dot above it."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text.replace("İ", "i").lower())


def is_unspaced(token: str) -> bool:
    """Whether a token is a character of a script without spaces between words."""
    return not token[0].isascii() and _patterns().unspaced.match(token) is not None


def is_blank(text: str) -> bool:
    """Whether nothing of `text` could be a token: white space, format characters and lone marks alone."""
    return not text.strip() if text.isascii() else _patterns().visible.search(text) is None


class _Patterns:
    """Patterns for text beyond ASCII, which need the properties of Unicode; ten times as slow as those of `re`."""

    def __init__(self) -> None:
        import regex

        letter = rf"[[\p{{L}}\p{{N}}_]--[{_UNSPACED}]]"
        part = rf"[[\p{{L}}\p{{N}}_\p{{M}}]--[[{_UNSPACED}]--\p{{M}}]]"
        word = rf"{letter}(?:[{_JOINERS}]*{part})*"
        alone = rf"[[{_UNSPACED}]&&[\p{{L}}\p{{N}}]]"
        character = (
            rf"[{_VOWELS_BEFORE}]?{alone}(?:[{_STACKERS}]{alone})*"
            rf"(?:[{_JOINERS}]*[\p{{M}}{_VOWELS_BEHIND}])*"
        )
        flag = "[\U0001f1e6-\U0001f1ff]"
        picture = r"[\p{Extended_Pictographic}\p{Emoji_Presentation}][\p{M}\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
        # Not \X, which would join a letter to an emoji before it where a mark of the letter's script comes first.
        emoji = rf"{flag}{flag}\p{{M}}*|{picture}(?:\u200d{picture})*|[0-9#*]\ufe0f?\u20e3"
        # The separators U+001C to U+001F are white space to Python, and so to the vocabulary.
        other = r"[^\s\x1c-\x1f\p{M}\p{Cf}]\p{M}*"
        self.token = regex.compile(
            rf"{emoji}|<{word}>|\d+(?:[.,:]\d+)*(?!{part}|[{_JOINERS}]+{part})|{character}"
            rf"|{word}(?:['’-]{word})*|\.\.+|--+|{other}",
            regex.V1,
        )
        self.unspaced = regex.compile(alone, regex.V1)
        self.visible = regex.compile(r"[^\s\x1c-\x1f\p{M}\p{Cf}]")
        # Tags (U+E0020 to U+E007F) spell the flags of regions.
        self.format = regex.compile(rf"(?![{_JOINERS}\U000e0020-\U000e007f])\p{{Cf}}")


@functools.cache
def _patterns() -> _Patterns:
    return _Patterns()
