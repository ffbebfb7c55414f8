"""What the K logits f(z) say of a vector: its symbol (Eq. 3) and its energy (Eq. 5).

Sign convention of the whole package: the energy F is HIGHER where a vector is MORE probable.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def energy_of(logits: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch"]:
    """F = logsumexp_k f_k, the symbols summed out of exp(<y, f(z)>) (Eq. 5), in nats."""
    return torch.logsumexp(logits, dim=-1)


def log_symbols_of(logits: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch K"]:
    """log p(y|z) = log softmax(f(z)), of every symbol (Eq. 3)."""
    return torch.log_softmax(logits, dim=-1)
