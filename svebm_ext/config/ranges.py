"""The range of each option by itself; `bounds` has what no option may exceed whatever it means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from svebm_ext.config.bounds import shown
from svebm_ext.config.options import Config
from svebm_ext.errors import ConfigError

#: Parameters may start up to this far from 0.
LARGEST_START = 100.0


class Range(NamedTuple):
    """Which values an option takes, as a test and in words."""

    accepts: Callable[..., bool]
    expected: str


AT_LEAST_0 = Range(lambda v: v >= 0, "an integer of at least 0")
AT_LEAST_1 = Range(lambda v: v >= 1, "an integer of at least 1")
AS_BUILT = Range(lambda v: v >= 1, "an integer of at least 1, as the model has it")
PROBABILITY = Range(lambda v: 0 <= v < 1, "a probability in [0, 1)")
SHARE = Range(lambda v: 0 <= v <= 1, "a share in [0, 1]")
WEIGHT = Range(lambda v: v >= 0 and math.isfinite(v), "a finite number of at least 0")
RATE = Range(lambda v: v > 0 and math.isfinite(v), "a finite number above 0")
SCALE = Range(lambda v: 1e-6 <= v <= 1e6, "a number from 1e-6 to 1e6")
ITERATIONS = Range(lambda v: v >= 0, "0, or a number of iterations")
SENTENCES = Range(lambda v: v >= 0, "0, or a number of sentences")
TOKENS = Range(lambda v: v >= 3, "at least 3: begin mark, one word, end mark")

#: Ranges by section and option; those of sizes that may be left open are in `check_open_sizes`.
RANGES: dict[str, dict[Range, str]] = {
    "model": {
        AT_LEAST_1: "latent_dim n_variables n_classes context_turns context_hidden context_dim context_map "
        "document_hidden points_hidden",
        Range(lambda v: v >= 0, "a finite number of at least 0"): "prior_scale",
        Range(lambda v: 0 <= v <= LARGEST_START, f"0, or a number up to {LARGEST_START}"): "init_range",
        PROBABILITY: "word_dropout document_dropout feature_dropout",
        AT_LEAST_0: "document_layers document_words sentence_encoder_dim n_groups",
        Range(lambda v: 1 <= len(v) <= 2 and min(v) >= 1, "one or two sizes above 0"): "prior_hidden",
        SCALE: "gumbel_temperature points_std",
    },
    "chains": {
        AT_LEAST_1: "n_chains n_steps",
        Range(lambda v: 0 < v < 2, "a number in (0, 2): the chain is unstable beyond"): "step_size",
        SHARE: "restart_fraction",
    },
    "objective": {
        AT_LEAST_1: "n_cycles",
        SHARE: "zero_fraction ramp_fraction label_ramp regroup_at",
        WEIGHT: "kl_weight free_bits mutual_information group_information label_weight pseudo_label_weight "
        "bag_of_words energy_penalty dispersion",
        Range(lambda v: 0 <= v < 1, "a number in [0, 1)"): "marginal_momentum",
    },
    "optimiser": {
        RATE: "learning_rate prior_learning_rate",
        WEIGHT: "clip prior_clip weight_decay prior_weight_decay",
    },
    "training": {
        AT_LEAST_1: "batch_size checkpoint_every log_every",
        ITERATIONS: "prior_steps sample_every",
        Range(lambda v: v >= 0, "0, or a number of validations"): "patience",
        Range(lambda v: v >= 0, "0, or a number of times"): "recoveries",
        Range(lambda v: v > 0, "a finite number above 0"): "max_energy",
        AT_LEAST_0: "labelled_batch_size",
    },
    "evaluation": {
        AT_LEAST_1: "importance_samples annealed_chains annealed_temperatures frequency_samples response_samples "
        "grammar_samples log_z_chains log_z_temperatures",
        SENTENCES: "max_sentences annealed_sentences",
        Range(lambda v: v >= 0 and math.isfinite(v), "0, or a finite factor above 0"): "proposal_scale",
    },
    "data": {
        AT_LEAST_1: "vocabulary_size",
        Range(lambda v: v >= 0, "a number of at least 0"): "seed",
        AT_LEAST_0: "n_labelled",
    },
}


def require(config: Config, section: str, name: str, wanted: Range) -> None:
    """Refuse a value out of range (ConfigError), where the section has that option: a kind has not those of others."""
    held = getattr(config, section)
    value = getattr(held, name, None)
    if hasattr(held, name) and not wanted.accepts(value):
        raise ConfigError(f"{section}.{name.replace('_', '-')}: {shown(value)} given, expected {wanted.expected}")


def check_ranges(config: Config) -> None:
    """Check every option by itself.

    Raises:
        ConfigError: names the option, the value and what is expected.
    """
    for section, ranges in RANGES.items():
        for wanted, names in ranges.items():
            for name in names.split():
                require(config, section, name, wanted)
    largest = config.chains.step_size
    final = Range(lambda v: 0 <= v <= largest, f"0, or a number up to step-size {largest}")
    require(config, "chains", "final_step_size", final)
    open_symbols = config.objective.label_weight > 0 or config.objective.pseudo_labels == "words"
    require(config, "model", "n_categories", AT_LEAST_0 if open_symbols else AT_LEAST_1)
    check_open_sizes(config)
    if config.seed < 0:
        raise ConfigError(f"seed: {config.seed} is outside 0 .. 2^63 - 1")


def check_open_sizes(config: Config) -> None:
    """Check sizes that may be left to the corpus where it is text of the user's own (`training.sizes`)."""
    own = config.data.corpus == "lines"
    by_corpus = "; 0 is for text of your own: by the size of the corpus" if not own else ", or 0: by the corpus"
    size = Range(lambda v: v >= 1 or (own and v == 0), AT_LEAST_1.expected + by_corpus)
    for name in ("embedding_dim", "encoder_hidden", "decoder_hidden"):
        require(config, "model", name, size)
    for name in ("max_steps", "validate_every"):
        require(config, "training", name, size)
    length = Range(lambda v: v >= 3 or (own and v == 0), TOKENS.expected + by_corpus)
    require(config, "data", "max_tokens", length)
    open_dropout = ", or -1: by the size of the corpus" if own else ""
    dropout = Range(lambda v: 0 <= v < 1 or (own and v == -1), PROBABILITY.expected + open_dropout)
    for name in ("embedding_dropout", "output_dropout"):
        require(config, "model", name, dropout)
