"""Named configurations, each with what it is for. Paper and released settings: docs/math.md, Pang & Wu 2021."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from svebm_ext.config import (
    ChainConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimiserConfig,
    TrainingConfig,
)
from svebm_ext.errors import ConfigError

# Sized for four minutes on two CPU cores, evaluation included. Symbols settle within a few hundred iterations; so that
# they settle on what a sentence is about, an auxiliary bag-of-words loss asks z for the sentence's words meanwhile.
# Without it they agree half as well with domain and act; kept to the end, it costs 2 nats of likelihood.
ASSISTANT = Config(
    preset="assistant",
    data=DataConfig(corpus="assistant", max_tokens=24),
    model=ModelConfig(
        latent_dim=32, n_categories=48, embedding_dim=192, encoder_hidden=128, decoder_hidden=192,
        embedding_dropout=0.0, output_dropout=0.0,
    ),
    chains=ChainConfig(n_chains=2000, n_steps=20),
    objective=ObjectiveConfig(
        mutual_information=5.0, bag_of_words=1.0, schedule="linear", zero_fraction=0.0, ramp_fraction=0.4
    ),
    optimiser=OptimiserConfig(learning_rate=2e-3, prior_learning_rate=1e-3, clip=1.0, schedule="cosine"),
    training=TrainingConfig(batch_size=128, max_steps=1400),
    evaluation=EvaluationConfig(
        importance_samples=100, max_sentences=500, frequency_samples=10_000, log_z_chains=600, log_z_temperatures=500
    ),
)  # fmt: skip

# Released: 84,120 iterations (60 epochs), lambda 50, short-run chains, cyclical w up to .5 with free bits. Here, from
# `experiments ptb-ablation`: persistent chains and the warm-up of the baselines; lambda 5 for the prior alone, because
# pulling the encoder towards its symbols costs likelihood; w up to .5, with which z carries more at little cost. Free
# bits let the encoder run after F without resistance: the energy diverges.
PTB = Config(
    preset="ptb",
    data=DataConfig(corpus="ptb"),
    model=ModelConfig(latent_dim=40, n_categories=20),
    chains=ChainConfig(n_chains=1000, n_steps=40),
    objective=ObjectiveConfig(
        kl_weight=0.5, mutual_information=5.0, mutual_information_encoder=False, schedule="sigmoid"
    ),
    optimiser=OptimiserConfig(prior_learning_rate=3e-4, schedule="plateau"),
    training=TrainingConfig(batch_size=30, max_steps=84_120, validate_every=1402),
)


def _baseline(name: str, latent: Any, **objective: Any) -> Config:
    """Row of Table 1 without an energy-based prior: encoder, decoder, batches and warm-up are those of PTB."""
    return replace(
        PTB,
        preset=f"ptb-{name}",
        model=replace(PTB.model, latent=latent),
        objective=ObjectiveConfig(**{"schedule": "sigmoid", **objective}),
    )


#: beta of DGM-VAE on Penn Treebank (Shi et al. 2020).
_DISPERSION = 0.2

# Released (Table 2): 87,150 iterations (30 epochs), lambda 50, short-run chains, cyclical w up to .5 with free bits,
# bi-LSTM of 1024 and LSTM of 512. Here persistent chains, the warm-up of the baselines up to w = .5, lambda 5. Unlike
# on Penn Treebank, where likelihood counts, the encoder learns from the mutual information: symbols are the aim. A
# bag-of-words loss in the warm-up lets them settle on what a sentence says; a small penalty keeps F of 125 symbols
# near 0. Short trials led here; no long run has confirmed it.
DAILY_DIALOG = Config(
    preset="dd",
    data=DataConfig(corpus="daily_dialog"),
    model=ModelConfig(latent_dim=32, n_categories=125),
    chains=ChainConfig(n_chains=1000, n_steps=40),
    objective=ObjectiveConfig(
        kl_weight=0.5, mutual_information=5.0, schedule="sigmoid", bag_of_words=1.0, energy_penalty=0.02
    ),
    optimiser=OptimiserConfig(prior_learning_rate=3e-4, schedule="plateau"),
    training=TrainingConfig(batch_size=30, max_steps=87_150, validate_every=2905),
)

#: Released for DailyDialog.
_DIALOG_OPTIMISER = OptimiserConfig(clip=5.0, prior_weight_decay=1e-3)
#: beta of DGM-VAE on DailyDialog (Shi et al. 2020).
_DIALOG_DISPERSION = 0.3


def _dialog_baseline(name: str, latent: Any, **objective: Any) -> Config:
    """Row of Table 2 with three discrete variables of 5 classes (125 joint codes) and 5-dimensional z of each."""
    return replace(
        DAILY_DIALOG,
        preset=f"dd-{name}",
        model=replace(DAILY_DIALOG.model, latent=latent, latent_dim=15, n_variables=3, n_classes=5),
        objective=ObjectiveConfig(**{"schedule": "sigmoid", **objective}),
    )


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
    model=ModelConfig(
        kind="points", latent_dim=2, n_categories=8, prior_hidden=(64, 64), prior_scale=0.1, init_range=0.0,
        points_std=0.5,
    ),
    chains=ChainConfig(n_chains=1000, n_steps=20, step_size=0.04, restart_fraction=0.02),
    objective=ObjectiveConfig(mutual_information=15.0, energy_penalty=0.01),
    optimiser=OptimiserConfig(
        prior_learning_rate=1e-3, prior_weight_decay=0.01, clip=0.0, prior_clip=0.0, schedule="cosine"
    ),
    training=TrainingConfig(batch_size=200, max_steps=4000),
    # As many points are tested on, and generated, as frequency_samples says.
    evaluation=EvaluationConfig(importance_samples=100, frequency_samples=4000),
)  # fmt: skip

# Released (Table 8): V 30,000, hidden 2000, D 100, S 100 steps of s = .08 from N(0, I), lambda 100, eta 200, batches of
# 200 labelled and 200 unlabelled documents, learning rates 1e-4 and 1e-5, 201 epochs. Here: word scores linear in z
# with a table of class words, a small D and a faster prior, with which 1,000 iterations reach more (one seed).
AGNEWS = Config(
    preset="agnews",
    data=DataConfig(corpus="agnews", vocabulary_size=30_000, remove_stop_words=True, n_labelled=200),
    model=ModelConfig(
        kind="documents", latent_dim=16, n_categories=4, prior_activation="leaky_relu", document_hidden=100,
        document_layers=0, class_words=True,
    ),
    chains=ChainConfig(n_chains=1000, n_steps=20, step_size=0.08),
    objective=ObjectiveConfig(mutual_information=10.0, label_weight=20.0, labelled_bound=False),
    optimiser=OptimiserConfig(learning_rate=5e-3, prior_learning_rate=2e-3, clip=0.0, prior_clip=0.0),
    training=TrainingConfig(
        batch_size=200, labelled_batch_size=50, max_steps=1000, validate_every=100, select="accuracy"
    ),
    evaluation=EvaluationConfig(importance_samples=100, max_sentences=500),
)  # fmt: skip

# Released (Tables 3-5): K 125, D 32, S 40, lambda 50, short-run chains, five cycles of w up to .8 with free bits, batch
# 30, 42,400 iterations, LSTM 512 with dropout .2. Here: GRU, one persistent chain for each training example, since each
# context has a prior of its own; an example's chain stands where its last visit left it, an epoch ago, and 40 steps of
# .125 take even a restarted one most of the way. Lambda 5, with which z carries more that the generator uses.
SMD = Config(
    preset="smd",
    data=DataConfig(corpus="smd", speaker_marks=True),
    model=ModelConfig(
        kind="dialogs", latent_dim=32, n_categories=125, embedding_dropout=0.2, output_dropout=0.2
    ),
    chains=ChainConfig(n_steps=40),
    objective=ObjectiveConfig(
        mutual_information=5.0, schedule="cyclical", kl_weight=0.8, n_cycles=5, zero_fraction=0.1, ramp_fraction=0.25
    ),
    optimiser=OptimiserConfig(prior_learning_rate=3e-4, prior_weight_decay=1e-3, clip=5.0, schedule="cosine"),
    training=TrainingConfig(batch_size=30, max_steps=42_400, validate_every=424),
)  # fmt: skip


def _smd_baseline(name: str, latent_dim: int, latent: Any, **objective: Any) -> Config:
    """Row of Table 3 without an energy-based prior: three variables of five classes, the networks of SMD."""
    return replace(
        SMD,
        preset=f"smd-{name}",
        model=replace(SMD.model, latent=latent, latent_dim=latent_dim, n_variables=3),
        objective=ObjectiveConfig(**{"category_information": False, **objective}),
    )


# Released: 84,000 iterations, lambda 50, short-run chains, cyclical w up to 1 with free bits, labels of all sentences.
# Here: the same networks, batches and cycles with persistent chains and lambda 5; labels give z the sentiment anyway.
YELP = Config(
    preset="yelp",
    data=DataConfig(corpus="yelp", label="sentiment"),
    model=ModelConfig(latent_dim=40, n_categories=2),
    chains=ChainConfig(n_chains=1000, n_steps=60),
    objective=ObjectiveConfig(
        mutual_information=5.0, label_weight=20.0, schedule="cyclical", n_cycles=4, zero_fraction=0.2, ramp_fraction=0.2
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
    objective=replace(YELP.objective, mutual_information=0.0, dispersion=_DISPERSION, category_information=False),
)

PRESETS: dict[str, tuple[str, Config]] = {
    "assistant": ("SVEBM-IB on the embedded corpus of assistant requests (the default run)", ASSISTANT),
    "ptb": ("SVEBM-IB on Penn Treebank (Table 1)", PTB),
    "ptb-paper": (
        "SVEBM-IB on Penn Treebank, learning scheme of the paper: Algorithm 1 with persistent chains, w = 1, lambda 50",
        replace(
            PTB,
            preset="ptb-paper",
            chains=replace(PTB.chains, restart_fraction=0.0),
            objective=ObjectiveConfig(mutual_information=50.0, update="alternating"),
            optimiser=OptimiserConfig(),
        ),
    ),
    "ptb-released": (
        "SVEBM-IB on Penn Treebank, learning scheme of the released code: short-run chains, cyclical w, free bits",
        replace(
            PTB,
            preset="ptb-released",
            chains=replace(PTB.chains, mode="short_run"),
            objective=ObjectiveConfig(
                mutual_information=50.0,
                mutual_information_always=False,
                schedule="cyclical",
                kl_weight=0.5,
                free_bits=1.0,
            ),
            optimiser=OptimiserConfig(),
        ),
    ),
    "ptb-svebm": (
        "SVEBM on Penn Treebank: SVEBM-IB without the mutual information (Table 1)",
        replace(PTB, preset="ptb-svebm", objective=replace(PTB.objective, mutual_information=0.0)),
    ),
    "ptb-rnn-lm": ("Recurrent language model on Penn Treebank (Table 1)", _baseline("rnn-lm", "none", kl_weight=0.0)),
    "ptb-ae": ("Autoencoder on Penn Treebank (Table 1)", _baseline("ae", "deterministic", kl_weight=0.0)),
    "ptb-vae": ("VAE on Penn Treebank (Table 1)", _baseline("vae", "gaussian")),
    "ptb-dae": ("Discrete autoencoder on Penn Treebank (Table 1)", _baseline("dae", "categorical", kl_weight=0.0)),
    "ptb-dvae": ("Discrete VAE on Penn Treebank (Table 1)", _baseline("dvae", "categorical")),
    "ptb-di-vae": (
        "DI-VAE on Penn Treebank: discrete, KL of the batch's mean posterior (Table 1)",
        _baseline("di-vae", "categorical", schedule="constant", category_information=False),
    ),
    "ptb-semi-vae": (
        "semi-VAE on Penn Treebank: vector and discrete variables (Table 1)",
        _baseline("semi-vae", "semi"),
    ),
    "ptb-semi-vae-i": (
        "semi-VAE + I(x, y) on Penn Treebank (Table 1)",
        _baseline("semi-vae-i", "semi", category_information=False),
    ),
    "ptb-gm-vae": ("GM-VAE on Penn Treebank: mixtures of Gaussians (Table 1)", _baseline("gm-vae", "mixture")),
    "ptb-gm-vae-i": (
        "GM-VAE + I(x, y) on Penn Treebank (Table 1)",
        _baseline("gm-vae-i", "mixture", category_information=False),
    ),
    "ptb-dgm-vae": (
        "DGM-VAE on Penn Treebank: dispersed mixtures (Table 1)",
        _baseline("dgm-vae", "mixture", dispersion=_DISPERSION),
    ),
    "ptb-dgm-vae-i": (
        "DGM-VAE + I(x, y) on Penn Treebank (Table 1)",
        _baseline("dgm-vae-i", "mixture", dispersion=_DISPERSION, category_information=False),
    ),
    "dd": ("SVEBM-IB on the utterances of DailyDialog (Table 2)", DAILY_DIALOG),
    "dd-paper": (
        "SVEBM-IB on DailyDialog, learning scheme of the paper: Algorithm 1 with persistent chains, w = 1, lambda 50",
        replace(
            DAILY_DIALOG,
            preset="dd-paper",
            chains=replace(DAILY_DIALOG.chains, restart_fraction=0.0),
            objective=ObjectiveConfig(mutual_information=50.0, update="alternating"),
            optimiser=_DIALOG_OPTIMISER,
        ),
    ),
    "dd-released": (
        "SVEBM-IB on DailyDialog, scheme and LSTM cells of the released code: short-run chains, cyclical w, free bits",
        replace(
            DAILY_DIALOG,
            preset="dd-released",
            model=replace(
                DAILY_DIALOG.model,
                cell="lstm",
                encoder_hidden=1024,
                tied=False,
                embedding_dropout=0.2,
                output_dropout=0.2,
            ),
            chains=replace(DAILY_DIALOG.chains, mode="short_run"),
            objective=ObjectiveConfig(
                mutual_information=50.0,
                mutual_information_always=False,
                schedule="cyclical",
                kl_weight=0.5,
                free_bits=1.0,
            ),
            optimiser=_DIALOG_OPTIMISER,
        ),
    ),
    "dd-svebm": (
        "SVEBM on DailyDialog: SVEBM-IB without the mutual information (Table 2)",
        replace(DAILY_DIALOG, preset="dd-svebm", objective=replace(DAILY_DIALOG.objective, mutual_information=0.0)),
    ),
    "dd-di-vae": (
        "DI-VAE on DailyDialog: discrete, KL of the batch's mean posterior (Table 2)",
        _dialog_baseline("di-vae", "categorical", schedule="constant", category_information=False),
    ),
    "dd-semi-vae": (
        "semi-VAE on DailyDialog: vector and discrete variables (Table 2)",
        _dialog_baseline("semi-vae", "semi"),
    ),
    "dd-semi-vae-i": (
        "semi-VAE + I(x, y) on DailyDialog (Table 2)",
        _dialog_baseline("semi-vae-i", "semi", category_information=False),
    ),
    "dd-gm-vae": ("GM-VAE on DailyDialog: mixtures of Gaussians (Table 2)", _dialog_baseline("gm-vae", "mixture")),
    "dd-gm-vae-i": (
        "GM-VAE + I(x, y) on DailyDialog (Table 2)",
        _dialog_baseline("gm-vae-i", "mixture", category_information=False),
    ),
    "dd-dgm-vae": (
        "DGM-VAE on DailyDialog: dispersed mixtures (Table 2)",
        _dialog_baseline("dgm-vae", "mixture", dispersion=_DIALOG_DISPERSION),
    ),
    "dd-dgm-vae-i": (
        "DGM-VAE + I(x, y) on DailyDialog (Table 2)",
        _dialog_baseline("dgm-vae-i", "mixture", dispersion=_DIALOG_DISPERSION, category_information=False),
    ),
    "smd": ("SVEBM-IB on Stanford multi-domain dialogs: responses given their context (Tables 3-5)", SMD),
    "smd-paper": (
        "SVEBM-IB on SMD, learning scheme of the paper: Algorithm 1 with persistent chains, w = 1, lambda 50",
        replace(
            SMD,
            preset="smd-paper",
            chains=replace(SMD.chains, restart_fraction=0.0),
            objective=ObjectiveConfig(mutual_information=50.0, update="alternating"),
            optimiser=replace(SMD.optimiser, prior_learning_rate=1e-4, schedule="constant"),
        ),
    ),
    "smd-released": (
        "SVEBM-IB on SMD, learning scheme of the released code: short-run chains, cyclical w, free bits",
        replace(
            SMD,
            preset="smd-released",
            chains=replace(SMD.chains, mode="short_run"),
            objective=replace(SMD.objective, mutual_information=50.0, mutual_information_always=False, free_bits=1.0),
            optimiser=replace(SMD.optimiser, prior_learning_rate=1e-4, schedule="constant"),
        ),
    ),
    "smd-di-vae": (
        "DI-VAE on SMD, given the context through encoder and decoder (Table 3)",
        _smd_baseline("di-vae", 15, "categorical"),
    ),
    "smd-dgm-vae-i": (
        "DGM-VAE + I(x, y) on SMD, given the context through encoder and decoder (Table 3)",
        _smd_baseline("dgm-vae-i", 15, "mixture", schedule="sigmoid", dispersion=0.3),
    ),
    "yelp": ("SVEBM-IB on Yelp reviews, symbols learnt from sentiment labels (Tables 6, 7)", YELP),
    "yelp-paper": (
        "SVEBM-IB on Yelp reviews, learning scheme of the paper: Algorithm 1 with persistent chains, w = 1, lambda 50",
        replace(
            YELP,
            preset="yelp-paper",
            chains=replace(YELP.chains, restart_fraction=0.0),
            objective=ObjectiveConfig(mutual_information=50.0, label_weight=20.0, update="alternating"),
            optimiser=OptimiserConfig(),
        ),
    ),
    "yelp-released": (
        "SVEBM-IB on Yelp reviews, learning scheme of the released code: short-run chains, cyclical w, free bits",
        replace(
            YELP,
            preset="yelp-released",
            chains=replace(YELP.chains, mode="short_run"),
            objective=replace(YELP.objective, mutual_information=50.0, mutual_information_always=False, free_bits=1.0),
            optimiser=OptimiserConfig(),
        ),
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
    "agnews": ("SVEBM-IB on AG News with 200 labels: bags of words (Table 8)", AGNEWS),
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
    "lines": (
        "SVEBM-IB on text of your own (--data.train FILE)",
        replace(ASSISTANT, preset="lines", data=DataConfig(corpus="lines")),
    ),
    "lines-labelled": (
        "Classifier of your own documents from a few labels (--data.train FILE --data.labelled FILE)",
        replace(
            AGNEWS,
            preset="lines-labelled",
            data=DataConfig(corpus="lines", vocabulary_size=30_000, remove_stop_words=True),
            model=replace(AGNEWS.model, n_categories=0),
        ),
    ),
}


def preset(name: str) -> Config:
    """Configuration of a preset.

    Raises:
        ConfigError: no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name][1]
