"""The loss after the networks, and its gradient, as CUDA graphs.

From nll, q(z|x), z and z- on, an iteration is some hundred operations on a few thousand numbers, each of which a GPU
does in less time than it takes to launch it. Sizes are the same in all full batches, so that they are captured once and
then launched together.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from svebm_ext.config import Config
from svebm_ext.latents.energy import EnergyLatent, EnergyPosterior
from svebm_ext.models.latent_variable import Forward, LatentVariableModel
from svebm_ext.objectives.elbo import LossTerms
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.terms import learns_energy

#: The loss and its terms, of a pass over the batch, z- and the weight w [].
LossOf = Callable[[Forward, Tensor, Tensor], tuple[Tensor, LossTerms]]
Capture = Callable[[nn.Module, tuple[Tensor, ...]], Callable[..., tuple[Tensor, Tensor]]]


def cuda_graphs(module: nn.Module, sample: tuple[Tensor, ...]) -> Callable[..., tuple[Tensor, Tensor]]:
    """A module whose forward and backward pass are a CUDA graph each (`torch.cuda.make_graphed_callables`)."""
    # Gradients of the parameters come from the stream of the capture: torch waits for it, and newer versions say so,
    # already while capturing.
    quiet = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
    if quiet is not None:
        quiet(False)
    graphs = torch.cuda.make_graphed_callables(module, sample, allow_unused_input=True)
    assert isinstance(graphs, nn.Module)  # the module itself, whose `forward` is another now
    return graphs


class LossGraph:
    """The loss of full batches from graphs that are captured at the first of them.

    Args:
        prior: the network of the energy; the loss depends on no other parameters but through its inputs.
        capture: makes the graphs.
    """

    def __init__(self, prior: EnergyMLP, capture: Capture = cuda_graphs) -> None:
        self._prior, self._capture = prior, capture
        self._graphs: Callable[..., tuple[Tensor, Tensor]] | None = None
        self._module: _Loss | None = None
        self._shapes: list[torch.Size] = []
        #: why there are no graphs; empty as long as nothing went wrong
        self.reason = ""

    def __call__(
        self, loss_of: LossOf, forward: Forward, negative: Tensor | None, weight: float
    ) -> tuple[Tensor, LossTerms] | None:
        """The loss and its terms, which are valid until the next call; None where there are no graphs for it.

        Args:
            loss_of: what is captured, at the first call; equal for all calls.
            forward: of the batch.
            negative: [m, D] z-, or None: no graphs.
            weight: w, above 0.
        """
        posterior = forward.posterior
        if (
            self.reason
            or negative is None
            or not isinstance(posterior, EnergyPosterior)
            or posterior.context is not None
        ):
            return None
        weight_there = torch.full((), weight, device=negative.device)
        inputs = (forward.nll, posterior.mean, posterior.log_variance, forward.z, negative, weight_there)
        shapes = [x.shape for x in inputs]
        if self._graphs is None:
            self._module = _Loss(loss_of, self._prior)
            sample = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs)
            try:
                self._graphs = self._capture(self._module, sample)
            except RuntimeError as error:
                self.reason = str(error).partition("\n")[0]
                warnings.warn(f"the loss is computed without CUDA graphs: {self.reason}", stacklevel=2)
                return None
            self._shapes = shapes
        if shapes != self._shapes:
            return None
        loss, values = self._graphs(*inputs)
        assert self._module is not None
        return loss, LossTerms(**dict(zip(self._module.names, values.detach(), strict=True)))


class _Loss(nn.Module):
    """`loss_of` by tensors alone: the loss [], and the terms that are numbers, as one vector."""

    def __init__(self, loss_of: LossOf, prior: EnergyMLP) -> None:
        super().__init__()
        self._loss_of, self.prior = loss_of, prior
        self.names: list[str] = []

    def forward(
        self, nll: Tensor, mean: Tensor, log_variance: Tensor, z: Tensor, negative: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        posterior = EnergyPosterior(mean, log_variance, self.prior)
        loss, terms = self._loss_of(Forward(nll, posterior, z), negative, weight)
        numbers = {name: value for name, value in vars(terms).items() if value is not None and value.dim() == 0}
        self.names = list(numbers)
        return loss, torch.stack(list(numbers.values())).detach()


def loss_graph_of(model: LatentVariableModel, config: Config, runtime: Runtime) -> LossGraph | None:
    """The CUDA graphs of a run's loss; None where it is not all on one GPU, or depends on more than they take."""
    objective = config.objective
    more = (objective.label_weight, objective.pseudo_label_weight, objective.bag_of_words, objective.marginal_momentum)
    if runtime.device.type != "cuda" or runtime.world_size > 1 or any(weight > 0.0 for weight in more):
        return None
    if type(model.latent) is not EnergyLatent or not learns_energy(model.latent, config):
        return None
    if objective.update == "alternating" or not config.training.cuda_graphs:
        return None
    return LossGraph(model.latent.prior)
