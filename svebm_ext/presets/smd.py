"""Stanford multi-domain dialogs (Tables 3-5)."""

from __future__ import annotations

from dataclasses import replace

from svebm_ext.config import (
    ChainConfig,
    Config,
    DataConfig,
    DialogModel,
    LatentName,
    ObjectiveConfig,
    OptimiserConfig,
    TrainingConfig,
    with_changes,
)
from svebm_ext.presets.schemes import PAPER, RELEASED, Preset, paper, released

# Released (Tables 3-5): K 125, D 32, S 40, lambda 50, short-run chains, five cycles of w up to .8 with free bits, batch
# 30, 42,400 iterations, LSTM 512 with dropout .2. Here: GRU, one persistent chain for each training example, since each
# context has a prior of its own; an example's chain stands where its last visit left it, an epoch ago, and 40 steps of
# .125 take even a restarted one most of the way. Lambda 5, with which z carries more that the generator uses; symbols
# are regrouped once, since the mutual information alone keeps 16 of them in use.
SMD = Config(
    preset="smd-svebm-ib",
    data=DataConfig(corpus="smd", speaker_marks=True),
    model=DialogModel(latent_dim=32, n_categories=125, embedding_dropout=0.2, output_dropout=0.2),
    chains=ChainConfig(n_steps=40),
    objective=ObjectiveConfig(
        mutual_information=5.0,
        regroup_at=0.75,
        schedule="cyclical",
        kl_weight=0.8,
        n_cycles=5,
        zero_fraction=0.1,
        ramp_fraction=0.25,
    ),
    optimiser=OptimiserConfig(prior_learning_rate=3e-4, prior_weight_decay=1e-3, clip=5.0, schedule="cosine"),
    training=TrainingConfig(batch_size=30, max_steps=42_400, validate_every=424),
)  # fmt: skip


def _smd_baseline(name: str, latent_dim: int, latent: LatentName, **objective: object) -> Config:
    """Row of Table 3 without an energy-based prior: three variables of five classes, the networks of SMD."""
    row = replace(
        SMD,
        preset=f"smd-{name}",
        model=replace(SMD.model, latent=latent, latent_dim=latent_dim, n_variables=3),
        objective=ObjectiveConfig(category_information=False),
    )
    return with_changes(row, {"objective": objective})


#: Released for SMD.
_RELEASED_OPTIMISER = replace(SMD.optimiser, prior_learning_rate=1e-4, schedule="constant")

PRESETS: dict[str, Preset] = {
    "smd-svebm-ib": ("SVEBM-IB on Stanford multi-domain dialogs: responses given their context (Tables 3-5)", SMD),
    "smd-svebm-ib-paper": (f"SVEBM-IB on SMD, {PAPER}", paper(SMD, _RELEASED_OPTIMISER)),
    "smd-svebm-ib-released": (
        f"SVEBM-IB on SMD, {RELEASED}",
        released(SMD, _RELEASED_OPTIMISER, SMD.objective),
    ),
    "smd-di-vae": (
        "DI-VAE on SMD, given the context through encoder and decoder (Table 3)",
        _smd_baseline("di-vae", 15, "categorical"),
    ),
    "smd-dgm-vae-i": (
        "DGM-VAE + I(x, y) on SMD, given the context through encoder and decoder (Table 3)",
        _smd_baseline("dgm-vae-i", 15, "mixture", schedule="sigmoid", dispersion=0.3),
    ),
}
