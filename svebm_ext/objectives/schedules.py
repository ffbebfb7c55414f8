"""What changes over a run: weight w of the divergence terms, weight of the labels, step sizes."""

from __future__ import annotations

import math

from svebm_ext.config import ObjectiveConfig


def kl_weight(step: int, max_steps: int, config: ObjectiveConfig) -> float:
    """Weight w at an iteration.

    - constant: `kl_weight`.
    - cyclical: `n_cycles` equal cycles, in each a share `zero_fraction` at 0, `ramp_fraction` rising linearly, then
      `kl_weight` (Fu et al. 2019, as the released code of SVEBM uses it).
    - linear: the same shape once, over the whole run.
    - sigmoid: kl_weight * sigmoid(.0025 (step - 2500)) (Bowman et al. 2016; the baselines of the paper).

    Args:
        step: iteration, from 0.
        max_steps: iterations of the run.
        config: the objective's options.

    Returns:
        w, between 0 and `kl_weight`.
    """
    if config.schedule == "constant":
        return config.kl_weight
    if config.schedule == "sigmoid":
        return config.kl_weight / (1.0 + math.exp(-0.0025 * (step - 2500)))
    length = max_steps / (config.n_cycles if config.schedule == "cyclical" else 1)
    position = (step % length) / length
    if position < config.zero_fraction:
        return 0.0
    ramp = position - config.zero_fraction
    return config.kl_weight * (1.0 if ramp >= config.ramp_fraction else ramp / config.ramp_fraction)


def label_weight(step: int, max_steps: int, config: ObjectiveConfig) -> float:
    """Weight eta of the labels' cross-entropy at an iteration: rises linearly over a share `label_ramp` of the run."""
    length = config.label_ramp * max_steps
    return config.label_weight * (1.0 if step >= length else step / length)


def cosine_decay(step: int, max_steps: int) -> float:
    """Factor on the optimiser's step size at an iteration: from 1 along half a cosine to a fiftieth."""
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max_steps)))
