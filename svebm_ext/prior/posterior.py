"""Langevin sampling of the posterior p(z|x), through the generator by autograd (Eq. 9)."""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.langevin import LangevinResult, langevin_autograd
from svebm_ext.prior.network import EnergyMLP


def sample_posterior(
    z: Float[Tensor, "N D"],
    log_likelihood: Callable[[Tensor], Tensor],
    energy: EnergyMLP | None = None,
    *,
    n_steps: int,
    step_size: float,
    seed: int,
    metropolis: bool = False,
    first_step: int = 0,
    chain_ids: Int[Tensor, " N"] | None = None,
    diagnostics: bool = False,
) -> LangevinResult:
    """Sample p(z|x) proportional to exp(F(z)) N(z; 0, I) p(x|z), one chain per row (Eq. 9).

    z <- z + s (grad F(z) - z + grad log p(x|z)) + sqrt(2 s) e. Samples of q(z|x) are good starting points: with them,
    how far the chains move away tells how far q(z|x) is from the posterior.

    Args:
        z: starting points [N, D], left unchanged.
        log_likelihood: z [N, D] -> log p(x_n | z_n) [N] in nats, each entry depending on its own row only. Switch the
            generator's dropout off, or every step has another target.
        energy: network of F; None for a normal prior.
        n_steps: S.
        step_size: s. The likelihood of a long text is much steeper than the prior, and needs a smaller step than it.
        seed: of the noise. Chains that share it with chains of the prior need other `chain_ids`.
        metropolis: accept or reject each move, so that the posterior is left invariant exactly.
        first_step: absolute number of the first step.
        chain_ids: absolute ids of the chains [N]; default 0 to N - 1.
        diagnostics: report mean F + log p(x|z), and gradient norm, of each step.

    Raises:
        ConfigError: an argument has a wrong shape, type, device or value.
    """

    def log_density(point: Tensor) -> Tensor:
        likelihood = log_likelihood(point)
        return likelihood if energy is None else likelihood + energy.energy(point)

    return langevin_autograd(
        z,
        log_density,
        n_steps=n_steps,
        step_size=step_size,
        seed=seed,
        reference_precision=1.0,
        metropolis=metropolis,
        first_step=first_step,
        chain_ids=chain_ids,
        diagnostics=diagnostics,
    )
