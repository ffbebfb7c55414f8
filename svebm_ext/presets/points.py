"""Points of the plane (Figure 2)."""

from __future__ import annotations

from dataclasses import replace

from svebm_ext.config import (
    ChainConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ObjectiveConfig,
    OptimiserConfig,
    PointModel,
    TrainingConfig,
)
from svebm_ext.presets.schemes import Preset

# Released (Figure 2): one hidden layer of 200 in the prior, S = 100 steps of s = .08 from N(0, I), batch 500, 25,000
# iterations (pinwheel 12,000), learning rates 1e-3 and 1e-4, no clipping; `experiments figure2 --budget paper` runs
# that. Sized here for two CPU cores: two narrow hidden layers cost as much as one wide one and carve deeper valleys
# between modes; persistent chains need fewer steps; the prior learns faster. Decay and penalty keep F near 0 at the
# data, where a symbol that lost its mode can come back: without them two modes often share one symbol.
# Observation noise .5 against a mode's std of 1.41 (8 Gaussians), .8 and 2.4 (pinwheel): z has to carry the shape of a
# mode, and noise of generated points does not hide it. Smaller noise would ask for finer latent vectors than Langevin
# steps of .04 resolve.
GAUSSIANS8 = Config(
    preset="gaussians8",
    data=DataConfig(corpus="gaussians8"),
    model=PointModel(latent_dim=2, n_categories=8, prior_hidden=(64, 64), prior_scale=0.1, points_std=0.5),
    chains=ChainConfig(n_chains=1000, n_steps=20, step_size=0.04, restart_fraction=0.02),
    objective=ObjectiveConfig(mutual_information=15.0, energy_penalty=0.01),
    optimiser=OptimiserConfig(
        prior_learning_rate=1e-3, prior_weight_decay=0.01, clip=0.0, prior_clip=0.0, schedule="cosine"
    ),
    training=TrainingConfig(batch_size=200, max_steps=4000),
    # As many points are tested on, and generated, as frequency_samples says.
    evaluation=EvaluationConfig(importance_samples=100, frequency_samples=4000),
)  # fmt: skip

PRESETS: dict[str, Preset] = {
    "gaussians8": ("SVEBM-IB on eight Gaussians in the plane (Figure 2)", GAUSSIANS8),
    "pinwheel": (
        "SVEBM-IB on the pinwheel (Figure 2)",
        replace(
            GAUSSIANS8,
            preset="pinwheel",
            data=DataConfig(corpus="pinwheel"),
            model=replace(GAUSSIANS8.model, n_categories=5),
        ),
    ),
}
