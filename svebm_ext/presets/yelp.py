"""Yelp reviews (Tables 6, 7)."""

from __future__ import annotations

from dataclasses import replace

from svebm_ext.config import (
    ChainConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ObjectiveConfig,
    OptimiserConfig,
    SentenceModel,
    TrainingConfig,
)
from svebm_ext.presets.ptb import DISPERSION
from svebm_ext.presets.schemes import PAPER, RELEASED, Preset, paper, released

# Released: 84,000 iterations, lambda 50, short-run chains, cyclical w up to 1 with free bits, labels of all sentences.
# Here: the same networks, batches and cycles with persistent chains and lambda 5; labels give z the sentiment anyway.
YELP = Config(
    preset="yelp-svebm-ib",
    data=DataConfig(corpus="yelp", label="sentiment"),
    model=SentenceModel(latent_dim=40, n_categories=2),
    chains=ChainConfig(n_chains=1000, n_steps=60),
    objective=ObjectiveConfig(
        mutual_information=5.0,
        label_weight=20.0,
        label_at="sample",
        schedule="cyclical",
        n_cycles=4,
        zero_fraction=0.2,
        ramp_fraction=0.2,
    ),
    optimiser=OptimiserConfig(prior_learning_rate=3e-4),
    training=TrainingConfig(batch_size=128, max_steps=84_000, validate_every=2000),
    evaluation=EvaluationConfig(max_sentences=500, frequency_samples=10_000),
)

#: DGM-VAE + I with one mixture, whose two components are the sentiments: q(c|x) learns the labels with the same weight
#: as the symbols of SVEBM-IB, the divergence draws z to the component of its class, and z is sampled from one of them.
YELP_DGM_VAE_I = replace(
    YELP,
    preset="yelp-dgm-vae-i",
    model=replace(YELP.model, latent="mixture", n_variables=1, n_classes=2),
    objective=replace(
        YELP.objective, mutual_information=0.0, label_at="mean", dispersion=DISPERSION, category_information=False
    ),
)

PRESETS: dict[str, Preset] = {
    "yelp-svebm-ib": ("SVEBM-IB on Yelp reviews, symbols learnt from sentiment labels (Tables 6, 7)", YELP),
    "yelp-svebm-ib-paper": (f"SVEBM-IB on Yelp reviews, {PAPER}", paper(YELP, OptimiserConfig(), label_weight=20.0)),
    "yelp-svebm-ib-released": (
        f"SVEBM-IB on Yelp reviews, {RELEASED}",
        released(YELP, OptimiserConfig(), YELP.objective),
    ),
    "yelp-dgm-vae-i": ("DGM-VAE + I on Yelp reviews, a component for each sentiment (Table 6)", YELP_DGM_VAE_I),
    "yelp-cgan": (
        "Autoencoder on Yelp reviews, whose codes the conditional GAN generates (Table 6)",
        replace(
            YELP,
            preset="yelp-cgan",
            model=replace(YELP.model, latent="deterministic"),
            objective=ObjectiveConfig(kl_weight=0.0),
        ),
    ),
}
