"""The options: frozen dataclasses, one a concern; `models` has those of the networks.

Every option states its default, unit and meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from svebm_ext.config.models import AnyModel, SentenceModel

CorpusName = Literal[
    "assistant", "ptb", "daily-dialog", "smd", "yelp", "agnews", "clinc150", "snips", "lines", "gaussians8", "pinwheel"
]
FORMER_CORPORA: dict[str, CorpusName] = {
    "daily_dialog": "daily-dialog",
    "dailydialog": "daily-dialog",
    "dd": "daily-dialog",
}
"""Other names of corpora, which go on working: those that saved configurations have, and those of the presets."""

MemoryMap = Literal["auto", "always", "never"]
"""Whether text of the user's own is encoded into files and mapped, in place of being held in memory."""


@dataclass(frozen=True)
class DataConfig:
    """Where the data come from."""

    corpus: CorpusName = "assistant"
    """Corpus to read. "assistant" is embedded, "gaussians8" and "pinwheel" generated, "lines" is text of your own."""
    root: Path | None = None
    """Folder with the released corpora (root/ptb/ptb.train.txt and so on, plain or .gz)."""
    train: Path | None = None
    """Your own text, for corpus "lines": a file (lines, CSV, TSV, JSON, fastText, Parquet; compressed or not), a folder
    of .txt documents, or "-" for standard input. Several files: "a.txt,b.txt", "part-*.txt.gz" in quotes, or
    "@shards.txt", a file with a path a line."""
    valid: Path | None = None
    """Your own validation text; split off the training file by seed when absent."""
    test: Path | None = None
    """Your own test text; split off the training file by seed when absent."""
    format: Literal["auto", "lines", "tsv", "csv", "jsonl", "json", "fasttext", "parquet"] = "auto"
    """Format of your own files; "auto" recognises it."""
    text_column: str | None = None
    """Column (or key) of your own files that holds the text: its name, or its number from 1."""
    label_column: str | None = None
    """Column (or key) of your own files that holds the label: its name, or its number from 1; 0: no labels."""
    empty_lines: Literal["error", "skip"] = "skip"
    """An empty line or cell in your own files is left out and counted, or is an error that names it."""
    tokenization: Literal["words", "whitespace", "bpe"] = "words"
    """Your own text: separate punctuation from words, split at white space only, or learn subwords of bytes (needs the
    subwords extra), which suit scripts without spaces and give any text back as it was written."""
    lowercase: bool = True
    """Lower-case the words of your own text; subwords keep their case."""
    label: str | None = None
    """Label to learn from when objective.label-weight is above 0 (default: the corpus's first)."""
    labelled: Path | None = None
    """Labelled text of your own, for corpus "lines", beside a data.train that may have no labels at all."""
    n_labelled: int = 0
    """Training examples that keep their label, as many of each class, chosen by data.seed; 0 keeps every label."""
    speaker_marks: bool = False
    """Put a word for the speaker before each turn of a dialog (SMD: "<driver>", "<assistant>")."""
    max_tokens: int = 40
    """Longest sentence in tokens, begin and end marks counted; longer ones are cut and counted."""
    vocabulary_size: int = 10_000
    """Most words in the vocabulary, special symbols not counted; of subwords, small corpora get fewer."""
    remove_stop_words: bool = False
    """Bags of words: leave out scikit-learn's English stop words, single characters and punctuation."""
    seed: int = 0
    """Seed of generated corpora and of splits, apart from the training seed."""
    memory_map: MemoryMap = "auto"
    """Your own text without labels: encode it once into files, which training reads as it needs them, in place of
    holding all of it in memory. The results are the same. "auto": from 64 MiB of text on."""
    cache: Path | None = None
    """Folder of text that was encoded for `memory_map` (default: SVEBM_CACHE, or the user's folder of caches), and of
    vectors of a frozen encoder (default: in the folder of the run)."""


@dataclass(frozen=True)
class ChainConfig:
    """Markov chains for the prior (Eq. 7-9)."""

    mode: Literal["persistent", "short_run"] = "persistent"
    """Persistent bank of chains (Algorithm 1), or a fresh start from N(0, I) at every iteration (released code)."""
    n_chains: int = 1000
    """L, chains in the bank. Dialogs, whose prior depends on the context, have one a training example instead."""
    per_iteration: int = 0
    """Chains chosen from the bank and advanced at an iteration (in short runs: started); 0: as many as the batch has
    sentences. More of them make a steadier mean of F(z-), and a bank that is advanced whole keeps up with the prior."""
    n_steps: int = 20
    """S, Langevin steps an iteration."""
    step_size: float = 0.125
    """s in z + s grad log p(z) + sqrt(2 s) noise."""
    final_step_size: float = 0.0
    """s of the last of an iteration's steps, to which it falls geometrically from `step_size`; 0: all have that. Large
    steps go far but blur a sharp density, small ones after them take the blur back."""
    metropolis: bool = False
    """Accept or reject each step of persistent chains (Metropolis-adjusted Langevin), so that they sample p(z) itself,
    however sharp F is; s then starts at `step_size` and follows the share of accepted steps."""
    restart_fraction: float = 0.02
    """Share of the chosen persistent chains that start again at each iteration."""
    restart_from: Literal["reference", "posterior"] = "reference"
    """Where they start again: N(0, I), or z of the batch's sentences, so that regions of high F that the encoder has
    found, and that no path of chains leads to, are seen by the negative phase as well."""
    precision: Literal["fp32", "fast"] = "fp32"
    """"fast": operands of the prior network's products may be rounded to 16 bits in sampling, where a kernel can."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights and schedules of the loss: NLL + w (KL - F+ + F-) - lambda I(z, y) + eta CE."""

    kl_weight: float = 1.0
    """Largest weight w of the divergence terms."""
    schedule: Literal["constant", "cyclical", "linear", "sigmoid"] = "constant"
    """How w moves: constant, cyclical (zero, ramp, hold in each cycle), linear warm-up, or the baselines' sigmoid."""
    n_cycles: int = 10
    """Cycles over the whole run, for the cyclical schedule."""
    zero_fraction: float = 0.5
    """Share of a cycle with w = 0 (for "linear": share of the run before the ramp)."""
    ramp_fraction: float = 0.25
    """Share of a cycle in which w rises linearly (for "linear": share of the run)."""
    free_bits: float = 0.0
    """Nats below which the KL of one dimension of one example is dropped, value and gradient (released code: 1)."""
    mutual_information: float = 0.0
    """lambda, weight of I(z, y) (Eq. 21). 0 is SVEBM, above 0 SVEBM-IB."""
    group_information: float = 0.0
    """lambda_1, weight of I(z; c) of groups c that are learnt with the networks (model.n-groups, as many symbols in
    each). 0: symbols are put into groups when they are known."""
    mutual_information_always: bool = True
    """Keep the mutual information term in phases with w = 0."""
    mutual_information_encoder: bool = True
    """Let the gradient of the mutual information reach the encoder."""
    marginal_momentum: float = 0.0
    """Momentum of the running marginal q(y); 0 uses the minibatch alone."""
    regroup_at: float = 0.0
    """Share of the run after which the symbols, once, become clusters of mu(x) found by k-means; p(z) stays as it is.
    0: never."""
    label_weight: float = 0.0
    """eta, weight of the cross-entropy of labels (Eq. 23), or of the component of a single mixture; above 0 is
    semi-supervised."""
    label_at: Literal["mean", "sample"] = "mean"
    """z of the labels' cross-entropy: mu(x), as classes are predicted, or the sample of q(z|x) that is decoded, so that
    all of the posterior, not its mean alone, comes to lie in its class."""
    label_encoder: bool = True
    """Let the gradient of the labels' cross-entropy reach the encoder."""
    label_ramp: float = 0.0
    """Share of the run over which the weight of the labels' cross-entropy rises from 0."""
    pseudo_label_weight: float = 0.0
    """Weight of the cross-entropy of the class (or symbol) probabilities that `pseudo_labels` gives: of bags of words
    at z = mu(x) of the documents without a label, by "words" at z of `label_at` of all texts."""
    pseudo_labels: Literal["naive_bayes", "ensemble", "words"] = "naive_bayes"
    """Bags of words: naive Bayes with EM, or its mean with self-training logistic regression. Sentences and bags of
    words: "words", symbols that are found from the words of the training text, or from its labels where it learns from
    labels; they need `model.sentence-features` words."""
    group_by: Literal["auto", "topics", "wording"] = "auto"
    """What symbols that words find without labels are: topics; wording, such as that of questions and of answers; or
    topics, and in conversations what halves of the text agree on better."""
    labelled_bound: bool = True
    """Labelled batches (training.labelled-batch-size) count in the bound, or in the cross-entropy alone."""
    bag_of_words: float = 0.0
    """Weight of an auxiliary loss that predicts each word from z alone (Zhao et al. 2017); fades out as w rises."""
    energy_penalty: float = 0.0
    """Weight of the penalty mean F(z+)^2 + mean F(z-)^2, which keeps a diverging energy bounded."""
    category_information: bool = True
    """Penalise the mutual information of discrete variables and sentences, a part of their KL; without it the KL of
    their marginal is left (DI-VAE, and the rows "+ I")."""
    dispersion: float = 1.0
    """beta, weight of the dispersion of mixture components (GM-VAE: 1, the whole KL; DGM-VAE: less)."""
    update: Literal["joint", "alternating"] = "joint"
    """One update of everything, or prior first, then encoder and decoder with the new prior (Algorithm 1)."""


@dataclass(frozen=True)
class OptimiserConfig:
    """Adam, separate settings for the networks and for the prior."""

    learning_rate: float = 1e-3
    """Adam step size of encoder and decoder."""
    prior_learning_rate: float = 1e-4
    """Adam step size of the prior's network."""
    weight_decay: float = 0.0
    """L2 penalty of encoder and decoder."""
    prior_weight_decay: float = 0.0
    """L2 penalty of the prior's network."""
    clip: float = 0.5
    """Largest gradient norm of encoder and decoder; 0 does not clip."""
    prior_clip: float = 1.0
    """Largest gradient norm of the prior's network; 0 does not clip."""
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    """Learning rate over the run: constant; cosine decay down to a fiftieth; or "plateau": times .8 after each
    validation that did not improve, once w is near its largest (the baselines of the paper)."""


@dataclass(frozen=True)
class TrainingConfig:
    """The run."""

    batch_size: int = 64
    """Sentences (or points) an iteration, over all processes together."""
    labelled_batch_size: int = 0
    """Labelled examples an iteration, beside batch-size of the others; 0 mixes them as they come."""
    select: Literal["bound", "accuracy", "last"] = "bound"
    """What chooses the best model: the validation bound, the accuracy on labelled validation examples, or nothing: the
    last one is taken, as where samples go on getting better when the bound does not."""
    max_steps: int = 10_000
    """Iterations in all."""
    patience: int = 0
    """Validations without a better one after which a run ends before its last iteration, counted from where w is nearly
    at its largest. 0: it never ends early."""
    prior_steps: int = 0
    """Iterations after these in which the energy-based prior of the best model alone goes on learning, from z of the
    encoder. Its result is kept where it betters the validation bound."""
    prior_stage: Literal["joint", "second"] = "joint"
    """When the energy-based prior is learnt: together with the networks, or only afterwards, in `prior_steps`. Until
    then p(z) is N(0, I), and the run that of a VAE."""
    checkpoint_every: int = 500
    """Iterations between checkpoints."""
    validate_every: int = 1000
    """Iterations between validations; the best model by validation bound is kept."""
    log_every: int = 20
    """Iterations between lines of metrics.jsonl."""
    sample_every: int = 1000
    """Iterations between printed samples and reconstructions; 0 never prints."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the networks: float32, or bfloat16 autocast where the device multiplies in it."""
    device: str = "auto"
    """Device: auto, cpu, cuda, or cuda:N."""
    cuda_graphs: bool = True
    """On one GPU: launch the operations of the energy-based loss together. Results differ by rounding at most."""
    tensorboard: bool = False
    """Also write TensorBoard event files (needs the tensorboard extra)."""
    max_energy: float = 1e3
    """Stop when the mean energy of the chains leaves (-this, this): the prior has diverged."""
    recoveries: int = 2
    """Times that a run whose energy runs away goes back to its best state (its first one, before any validation) and
    on from there, with objective.energy-penalty at least 0.02, from the second time on also half the prior's learning
    rate; 0: it stops at once."""


@dataclass(frozen=True)
class EvaluationConfig:
    """How the finished model is measured."""

    importance_samples: int = 500
    """M, samples of q(z|x) per sentence for the importance-weighted NLL."""
    proposal_scale: float = 0.0
    """Factor on the standard deviations of q(z|x) in those samples, which a narrow q needs; 0: the one that makes the
    bound of log p(x) tightest on some validation sentences."""
    max_sentences: int = 0
    """Test sentences for the NLL, the first of a seeded permutation; 0 takes all."""
    annealed_sentences: int = 0
    """Test sentences, of those for the NLL, whose likelihood is also estimated by annealed importance sampling."""
    annealed_chains: int = 8
    """Chains of it for each sentence."""
    annealed_temperatures: int = 100
    """Temperatures of it."""
    frequency_samples: int = 40_000
    """Sampled sentences for wKL."""
    response_samples: int = 32
    """Dialogs: responses to each context, of which the one most like the others is measured beside a single one."""
    grammar_samples: int = 1000
    """Sampled sentences checked by the grammar (embedded corpus)."""
    language_model: Literal["none", "fast", "paper"] = "none"
    """Language model trained on samples for the reverse perplexity: none, fast (sized for CPUs) or paper (AWD-LSTM of
    Merity et al. 2018)."""
    aggregate_posterior: bool = False
    """Also measure greedy samples at z of the aggregate posterior: what a prior equal to it would score."""
    sample_precision: Literal["fp32", "fast"] = "fp32"
    """Arithmetic of generated samples: "fast" lets kernels round to 16 bits."""
    log_z_chains: int = 1000
    """Chains of annealed importance sampling."""
    log_z_temperatures: int = 500
    """Temperatures of annealed importance sampling, each direction."""


@dataclass(frozen=True)
class Config:
    """Everything that determines a run. Saved with the model."""

    preset: str = "assistant"
    """Preset the run started from."""
    data: DataConfig = field(default_factory=DataConfig)
    model: AnyModel = field(default_factory=SentenceModel)
    chains: ChainConfig = field(default_factory=ChainConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    seed: int = 0
    """Training seed: initial parameters, order of the data, every random number."""


def asked_iterations(config: Config) -> str:
    """Iterations of a run in words; with patience it may have ended before."""
    return f"{config.training.max_steps:,} iterations{' at most' if config.training.patience > 0 else ''}"


def has_subwords(data: DataConfig) -> bool:
    """Whether texts are read as subwords that were learnt from them."""
    return data.corpus == "lines" and data.tokenization == "bpe"
