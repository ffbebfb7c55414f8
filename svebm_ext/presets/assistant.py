"""The default run: the embedded corpus; and text of one's own."""

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
from svebm_ext.presets.schemes import Preset

_NETWORKS = SentenceModel(
    latent_dim=32, n_categories=24, embedding_dim=192, encoder_hidden=128, decoder_hidden=192, embedding_dropout=0.0,
    output_dropout=0.0, sentence_features="words",
)  # fmt: skip

# Networks first, as a VAE, and the energy afterwards: it cannot run away from its chains, since what it
# learns from stands still. Symbols are found from the words of the training text and guide f from the beginning; z of
# q(z|x), not its mean, has to tell them, so that sentences of a symbol can be generated. An auxiliary bag-of-words loss
# asks z for the sentence's words in the warm-up.
ASSISTANT = Config(
    preset="assistant",
    data=DataConfig(corpus="assistant", max_tokens=24),
    model=_NETWORKS,
    chains=ChainConfig(n_chains=2000, n_steps=20, step_size=0.02),
    objective=ObjectiveConfig(
        kl_weight=1.0, mutual_information=5.0, pseudo_label_weight=2.0, pseudo_labels="words", label_at="sample",
        bag_of_words=1.0, schedule="linear", zero_fraction=0.0, ramp_fraction=0.4,
    ),
    optimiser=OptimiserConfig(learning_rate=5e-3, prior_learning_rate=1e-3, clip=1.0, schedule="cosine"),
    training=TrainingConfig(
        batch_size=64, max_steps=4000, validate_every=1000, prior_steps=600, prior_stage="second",
    ),
    evaluation=EvaluationConfig(
        importance_samples=100, max_sentences=500, frequency_samples=10_000, log_z_chains=600, log_z_temperatures=500
    ),
)  # fmt: skip
# Sizes that are 0 (dropout: -1) follow the corpus (training.sizes), and so does the number of symbols. w = 0.5, since
# real text is less regular than the grammar's: with w = 1 z carries little of it.
LINES = replace(
    ASSISTANT,
    preset="lines",
    data=DataConfig(corpus="lines", max_tokens=0),
    model=replace(
        _NETWORKS, n_categories=0, n_groups=0, embedding_dim=0, encoder_hidden=0, decoder_hidden=0,
        embedding_dropout=-1.0, output_dropout=-1.0,
    ),
    objective=replace(ASSISTANT.objective, kl_weight=0.5),
    optimiser=replace(ASSISTANT.optimiser, learning_rate=4e-3),
    training=replace(ASSISTANT.training, batch_size=128, max_steps=0, validate_every=0, patience=2),
    evaluation=replace(ASSISTANT.evaluation, frequency_samples=4_000),
)  # fmt: skip
LINES_LABELLED = replace(
    LINES,
    preset="lines-labelled",
    model=replace(LINES.model, n_groups=1),  # symbols are the classes
    objective=replace(LINES.objective, label_weight=1.0),
)

PRESETS: dict[str, Preset] = {
    "assistant": ("SVEBM-IB on the embedded corpus of assistant requests (the default run)", ASSISTANT),
    "lines": ("SVEBM-IB on text of your own (--data.train FILE)", LINES),
    "lines-labelled": (
        "Classifier of your own texts from a few labels (--data.train FILE --data.labelled FILE)",
        LINES_LABELLED,
    ),
}
