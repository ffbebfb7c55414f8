import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from svebm_ext.errors import DataError
from svebm_ext.measures.frequencies import word_frequency_divergence


def test_worked_example_with_a_skipped_word():
    """Samples: a 3/4, b 1/4 (zzz skipped); training: a 1/2, b 1/4, c 1/4."""
    result = word_frequency_divergence([["a", "a", "zzz"], ["a", "b"]], [["a", "b"], ["c", "a"]])
    assert result.divergence == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(1.0))
    assert (result.n_words, result.n_skipped) == (4, 1)


def test_equals_scipys_relative_entropy():
    generator = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]
    samples, training = (
        [list(generator.choice(words, size=8, p=p)) for _ in range(400)] for p in generator.dirichlet(np.ones(30), 2)
    )
    counts = [[sum(row.count(w) for row in text) for w in words] for text in (samples, training)]
    keep = np.array(counts[1]) > 0
    expected = scipy.stats.entropy(np.array(counts[0])[keep], np.array(counts[1])[keep])
    # scipy normalises the training counts over the same words, all that the training set has.
    assert word_frequency_divergence(samples, training).divergence == pytest.approx(expected)


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1), min_size=1))
def test_own_frequencies_have_no_divergence_and_others_a_positive_one(sentences):
    assert word_frequency_divergence(sentences, sentences).divergence == pytest.approx(0, abs=1e-12)
    assert word_frequency_divergence(sentences, [*sentences, ["a", "b", "c", "d"]]).divergence > -1e-12


def test_generators_are_accepted():
    assert word_frequency_divergence((row for row in [["a"]]), (row for row in [["a"]])).n_words == 1


def test_nothing_to_compare_is_an_error():
    with pytest.raises(DataError, match="training set has no words"):
        word_frequency_divergence([["a"]], [[]])
    with pytest.raises(DataError, match="none of the 1 sample words"):
        word_frequency_divergence([["z"]], [["a"]])
