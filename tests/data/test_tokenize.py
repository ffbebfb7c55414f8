import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svebm_ext.data.tokenize import is_blank, tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, world!", "hello , world !"),
        ("don't check-in", "don't check-in"),
        ("That’s right.But shall we?", "that’s right . but shall we ?"),
        ("it costs $1,000.50 at 7:30.", "it costs $ 1,000.50 at 7:30 ."),
        ("well... no--yes", "well ... no -- yes"),
        ("the 3rd <unk> N", "the 3rd <unk> n"),
        ("e\u0301te\u0301", "été"),
        ("  tabs\tand\u3000wide spaces ", "tabs and wide spaces"),
        ("我喜欢", "我 喜 欢"),
        ("", ""),
    ],
)
def test_examples(text, tokens):
    assert tokenize(text) == tokens.split()


def test_options():
    assert tokenize("Hello, World", "whitespace") == ["hello,", "world"]
    assert tokenize("Hello, World", lowercase=False) == ["Hello", ",", "World"]


HINDI = "क्या आज बारिश होगी"
ARABIC = "كَيْفَ الطَّقْسُ اليَوْمَ"
THAI = "วันนี้ฝนจะตกไหม ช่วยเปิดเพลงหน่อย"
PERSIAN = "او می\u200cخواهد برود"
WALES = "🏴" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbwls") + "\U000e007f"  # a flag spelt by tags
MARATHI = "क्\u200dष र\u200d्य"  # joiners before a letter, and before a mark


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("iPhone手机3点、3月5日。", "iphone 手 机 3 点 、 3 月 5 日 。"),
        ("a手b 3g网 naïve的", "a 手 b 3g 网 naïve 的"),
        ("今日はラーメンを食べる", "今 日 は ラーメン を 食 べ る"),
        ("서울 날씨가 어때", "서울 날씨가 어때"),  # Korean has spaces
        (THAI, "วั น นี้ ฝ น จะ ต ก ไห ม ช่ ว ย เปิ ด เพ ล ง ห น่ อ ย"),
        ("ຂ້ອຍຢູ່ລາວ", "ຂ້ ອ ຍ ຢູ່ ລາ ວ"),
        ("ខ្ញុំស្រឡាញ់", "ខ្ញុំ ស្រ ឡា ញ់"),
        ("မြန်မာ", "မြ န် မာ"),
    ],
)
def test_scripts_without_spaces_between_words(text, tokens):
    assert tokenize(text) == tokens.split()
    assert tokenize(text, "whitespace") == text.lower().split()


@pytest.mark.parametrize("text", [HINDI, ARABIC, PERSIAN, MARATHI])
@pytest.mark.parametrize("tokenization", ["words", "whitespace"])
def test_marks_and_joiners_stay_in_their_words(text, tokenization):
    assert tokenize(text, tokenization) == unicodedata.normalize("NFC", text).split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("İstanbul'da hava nasıl?", "istanbul'da hava nasıl ?"),
        ("IŞIKLARI kapat", "işiklari kapat"),  # no locale: I is i in all languages but Turkish
        ("thanks👍🏽👍", "thanks 👍🏽 👍"),
        ("family 👩\u200d👩\u200d👧 trip", "family 👩\u200d👩\u200d👧 trip"),
        ("🇩🇪🇫🇷 ❤️!", "🇩🇪 🇫🇷 ❤️ !"),
        ("1️⃣2️⃣ 1 2", "1️⃣ 2️⃣ 1 2"),
        (f"{WALES}.", f"{WALES} ."),
        ("\ufeffco\u00adoperate\u200bnow", "cooperate now"),
        ("\u200fשלום\u200e.", "שלום ."),
        ("\u200d \u200c a\u200d", "a"),
        ("\u0301 a", "a"),
        ("e\u00ad\u0301", "é"),
        ("<naïve> l’été 12,5€", "<naïve> l’été 12,5 €"),
    ],
)  # fmt: skip
def test_scripts_and_emoji(text, tokens):
    assert tokenize(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("fish &amp; chips", "fish & chips"),
        ("it&#39;s &quot;new&quot;&nbsp;here", 'it\'s " new " here'),
        ("caf&eacute; &mdash; 5&#x20AC;", "café — 5 €"),
        ("at&t; &nosuch; a&b c=1&copy=2", "at & t ; & nosuch ; a & b c = 1 & copy = 2"),
        ("&amp;lt;", "& lt ;"),  # written twice, read once
    ],
)
def test_entities_of_html_are_their_characters(text, tokens):
    assert tokenize(text) == tokens.split()
    assert tokenize(text, "whitespace") == text.lower().split()


@pytest.mark.parametrize("text", ["", " \t", "\u200b", "\ufeff \u00ad", "\u0301", "\u200d\u200e"])
def test_blank_text_has_no_token(text):
    assert is_blank(text) and tokenize(text) == tokenize(text, "whitespace") == []
    assert not is_blank(text + "क्")


def kept(text):
    """What must come back: everything but white space, marks and format characters, which depend on their place."""
    text = unicodedata.normalize("NFD", text)
    return [
        c for c in text if not c.isspace() and unicodedata.category(c)[0] != "M" and unicodedata.category(c) != "Cf"
    ]


#: Letters and what can stand between them, in every order.
UNSEEN = ["\u200b", "\u200c", "\u200d", "\ufeff", "\u00ad"]
pieces = st.lists(
    st.sampled_from([*"ae1İ.'-!<> ", *"कष्ााَّวนี้เะ手は", *UNSEEN, "\u0301", "\ufe0f", *"👍🏽👩🇩🇪"]),
).map("".join)
#: Characters that this Python knows: another version of Unicode may know more, and call them marks.
any_text = st.text(st.characters(exclude_categories=["Cn", "Co", "Cs"])) | pieces


@given(any_text)
def test_no_character_is_lost_but_white_space_and_what_is_not_seen(text):
    assert kept("".join(tokenize(text, lowercase=False))) == kept(text)
    assert kept("".join(tokenize(text, "whitespace", lowercase=False))) == kept(text)


@given(any_text)
def test_tokens_are_words(text):
    for token in [*tokenize(text), *tokenize(text, "whitespace")]:
        assert token.split() == [token]
        assert not all(unicodedata.category(c)[0] == "M" or unicodedata.category(c) == "Cf" for c in token)


@given(any_text)
def test_tokens_are_in_normal_form_and_stay_what_they_are(text):
    tokens = tokenize(text)
    assert tokenize(" ".join(tokens)) == tokens
    assert all(unicodedata.is_normalized("NFC", token) for token in tokens)


@given(st.text(st.characters(codec="ascii")))
def test_joined_tokens_tokenise_to_themselves(text):
    tokens = tokenize(text)
    assert tokenize(" ".join(tokens)) == tokens
