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
    with_changes,
)
from svebm_ext.presets.ptb import DISPERSION
from svebm_ext.presets.schemes import Preset

# Released (Figure 2): one hidden layer of 200 in the prior, S = 100 steps of s = .08 from N(0, I), batch 500, 25,000
# iterations (pinwheel 12,000), learning rates 1e-3 and 1e-4, no clipping; `experiments figure2 --budget paper` runs
# that. Sized here for two CPU cores: two narrow hidden layers cost as much as one wide one and carve deeper valleys
# between modes. Chains are persistent and Metropolis-adjusted, and every one of them proposes to start again at N(0, I)
# whenever it is moved: with steps of one size F learns to make blurred chains look like the data, and exp(F) p0 itself
# is another density; without proposals modes have the weights that their chains began with. The prior learns ten
# times faster than the networks: with a tenth of that it still lags behind the encoder in the end. The penalty keeps F
# near 0 at the data, where a symbol that lost its mode can come back: without it two modes often share one symbol.
# Observation noise .5 against a mode's std of 1.41 (8 Gaussians), and .25 against .8 and 2.4 (pinwheel): z has to carry
# the shape of a mode, and noise of generated points does not hide it.
GAUSSIANS8 = Config(
    preset="gaussians8",
    data=DataConfig(corpus="gaussians8"),
    model=PointModel(latent_dim=2, n_categories=8, prior_hidden=(64, 64), prior_scale=0.1, points_std=0.5),
    chains=ChainConfig(n_chains=1000, n_steps=15, step_size=0.04, metropolis=True, restart_fraction=1.0),
    objective=ObjectiveConfig(mutual_information=15.0, energy_penalty=0.01),
    optimiser=OptimiserConfig(prior_learning_rate=1e-2, clip=0.0, prior_clip=0.0, schedule="cosine"),
    training=TrainingConfig(batch_size=300, max_steps=4000),
    # As many points are tested on, and generated, as frequency_samples says.
    evaluation=EvaluationConfig(importance_samples=100, frequency_samples=4000),
)
PINWHEEL = with_changes(
    replace(GAUSSIANS8, preset="pinwheel", data=DataConfig(corpus="pinwheel")),
    {"model": {"n_categories": 5, "points_std": 0.25}},
)


def _svebm(config: Config) -> Config:
    """SVEBM-IB without the mutual information."""
    return with_changes(replace(config, preset=f"{config.preset}-svebm"), {"objective": {"mutual_information": 0.0}})


def _dgm_vae_i(config: Config) -> Config:
    """A mixture of as many Gaussians as there are modes as the prior, learnt by DGM-VAE + I (Shi et al. 2020)."""
    return with_changes(
        replace(config, preset=f"{config.preset}-dgm-vae-i"),
        {
            "model": {"latent": "mixture", "n_variables": 1, "n_classes": config.model.n_categories},
            "objective": {
                "mutual_information": 0.0, "energy_penalty": 0.0, "dispersion": DISPERSION,
                "category_information": False,
            },
        },
    )  # fmt: skip


_TITLES = (("eight Gaussians in the plane", GAUSSIANS8), ("the pinwheel", PINWHEEL))
PRESETS: dict[str, Preset] = {
    preset.preset: (f"{system} on {title} (Figure 2)", preset)
    for title, config in _TITLES
    for system, preset in (
        ("SVEBM-IB", config),
        ("SVEBM", _svebm(config)),
        ("DGM-VAE + I", _dgm_vae_i(config)),
    )
}
