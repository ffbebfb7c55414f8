"""Step sizes s of z <- z + s grad log p(z) + sqrt(2 s) e (Eq. 7): fixed, falling, or led by their acceptance.

Those of an annealing run, at each temperature, are `prior.schedule`'s.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

#: Steps that sample the finished prior from N(0, I): the first at a size that N(0, I) allows, then smaller and smaller
#: ones. Unadjusted steps of one size sample a blurred density (at .125 F falls short by ten nats where it is sharp);
#: the small ones take that back, and the large ones before have gone the way.
COARSE_STEPS, FINER_STEPS = 50, 450
COARSE_STEP, FINEST_STEP = 0.125, 0.005
#: Acceptance at which the adjusted chain moves fastest in high dimension (Roberts & Rosenthal 1998).
TARGET_ACCEPTANCE = 0.574
#: Metropolis-adjusted steps: how quickly their size follows their acceptance, and its bounds.
ADAPTATION, SMALLEST_STEP, LARGEST_STEP = 0.1, 1e-4, 0.5


def falling_steps(
    first: float, last: float, n_steps: int, device: torch.device | str | None = None
) -> Float[Tensor, " S"]:
    """Step sizes in geometric progression."""
    return torch.logspace(math.log10(first), math.log10(last), n_steps, dtype=torch.float32, device=device)


def sampling_steps(step_size: float, device: torch.device | None = None) -> Float[Tensor, " S"]:
    """Step sizes to sample from the finished prior; those of training only where they reach beyond the usual range."""
    coarse, finest = max(step_size, COARSE_STEP), min(step_size, FINEST_STEP)
    finer = falling_steps(coarse, finest, FINER_STEPS, device)
    return torch.cat((torch.full((COARSE_STEPS,), coarse, dtype=torch.float32, device=device), finer))


def adapted_step_size(step_size: float, acceptance: float) -> float:
    """The next size of Metropolis-adjusted steps: larger where more moves than TARGET_ACCEPTANCE are accepted."""
    adapted = step_size * math.exp(ADAPTATION * (acceptance - TARGET_ACCEPTANCE))
    return min(max(adapted, SMALLEST_STEP), LARGEST_STEP)
