"""The default run: the embedded corpus; and text of one's own."""

from __future__ import annotations

from dataclasses import replace

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
from svebm_ext.presets.schemes import Preset

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

PRESETS: dict[str, Preset] = {
    "assistant": ("SVEBM-IB on the embedded corpus of assistant requests (the default run)", ASSISTANT),
    "lines": (
        "SVEBM-IB on text of your own (--data.train FILE)",
        replace(ASSISTANT, preset="lines", data=DataConfig(corpus="lines")),
    ),
}
