"""Sample p(z) proportional to exp(F(z)) N(z; 0, I), and p(z|y), by Langevin: python examples/sample_prior.py [--smoke]

Also shows how random numbers are addressed: 60 steps equal 20 followed by 40 with the same seed.
"""

import sys

import torch

from svebm_ext.ops.langevin import langevin
from svebm_ext.prior.network import EnergyMLP

N, S = (16, 60) if "--smoke" in sys.argv else (4096, 60)
torch.manual_seed(0)
energy = EnergyMLP(latent_dim=8, n_categories=5, hidden=(32, 32))
with torch.no_grad():
    energy.layers()[-1][0].mul_(5.0)  # untrained, the prior would be nearly N(0, I)
z = torch.randn(N, 8)
result = langevin(z, energy.layers(), n_steps=S, step_size=0.125, seed=1, diagnostics=True)
print(f"mean F of {N} chains: {result.mean_energy[0]:.4f} before, {result.mean_energy[-1]:.4f} at the last step")

first = langevin(z, energy.layers(), n_steps=20, step_size=0.125, seed=1).z
second = langevin(first, energy.layers(), n_steps=S - 20, step_size=0.125, seed=1, first_step=20).z
print(f"largest difference of {S} steps and 20 + {S - 20}: {(result.z - second).abs().max():.1e}")

symbols = torch.full((N,), 3)
conditional = langevin(z, energy.layers(), n_steps=S, step_size=0.125, seed=1, labels=symbols).z
print(f"mean p(y = 3 | z): {energy.log_posterior_symbol(result.z).exp()[:, 3].mean():.4f} for z of p(z), ", end="")
print(f"{energy.log_posterior_symbol(conditional).exp()[:, 3].mean():.4f} for z of p(z | y = 3)")
