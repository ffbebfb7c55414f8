import pytest

from svebm_ext.config import DataConfig
from svebm_ext.data import Split, Vocabulary, text_bytes, unknown_share
from svebm_ext.data.coverage import unknown_note


def test_share_of_unknown_words():
    vocabulary = Vocabulary(["a", "b"])
    assert unknown_share([["a", "b"], ["c", "a", "<unk>", "b"]], vocabulary) == pytest.approx(2 / 6)
    assert unknown_share([], vocabulary) == unknown_share([[]], vocabulary) == 0


def test_advice_where_there_is_a_cure():
    own, ptb = DataConfig(corpus="lines"), DataConfig(corpus="ptb")
    assert "--data.tokenization bpe" in unknown_note(0.11, own)
    assert unknown_note(0.11, own).startswith("11.0% of the words")
    for share, data in ((0.1, own), (0.5, ptb), (0.5, DataConfig(corpus="lines", tokenization="bpe"))):
        assert "bpe" not in unknown_note(share, data)


def test_bytes_of_texts():
    words = [["été", "?"], ["a", "b", "c", "d"]]
    assert text_bytes(Split(words), 10) == [7, 7]
    assert text_bytes(Split(words, texts=["Été?", " a b c d"]), 10) == [6, 8]
    assert text_bytes(Split(words, texts=["Été?", " a b c d"]), 2) == [6, 4]
