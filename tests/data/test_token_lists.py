"""Lists of tokens held as numbers are what lists of strings are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svebm_ext.data import token_lists
from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.corpus import Split
from svebm_ext.data.coverage import unknown_share
from svebm_ext.data.token_lists import TokenLists, chosen, counts_of, ids_of, lengths_of
from svebm_ext.data.vocabulary import Vocabulary

LISTS = st.lists(st.lists(st.sampled_from(["a", "b", "über", "<unk>", "<eos>", ",", "東京"]), max_size=6), max_size=30)


@pytest.fixture(params=[1, 4, 10_000])
def lists_at_a_time(request, monkeypatch):
    monkeypatch.setattr(token_lists, "_LISTS", request.param)


@pytest.mark.usefixtures("lists_at_a_time")
class TestTokenLists:
    @given(LISTS)
    def test_is_the_sequence_that_it_was_made_of(self, lists):
        held = TokenLists.of(iter(lists))
        assert list(held) == lists and held == lists and len(held) == len(lists)
        assert [held[i] for i in range(-len(lists), len(lists))] == [*lists, *lists]
        assert list(held[1::2]) == lists[1::2] and list(held[::-1]) == lists[::-1]
        assert lengths_of(held).tolist() == lengths_of(lists).tolist() == [len(tokens) for tokens in lists]

    @given(LISTS, st.data())
    def test_parts_have_the_lists_that_were_chosen(self, lists, data):
        indices = data.draw(st.lists(st.integers(0, len(lists) - 1))) if lists else []
        part = chosen(TokenLists.of(lists), indices)
        assert list(part) == list(chosen(lists, indices)) == [lists[i] for i in indices]
        assert counts_of(part) == counts_of([lists[i] for i in indices])
        assert list(part + lists) == [*part, *lists] and list(lists + part) == [*lists, *part]

    @given(LISTS, st.integers(2, 7))
    def test_encodes_as_lists_of_strings_do(self, lists, max_tokens):
        held, vocabulary = TokenLists.of(lists), Vocabulary(["b", "über", ","])
        assert Vocabulary.build(held, max_size=3) == Vocabulary.build(lists, max_size=3)
        assert unknown_share(held, vocabulary) == unknown_share(lists, vocabulary)
        assert ids_of(held, vocabulary.encode).tolist() == [i for tokens in lists for i in vocabulary.encode(tokens)]
        encoded = EncodedSplit.from_split(Split(held[::-1]), vocabulary, max_tokens)
        expected = [vocabulary.encode(tokens)[: max_tokens - 2] for tokens in reversed(lists)]
        assert [encoded.words(i) for i in range(len(encoded))] == expected
        assert encoded.n_truncated == sum(len(tokens) > max_tokens - 2 for tokens in lists)

    def test_refuses_an_index_that_it_does_not_have(self):
        with pytest.raises(IndexError):
            TokenLists.of([["a"]])[1]

    def test_differs_from_other_lists(self):
        held = TokenLists.of([["a"], ["b", "a"]])
        assert held != [["a"]] and held != [["a"], ["b"]] and held != "ab" and held != 3

    def test_parts_share_the_tokens(self):
        held = TokenLists.of([["a", "b"]] * 1000)
        assert np.shares_memory(held[10:]._numbers, held._numbers)
