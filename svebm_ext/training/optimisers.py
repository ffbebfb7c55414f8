"""Adam for networks and prior, and the gradients that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from svebm_ext.config import OptimiserConfig
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.objectives.schedules import cosine_decay
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.saved_state import check_adam

#: Factor on the learning rate after a validation that did not improve, for the schedule "plateau".
PLATEAU_FACTOR = 0.8


class Group(NamedTuple):
    """Parameters that move together: their optimiser, its step size before any schedule, the largest gradient norm."""

    parameters: list[nn.Parameter]
    optimiser: torch.optim.Optimizer
    rate: float
    clip: float


class Optimisers:
    """Adam for the networks and Adam for the prior, each with its own step size, decay and clipping.

    Args:
        model: of the run.
        config: step sizes and their schedule, decay, clipping.
        learns_prior: whether the prior has its own; else nothing changes it.
    """

    def __init__(self, model: LatentVariableModel, config: OptimiserConfig, *, learns_prior: bool = True) -> None:
        self._config = config
        #: factor on the step sizes that validation has brought about (schedule "plateau")
        self.decay = 1.0
        self._row_gradients = RowGradients(model)
        self.groups: dict[str, Group] = {}
        prior, networks = model.prior_parameters(), model.network_parameters()
        self._add("networks", networks, config.learning_rate, config.weight_decay, config.clip)
        if prior and learns_prior:
            self._add("prior", prior, config.prior_learning_rate, config.prior_weight_decay, config.prior_clip)

    def _add(self, name: str, parameters: list[nn.Parameter], rate: float, decay: float, clip: float) -> None:
        optimiser = torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
        self.groups[name] = Group(parameters, optimiser, rate, clip)

    def set_rate(self, step: int, max_steps: int) -> None:
        """Step sizes of an iteration: constant, cosine decay to a fiftieth, or what `note_plateau` has left."""
        factor = self.decay
        if self._config.schedule == "cosine":
            factor = cosine_decay(step, max_steps)
        for group in self.groups.values():
            for options in group.optimiser.param_groups:
                options["lr"] = group.rate * factor

    def forget(self, name: str) -> None:
        """Drop the gradients of a group without a step."""
        self.groups[name].optimiser.zero_grad(set_to_none=True)

    def note_plateau(self) -> None:
        """A validation without improvement: smaller steps from here on (Zhao et al. 2018, Shi et al. 2020)."""
        self.decay *= PLATEAU_FACTOR

    def reduce(self, names: Sequence[str], runtime: Runtime, numbers: Tensor | None = None) -> Tensor:
        """Add up the gradients of groups over processes, before they are applied, and numbers [n], which it returns."""
        parameters = [p for name in names if name in self.groups for p in self.groups[name].parameters]
        self._row_gradients.make_dense(parameters)
        return runtime.reduce_gradients(parameters, numbers)

    def apply(self, name: str, runtime: Runtime) -> Tensor:
        """Clip and apply the gradients of a group; returns their norm before clipping, where they are.

        Gradients that are not finite change nothing. Nothing here waits for a GPU to come to an end.
        """
        if name not in self.groups:
            return torch.zeros((), device=runtime.device)
        parameters, optimiser, _, clip = self.groups[name]
        self._row_gradients.make_dense(parameters)
        norm = gradient_norm(parameters)
        # the optimiser divides gradients by its scale as it reads them: clipping costs no pass of its own
        scale = ((norm + 1e-6) / clip).clamp(min=1.0) if clip > 0 else torch.ones_like(norm)
        optimiser.grad_scale = scale  # type: ignore[attr-defined]
        optimiser.found_inf = (~norm.isfinite()).to(norm.dtype)  # type: ignore[attr-defined]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self._row_gradients.clear(parameters)
        return norm

    def state(self) -> dict[str, Tensor]:
        """All moments and step counts by name, for a checkpoint."""
        state = {}
        for name, group in self.groups.items():
            for index, values in group.optimiser.state_dict()["state"].items():
                for key, value in values.items():
                    state[f"{name}.{index}.{key}"] = torch.as_tensor(value).clone()
        return state

    def load(self, tensors: dict[str, Tensor], where: str) -> None:
        """Take back what `state` gave, all or nothing.

        Args:
            tensors: by name.
            where: their file, for errors.

        Raises:
            ModelFolderError: a tensor that is missing, unknown, or not what Adam of its parameter can have.
        """
        states = check_adam(tensors, {name: group.parameters for name, group in self.groups.items()}, where)
        for name, group in self.groups.items():
            options = group.optimiser.state_dict()["param_groups"]
            group.optimiser.load_state_dict({"state": states[name], "param_groups": options})


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, a scalar."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return parameters[0].new_zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


class RowGradients:
    """Gradients of embeddings, which come as the rows of a batch's words, as whole matrices for the optimiser.

    The matrices are kept, and only rows that were written are cleared: that saves filling and adding up some millions
    of zeros at each step. On a GPU, where those cost nothing to speak of, gradients stay whole from the start.

    Args:
        model: its embeddings are switched to gradients of rows where they are on a CPU.
    """

    def __init__(self, model: nn.Module) -> None:
        for module in model.modules():
            if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.weight.device.type == "cpu":
                module.sparse = True
        self._matrices: dict[nn.Parameter, Tensor] = {}
        self._written: dict[nn.Parameter, Tensor] = {}

    def make_dense(self, parameters: list[nn.Parameter]) -> None:
        """Replace sparse gradients by matrices, valid until `clear`."""
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None or not gradient.is_sparse:
                continue
            matrix = self._matrices.setdefault(parameter, torch.zeros(0))
            if matrix.shape != parameter.shape:
                matrix = self._matrices[parameter] = torch.zeros_like(parameter)
            rows = gradient._indices()[0]
            matrix.index_add_(0, rows, gradient._values())
            self._written[parameter] = rows
            parameter.grad = matrix

    def clear(self, parameters: list[nn.Parameter]) -> None:
        """Make their matrices zero again."""
        for parameter in parameters:
            if parameter in self._written:
                self._matrices[parameter].index_fill_(0, self._written.pop(parameter), 0.0)
