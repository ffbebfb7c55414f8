"""log Z of a prior from below and from above, against numerical integration: python examples/log_z.py [--smoke]

Annealed importance sampling in both directions (Neal 2001; Grosse et al. 2015); with D = 2 a grid gives the truth.
"""

import math
import sys

import torch

from svebm_ext.prior.annealing import estimate_log_z
from svebm_ext.prior.network import EnergyMLP

n_chains, n_temperatures = (64, 40) if "--smoke" in sys.argv else (1000, 500)
torch.manual_seed(0)
energy = EnergyMLP(latent_dim=2, n_categories=4, hidden=(32,)).double()
with torch.no_grad():
    energy.layers()[-1][0].mul_(10.0)  # a prior that is clearly not N(0, I)

estimate = estimate_log_z(energy, 2, n_chains=n_chains, n_temperatures=n_temperatures, seed=0)

axis = torch.linspace(-12, 12, 801, dtype=torch.float64)
grid = torch.cartesian_prod(axis, axis)
log_density = energy.energy(grid) - 0.5 * grid.square().sum(1) - math.log(2 * math.pi)
truth = float(torch.logsumexp(log_density.detach(), 0)) + 2 * math.log(float(axis[1] - axis[0]))
print(f"lower end {estimate.lower:.4f}, standard error {estimate.lower_standard_error:.4f} nats")
print(f"upper end {estimate.upper:.4f}, standard error {estimate.upper_standard_error:.4f} nats")
print(f"by integration {truth:.4f} nats")
print(f"R-hat {estimate.r_hat:.3f}, effective chains {estimate.forward_ess:.0f} and {estimate.reverse_ess:.0f}")
