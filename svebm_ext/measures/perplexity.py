"""The likelihood of texts per token and per byte, so that texts of different length can be compared."""

import math

from svebm_ext.errors import DataError


def bits_per_byte(nll: float, n_bytes: int) -> float:
    """Bits that the model needs for a byte of text: NLL / (bytes log 2), which does not depend on tokens.

    Args:
        nll: of all texts together, in nats.
        n_bytes: of all texts together, in UTF-8.

    Raises:
        DataError: no byte.
    """
    if n_bytes < 1:
        raise DataError(f"bits per byte of {n_bytes} bytes, expected at least 1")
    return nll / (n_bytes * math.log(2))


def perplexity(nll_sum: float, n_tokens: int) -> float:
    """Perplexity per token, exp(NLL / tokens); the end-of-sentence token counts as a token.

    Args:
        nll_sum: negative log-likelihood of the whole set, nats.
        n_tokens: predicted tokens of the whole set, ends of sentences included.

    Returns:
        The perplexity, infinite where it is beyond a double.

    Raises:
        DataError: if `n_tokens` is not positive.
    """
    if n_tokens <= 0:
        raise DataError(f"perplexity needs a positive number of tokens, got {n_tokens}")
    try:
        return math.exp(nll_sum / n_tokens)
    except OverflowError:
        return math.inf
