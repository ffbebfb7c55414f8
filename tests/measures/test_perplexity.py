"""Likelihood per token and per byte."""

import math

import pytest

from svebm_ext.errors import DataError
from svebm_ext.measures.perplexity import bits_per_byte, perplexity


def test_bits_per_byte():
    assert bits_per_byte(8 * 5 * math.log(2), 5) == pytest.approx(8)  # as many bits as bytes have: nothing is known
    with pytest.raises(DataError, match="0 bytes"):
        bits_per_byte(1.0, 0)


def test_perplexity():
    assert perplexity(10 * math.log(8), 10) == pytest.approx(8)
    assert perplexity(1e9, 1) == math.inf
    with pytest.raises(DataError, match="positive"):
        perplexity(1.0, 0)
