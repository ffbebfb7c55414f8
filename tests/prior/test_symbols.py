"""The symbol and the energy of logits, against scipy in float64."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from svebm_ext.prior.symbols import energy_of, log_symbols_of


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_energy_and_symbols_of_logits(scale):
    logits = scale * torch.randn(2, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    energy = logsumexp(logits.numpy(), axis=-1)
    np.testing.assert_allclose(energy_of(logits), energy, rtol=1e-12)
    np.testing.assert_allclose(log_symbols_of(logits), logits.numpy() - energy[..., None], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(log_symbols_of(logits).exp().sum(-1), 1.0)
