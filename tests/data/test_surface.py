"""Words back to text: what is learnt of capitals and spacing, and what is refused in a file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svebm_ext.data.surface import Surface
from svebm_ext.data.tokenize import tokenize
from svebm_ext.errors import DataError


def learn(texts, lowercase=True):
    return Surface.learn(texts, [tokenize(text, lowercase=lowercase) for text in texts])


def again(surface, text):
    return surface.to_text(tokenize(text))


ENGLISH = [
    "Can I get a card?",
    "I think I've lost my Visa card. What can I do?",
    'The man said "hello" to me, and I said "goodbye" to him.',
    "It costs $5, or 7% more (at least) in Paris.",
    "Is Paris in France? Yes, and London isn't.",
    "My card hasn't arrived; can I top-up at 7:30?",
    'Who said "never"? She lives in London and/or Rome.',
    "We paid $ 10 for the Visa card in Rome.",
    "I paid $5 and $7 in the U.S. economy.",
    "The U.S. card has a U.S. fee of $2.",
]


def test_sentences_of_a_clean_text_come_back_as_they_were():
    surface = learn(ENGLISH)
    wrong = [text for text in ENGLISH if again(surface, text) != text]
    assert wrong == ["We paid $ 10 for the Visa card in Rome."]  # most of the text has no space there


def test_new_sentences_are_written_like_the_text():
    surface = learn(ENGLISH)
    for text in (
        "What can London do? I think it hasn't arrived.",
        'Yes, he said "card" (and "Visa").',
        "The fee is $9 in the U.S. economy, or 3%.",
    ):
        assert again(surface, text) == text


def test_a_text_without_capitals_gets_none():
    surface = learn(["can i get a card?", "no, not in paris.", "why not?"])
    assert not surface.capital_start and not surface.forms and not surface.starts
    assert surface.to_text(["why", ",", "paris", "?"]) == "why, paris?"


def test_a_text_that_is_tokenised_already_stays_so():
    texts = ["it 's a card , is n't it ?", "the u.s. said `` no '' .", "( yes )"]
    surface = learn(texts)
    assert [again(surface, text) for text in texts] == texts


def test_words_that_kept_their_case_are_left_as_they_are():
    texts = ["Hello there, Paris.", "Hello to iPhone users.", "Yes."]
    surface = learn(texts, lowercase=False)
    assert not surface.capital_start and not surface.forms
    assert surface.to_text(["there", ",", "Hello", "."]) == "there, Hello."


def test_french_spacing_is_learnt():
    texts = ["Où est ma carte ?", "Quoi ? Non !", "Il dit : « Bonjour » et part."]
    texts += ["Ah\u202f! Voilà\u202f!", "Oh\u202f! Là\u202f!"]
    surface = learn(texts)
    assert surface.to_text(["où", "est", "«", "paris", "»", "?"]) == "Où est « paris » ?"
    assert surface.to_text(["oh", "!"]) == "Oh\u202f!"
    assert surface.to_text(["non", ",", "part", "."]) == "Non, part."


def test_most_frequent_form_within_sentences_counts():
    surface = learn(["The pin is here.", "The PIN is there.", "A PIN works.", "Pin it.", "Pin this.", "Pin that."])
    assert surface.forms == {"pin": "PIN"}
    assert surface.starts == {"pin": "Pin"}
    assert surface.to_text(["my", "pin"]) == "My PIN"
    assert surface.to_text(["pin", "?"]) == "Pin?"


def test_a_form_can_depend_on_the_word_before():
    texts = ["I like Apple Pay.", "Use Apple Pay.", "They pay me.", "We pay you.", "You pay us."]
    surface = learn(texts)
    assert surface.phrases == {("apple", "pay"): "Pay"}
    assert surface.to_text(["we", "pay", "apple", "pay"]) == "We pay Apple Pay"


def test_a_form_can_depend_on_the_word_after():
    texts = [
        "Ask the Security Council.",
        "See the Security Council.",
        "We like the security.",
        "A security risk, the security.",
    ]
    surface = learn([*texts, "The security of security."])
    assert surface.followed == {("security", "council"): "Security"}
    assert surface.to_text(["no", "security", "council", "security"]) == "No Security Council security"


def test_turkish_capitals_at_the_beginning_are_learnt():
    surface = learn(["İyi geceler.", "İyi günler.", "Işıkları kapat."])
    assert surface.to_text(["iyi", "geceler", "."]) == "İyi geceler."


def test_scripts_and_unknown_words():
    surface = learn(["क्या आज बारिश होगी?", "मेरा ऑर्डर कहाँ है?"])
    assert surface.to_text(tokenize("क्या आज है?")) == "क्या आज है?"
    assert surface.to_text(["<unk>", "है", "?"]) == "<unk> है?"


def test_entities_of_html_are_written_as_characters():
    texts = ["Fish &amp; chips, it&#39;s &quot;new&quot;.", "Salt &amp; pepper, it&#39;s &quot;old&quot;."]
    surface = learn(texts)
    assert [again(surface, text) for text in texts] == ['Fish & chips, it\'s "new".', 'Salt & pepper, it\'s "old".']


def test_scripts_without_spaces_between_words():
    texts = [
        "请问iPhone手机多少钱？",
        "我的手机丢了，怎么办？",
        "3月5日的火车票可以退吗，谢谢",
        "ラーメンを食べる。",
        "วันนี้ฝนจะตกไหม ช่วยเปิดเพลงหน่อย",
        "พรุ่งนี้ฝนจะตกไหม ช่วยปิดไฟหน่อย",
        "it is 20 degrees in Paris",
    ]
    surface = learn(texts)
    assert [again(surface, text) for text in texts] == texts
    assert surface.to_text(tokenize("火车多少钱？")) == "火车多少钱？"
    assert Surface().to_text(["手", "机"]) == "手机"  # nothing learnt


def test_without_text_the_usual_rules_hold():
    surface = learn([])
    assert surface.to_text(tokenize("no, (yes) [ok]; is it: $5 or 6%?")) == "no, (yes) [ok]; is it: $5 or 6%?"
    assert surface.to_text([]) == ""


@given(st.lists(st.text(max_size=12), max_size=4), st.text(max_size=20))
def test_text_of_words_has_these_words(texts, other):
    """Whatever is learnt, only case and spacing change, up to tokens that grow together."""
    surface = learn(texts)
    tokens = tokenize(other)
    written = surface.to_text(tokens)
    assert "".join(written.split()).replace("İ", "i").lower() == "".join(tokens).lower()
    assert Surface.from_dict(json.loads(json.dumps(surface.to_dict()))) == surface


def test_lengths_must_agree():
    with pytest.raises(DataError, match="2 texts for 1 sentences"):
        Surface.learn(["a", "b"], [["a"]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forms": {"paris": "London"}}, "'London' is no written form of 'paris'"),
        ({"forms": {"paris": 5}}, "no written form"),
        ({"forms": {"a b": "A B"}}, "no written form"),
        ({"starts": []}, "starts must be an object"),
        ({"spacing": [["a", "b", "\x1b[31m"]]}, "spacing: .* does not fit"),
        ({"exceptions": [["a", "b"]]}, "expected two tokens"),
        ({"phrases": [["a", "b", "c"]]}, "phrases: 'c' does not fit"),
        ({"phrases": {}}, "phrases must be a list"),
        ({"followed": [["a", "b", "B"]]}, "followed: 'B' does not fit"),
        ({"capital_start": 1}, "capital_start must be true or false"),
        ({"more": 1}, "expected an object with"),
    ],
)
def test_what_no_surface_wrote_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        Surface.from_dict(Surface().to_dict() | change)


def test_tables_are_bounded(monkeypatch):
    monkeypatch.setattr("svebm_ext.data.surface.MAX_ENTRIES", 2)
    surface = learn(["The A1 or Bb or Cc or Cc or Bb or Dd."])
    assert surface.forms == {"bb": "Bb", "cc": "Cc"}
    with pytest.raises(DataError, match="at most 2 entries"):
        Surface.from_dict(Surface().to_dict() | {"forms": {"a": "A", "b": "B", "c": "C"}})
