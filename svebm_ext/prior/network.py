"""The network f_a: R^D -> R^K of the symbol-vector prior (Eq. 2), and what is read off it (Eq. 3-5).

Sign convention of the whole package: the energy F is HIGHER where a vector is MORE probable.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from svebm_ext.errors import ConfigError
from svebm_ext.prior.reference import Reference
from svebm_ext.prior.symbols import energy_of, log_symbols_of

ACTIVATIONS = ("gelu", "leaky_relu", "silu", "tanh")


def activation_function(name: str, negative_slope: float = 0.2) -> Callable[[Tensor], Tensor]:
    """Return the activation called `name`: exact GELU, LeakyReLU(negative_slope), SiLU or tanh."""
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "gelu": functional.gelu,
        "leaky_relu": lambda x: functional.leaky_relu(x, negative_slope),
        "silu": functional.silu,
        "tanh": torch.tanh,
    }
    if name not in functions:
        raise ConfigError(f"activation is {name!r}; expected one of {', '.join(ACTIVATIONS)}")
    return functions[name]


class LangevinOptions(TypedDict):
    """What `ops.langevin` has to know of a network beside its layers."""

    activation: str
    negative_slope: float


class MoveOptions(LangevinOptions, total=False):
    """Options of `ops.langevin` that chains are moved with beside their own."""

    precision: str
    metropolis: bool
    context_shift: Tensor


class EnergyMLP(nn.Module):
    """Energy network f of the symbol-vector prior p(y, z) = exp(<y, f(z)>) p0(z) / Z (Eq. 2).

    `reference` is p0, N(0, I) unless a second stage fitted another one. The layers, and all methods but `at`, take z in
    the coordinates in which p0 is N(0, I).

    Args:
        latent_dim: D, size of z.
        n_categories: K, number of symbols.
        hidden: widths of the hidden layers, none to two of them.
        activation: "gelu" (exact), "leaky_relu", "silu" or "tanh".
        negative_slope: slope of LeakyReLU below zero; unused by the others.
        context_dim: size of a context c that f depends on as well: f(z, c) has [z, c] as its input. 0: none.

    Raises:
        ConfigError: a size is not positive, there are more than two hidden layers, or the activation is unknown.
    """

    def __init__(
        self,
        latent_dim: int,
        n_categories: int,
        hidden: Sequence[int] = (200, 200),
        activation: str = "gelu",
        negative_slope: float = 0.2,
        context_dim: int = 0,
    ) -> None:
        super().__init__()
        widths = [latent_dim, *hidden, n_categories]
        if len(hidden) > 2:
            raise ConfigError(f"hidden is {tuple(hidden)}; expected at most two hidden layers")
        if min(widths) < 1:
            raise ConfigError(f"layer sizes are {widths} (latent, hidden, categories); expected positive numbers")
        activation_function(activation)
        self.latent_dim = latent_dim
        self.n_categories = n_categories
        self.hidden = tuple(hidden)
        self.activation = activation
        self.negative_slope = negative_slope
        self.linears = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(widths))
        self.reference = Reference(latent_dim)
        self.context = nn.Linear(context_dim, widths[1], bias=False) if context_dim > 0 else None

    def context_shift(self, context: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch H"]:
        """Return what a context adds to the first layer: W [z, c] = W_z z + W_c c, and this is W_c c.

        Raises:
            ConfigError: the network was built without a context.
        """
        if self.context is None:
            raise ConfigError("context: this prior was built without one (context_dim 0)")
        return self.context(context)

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Return (weight [out, in], bias [out]) of each layer, first to last: what `ops.langevin` takes."""
        return [(linear.weight, linear.bias) for linear in self.linears if isinstance(linear, nn.Linear)]

    @property
    def langevin_options(self) -> LangevinOptions:
        """What `ops.langevin` takes beside the layers."""
        return {"activation": self.activation, "negative_slope": self.negative_slope}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.layers()[0][0].device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters, in which z is."""
        return self.layers()[0][0].dtype

    def logits(
        self, z: Float[Tensor, "*batch D"], context_shift: Float[Tensor, "*batch H"] | None = None
    ) -> Float[Tensor, "*batch K"]:
        """Return f(z) [*, K]; `context_shift` is added to the first layer's pre-activation (f(z, c) of a context c)."""
        activation = activation_function(self.activation, self.negative_slope)
        hidden = self.linears[0](z)
        if context_shift is not None:
            hidden = hidden + context_shift
        for linear in self.linears[1:]:
            hidden = linear(activation(hidden))
        return hidden

    def at(
        self, z: Float[Tensor, "*batch D"], context_shift: Float[Tensor, "*batch H"] | None = None
    ) -> Float[Tensor, "*batch K"]:
        """Return f [*, K] of z of the encoder, so that p(y, z) is proportional to exp(<y, f>) N(z; 0, I).

        Beside another reference it is f of z whitened, plus log N(z; m, S) - log N(z; 0, I).
        """
        if self.reference.is_standard:
            return self.logits(z, context_shift)
        u = self.reference.whitened(z)
        return self.logits(u, context_shift) + self.reference.log_ratio(z, u)[..., None]

    def energy(
        self, z: Float[Tensor, "*batch D"], context_shift: Float[Tensor, "*batch H"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Return F(z) = logsumexp_k f_k(z) [*] (Eq. 5); log p(z) = F(z) + log p0(z) - log Z (Eq. 4)."""
        return energy_of(self.logits(z, context_shift))

    def log_posterior_symbol(
        self, z: Float[Tensor, "*batch D"], context_shift: Float[Tensor, "*batch H"] | None = None
    ) -> Float[Tensor, "*batch K"]:
        """Return log p(y | z) = log softmax(f(z)) [*, K] (Eq. 3)."""
        return log_symbols_of(self.logits(z, context_shift))

    def forward(
        self, z: Float[Tensor, "*batch D"], context_shift: Float[Tensor, "*batch H"] | None = None
    ) -> Float[Tensor, "*batch K"]:
        """Return `logits(z, context_shift)`."""
        return self.logits(z, context_shift)

    def extra_repr(self) -> str:
        """Show the activation beside the layers."""
        return f"activation={self.activation}"
