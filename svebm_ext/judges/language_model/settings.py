"""What a language model is and how it is trained, with the published setting and one for CPUs."""

from dataclasses import dataclass, fields

from svebm_ext.errors import ConfigError


@dataclass(frozen=True)
class LanguageModelSettings:
    """Sizes, training and regularisation of an AWD-LSTM; names as in Merity et al. 2018.

    Attributes:
        embedding_dim: size of a word embedding, of the softmax tied to it, and of the last layer's state.
        hidden: size of the states of all layers but the last.
        n_layers: LSTM layers.
        batch_size: parallel streams that the training text is cut into.
        bptt: time steps back which gradients go; the length of a window varies around it.
        epochs: passes over the training text.
        optimiser: "nt-asgd", plain steps until the trigger, averaged iterates from then; or "adam", its rate falling
            linearly to 0.
        learning_rate: of a window of `bptt` time steps; that of another is in proportion to its length.
        clip: largest norm of the gradient of all parameters together; 0 is no limit.
        input_dropout, hidden_dropout, output_dropout: locked dropout of embeddings, between layers, and of the last
            states: one mask for all time steps.
        embedding_dropout: probability that a word's embedding is zero in a whole window.
        weight_drop: probability that an entry of a state-to-state matrix is zero in a whole window.
        alpha: factor of activation regularisation (AR), the mean square of the last layer's states after dropout.
        beta: factor of temporal activation regularisation (TAR), the mean square of their changes.
        weight_decay: factor of the parameters added to their gradient.
        non_monotone: validations that the trigger of averaging looks back over.
        frequency_bias: start the softmax's bias at log( (count + 1) / (tokens + V) ) of the training text, not at 0.
        input_gain: factor of the first layer's initial input weights: above 1 makes up for embeddings that start small.
        precision: "fp32", or "bf16" for products with rounded operands.
    """

    embedding_dim: int = 400
    hidden: int = 1150
    n_layers: int = 3
    batch_size: int = 20
    bptt: int = 70
    epochs: int = 20
    optimiser: str = "nt-asgd"
    learning_rate: float = 30.0
    clip: float = 0.25
    input_dropout: float = 0.4
    hidden_dropout: float = 0.25
    output_dropout: float = 0.4
    embedding_dropout: float = 0.1
    weight_drop: float = 0.5
    alpha: float = 2.0
    beta: float = 1.0
    weight_decay: float = 1.2e-6
    non_monotone: int = 5
    frequency_bias: bool = False
    input_gain: float = 1.0
    precision: str = "fp32"

    def __post_init__(self) -> None:
        for name in ("embedding_dim", "hidden", "n_layers", "batch_size", "bptt", "epochs", "non_monotone"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for field in fields(self):
            if field.name.endswith(("dropout", "drop")):
                self._check(field.name, 0.0 <= getattr(self, field.name) < 1.0, "from 0 to below 1")
        for name in ("clip", "alpha", "beta", "weight_decay"):
            self._check(name, getattr(self, name) >= 0.0, "at least 0")
        for name in ("learning_rate", "input_gain"):
            self._check(name, getattr(self, name) > 0.0, "above 0")
        self._check("optimiser", self.optimiser in ("nt-asgd", "adam"), "nt-asgd or adam")
        self._check("precision", self.precision in ("fp32", "bf16"), "fp32 or bf16")

    def _check(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigError(f"language model: {name} is {getattr(self, name)!r}; expected {expected}")


#: The setting that reverse perplexities were published with: 24 million parameters, for GPUs.
PAPER = LanguageModelSettings()

#: A small model and few passes, for two CPU cores; docs/metrics.md says what it reaches.
FAST = LanguageModelSettings(
    embedding_dim=200,
    hidden=200,
    n_layers=2,
    batch_size=32,
    bptt=35,
    epochs=3,
    optimiser="adam",
    learning_rate=1e-2,
    clip=0.25,
    input_dropout=0.05,
    hidden_dropout=0.05,
    output_dropout=0.05,
    embedding_dropout=0.0,
    weight_drop=0.05,
    alpha=0.0,
    beta=0.0,
    weight_decay=0.0,
    frequency_bias=True,
    input_gain=10.0,
    precision="bf16",
)
