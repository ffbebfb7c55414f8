"""One update of the parameters: joint (released code) or alternating (Algorithm 1 of the paper)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TypeGuard, cast

import torch
from torch import Tensor, nn

from svebm_ext.config import Config, OptimiserConfig
from svebm_ext.data.batching import SentenceBatch
from svebm_ext.latents.base import Latent
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.latent_variable import Forward, LatentVariableModel
from svebm_ext.objectives.elbo import Averager, LossTerms, collect_terms, total_loss
from svebm_ext.objectives.schedules import cosine_decay, label_weight
from svebm_ext.ops.backend import resolve
from svebm_ext.ops.threads import only_kernels_in_parallel
from svebm_ext.prior.negatives import Negatives
from svebm_ext.prior.symbols import energy_of, log_symbols_of
from svebm_ext.randomness import Draw
from svebm_ext.training.feeds import Share
from svebm_ext.training.loss_graph import LossGraph
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.saved_state import check_adam

#: Terms of the log of which each process has its share.
SHARES = ("nll", "kl", "dispersion", "energy_positive", "energy_negative", "label", "pseudo_label", "bag_of_words")
#: Factor on the learning rate after a validation that did not improve, for the schedule "plateau".
PLATEAU_FACTOR = 0.8


@dataclass
class Outcome:
    """What an update tells the log."""

    loss: float
    terms: dict[str, float]
    gradient_norm: float
    prior_gradient_norm: float
    marginal: Tensor | None


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
        self.groups: dict[str, tuple[list[nn.Parameter], torch.optim.Optimizer, float, float]] = {}
        prior, networks = model.prior_parameters(), model.network_parameters()
        self._add("networks", networks, config.learning_rate, config.weight_decay, config.clip)
        if prior and learns_prior:
            self._add("prior", prior, config.prior_learning_rate, config.prior_weight_decay, config.prior_clip)

    def _add(self, name: str, parameters: list[nn.Parameter], rate: float, decay: float, clip: float) -> None:
        self.groups[name] = (
            parameters,
            torch.optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True),
            rate,
            clip,
        )

    def set_rate(self, step: int, max_steps: int) -> None:
        """Step sizes of an iteration: constant, cosine decay to a fiftieth, or what `note_plateau` has left."""
        factor = self.decay
        if self._config.schedule == "cosine":
            factor = cosine_decay(step, max_steps)
        for _, optimiser, rate, _ in self.groups.values():
            for group in optimiser.param_groups:
                group["lr"] = rate * factor

    def note_plateau(self) -> None:
        """A validation without improvement: smaller steps from here on (Zhao et al. 2018, Shi et al. 2020)."""
        self.decay *= PLATEAU_FACTOR

    def apply(self, name: str, runtime: Runtime) -> Tensor:
        """Reduce, clip and apply the gradients of a group; returns their norm before clipping, where they are.

        Gradients that are not finite change nothing. Nothing here waits for a GPU to come to an end.
        """
        if name not in self.groups:
            return torch.zeros((), device=runtime.device)
        parameters, optimiser, _, clip = self.groups[name]
        self._row_gradients.make_dense(parameters)
        runtime.reduce_gradients(parameters)
        norm = gradient_norm(parameters)
        # the optimiser divides gradients by its scale as it reads them: clipping costs no pass of its own
        scale = ((norm + 1e-6) / clip).clamp(min=1.0) if clip > 0 else torch.ones_like(norm)
        optimiser.grad_scale = scale  # type: ignore[attr-defined]
        optimiser.found_inf = (~norm.isfinite()).to(norm.dtype)  # type: ignore[attr-defined]
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        self._row_gradients.clear()
        return norm

    def state(self) -> dict[str, Tensor]:
        """All moments and step counts by name, for a checkpoint."""
        found = {}
        for name, (_, optimiser, _, _) in self.groups.items():
            for index, values in optimiser.state_dict()["state"].items():
                for key, value in values.items():
                    found[f"{name}.{index}.{key}"] = torch.as_tensor(value).clone()
        return found

    def load(self, tensors: dict[str, Tensor], where: str) -> None:
        """Take back what `state` gave, all or nothing.

        Args:
            tensors: by name.
            where: their file, for errors.

        Raises:
            ModelFolderError: a tensor that is missing, unknown, or not what Adam of its parameter can have.
        """
        states = check_adam(tensors, {name: group[0] for name, group in self.groups.items()}, where)
        for name, (_, optimiser, _, _) in self.groups.items():
            optimiser.load_state_dict({"state": states[name], "param_groups": optimiser.state_dict()["param_groups"]})


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
        self._written: list[tuple[Tensor, Tensor]] = []

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
            self._written.append((matrix, rows))
            parameter.grad = matrix

    def clear(self) -> None:
        """Make the matrices zero again."""
        for matrix, rows in self._written:
            matrix.index_fill_(0, rows, 0.0)
        self._written.clear()


def update(
    model: LatentVariableModel,
    optimisers: Optimisers,
    share: Share,
    negatives: Negatives | None,
    weight: float,
    step: int,
    config: Config,
    runtime: Runtime,
    running_marginal: Tensor | None = None,
    graph: LossGraph | None = None,
) -> Outcome:
    """One iteration of learning (Algorithm 1; the loss is that of docs/math.md).

    Args:
        model: networks.
        optimisers: of the networks and the prior.
        share: this process's part of the batch.
        negatives: [m, D] this process's z- of the prior, detached, or what makes them from the pass over the batch (see
            `prior.negatives`); None without a prior or while w = 0.
        weight: w.
        step: iteration, from 0: addresses the random numbers.
        config, runtime: of the run.
        running_marginal: [K] moving average of q(y), or None.
        graph: computes the loss where it can serve; see `loss_graph_of`.
    """
    with only_kernels_in_parallel() if _kernels_do_the_work(model, runtime) else contextlib.nullcontext():
        return _update(model, optimisers, share, negatives, weight, step, config, runtime, running_marginal, graph)


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


def learns_energy(latent: Latent, config: Config) -> TypeGuard[EnergyLatent]:
    """Whether the energy of the prior is learnt together with the networks."""
    return isinstance(latent, EnergyLatent) and config.training.prior_stage == "joint"


def learns_symbols(latent: Latent, config: Config) -> bool:
    """Whether f, the network of the symbols, is learnt together with the others, be it from labels or guesses alone."""
    objective = config.objective
    guided = objective.label_weight > 0 or objective.pseudo_label_weight > 0
    return learns_energy(latent, config) or (isinstance(latent, EnergyLatent) and guided)


def _kernels_do_the_work(model: LatentVariableModel, runtime: Runtime) -> bool:
    """Whether recurrence and loss run in compiled kernels on the CPU."""
    if runtime.device.type != "cpu" or not isinstance(getattr(model.decoder, "recurrent", None), nn.GRU):
        return False
    return resolve("gru_sequence", runtime.device) == resolve("token_loss", runtime.device) == "native"


def _update(
    model: LatentVariableModel,
    optimisers: Optimisers,
    share: Share,
    negatives: Negatives | None,
    weight: float,
    step: int,
    config: Config,
    runtime: Runtime,
    running_marginal: Tensor | None,
    graph: LossGraph | None,
) -> Outcome:
    model.train()
    average = Averager(share.n_total, runtime.sum, runtime.world_size)
    draw = Draw(config.seed, step)
    with runtime.autocast():
        forward = model(share.batch, draw)
        if share.labelled is not None:
            forward.labelled_mean = model.encode(share.labelled, draw)
    objective = replace(config.objective, label_weight=label_weight(step, config.training.max_steps, config.objective))

    negative = negatives(forward) if callable(negatives) else negatives

    def loss_of(
        passed: Forward, negative: Tensor | None = negative, weight: float | Tensor = weight
    ) -> tuple[Tensor, LossTerms]:
        terms = _terms(model, passed, share, negative, config, average, running_marginal)
        return total_loss(terms, weight, objective, runtime.world_size), terms

    alternating = config.objective.update == "alternating" and negative is not None
    if alternating:
        posterior = type(forward.posterior)(*(p.detach() for p in forward.posterior))
        labelled = None if forward.labelled_mean is None else forward.labelled_mean.detach()
        loss_of(Forward(forward.nll.detach(), posterior, forward.z.detach(), labelled))[0].backward()
        prior_norm = optimisers.apply("prior", runtime)
    graphed = None
    if graph is not None and share.n_total == config.training.batch_size:
        graphed = graph(loss_of, forward, negative, weight)
    loss, found = graphed or loss_of(forward)
    loss.backward()
    norm = optimisers.apply("networks", runtime)
    if alternating:
        optimisers.groups["prior"][1].zero_grad(set_to_none=True)
    else:
        prior_norm = optimisers.apply("prior", runtime)
    return _outcome(loss, found, norm, prior_norm, runtime)


def _terms(
    model: LatentVariableModel,
    forward: Forward,
    share: Share,
    z_negative: Tensor | None,
    config: Config,
    average: Averager,
    running_marginal: Tensor | None,
) -> LossTerms:
    """Averaged terms, the prior's network evaluated with its present parameters."""
    latent, objective = model.latent, config.objective
    joint = learns_energy(latent, config)
    if isinstance(latent, EnergyLatent) and not joint:
        divergence = latent.reference_terms(forward.posterior, forward.z)
    else:
        divergence = latent.terms(forward.posterior, forward.z)
    negative = label_logits = labels = guess_logits = None
    if objective.bag_of_words > 0.0 and model.bag_of_words is not None:
        divergence["bag_of_words"] = model.bag_of_words_nll(cast(SentenceBatch, share.batch), forward.z)
    if isinstance(latent, EnergyLatent):
        if joint and not objective.mutual_information_encoder:
            divergence["log_symbol"] = log_symbols_of(latent.logits(forward.posterior, forward.z.detach()))
        if z_negative is not None:
            negative = energy_of(latent.logits(forward.posterior, z_negative))
        if objective.label_weight > 0.0:
            labels = share.batch.labels
            z = forward.z if objective.label_at == "sample" else forward.posterior.mean
            if share.labelled is not None and forward.labelled_mean is not None:
                z, labels = forward.labelled_mean, share.labelled.labels
            label_logits = latent.prior.logits(z if objective.label_encoder else z.detach())
        if share.guesses is not None:
            guess_logits = latent.prior.logits(forward.z if objective.label_at == "sample" else forward.posterior.mean)
    elif objective.label_weight > 0.0:  # one mixture, whose component is the class: Kingma et al. 2014, with q(c|x)
        label_logits, labels = divergence["log_categories"][:, 0], share.batch.labels
    return collect_terms(
        forward.nll,
        divergence,
        objective,
        average,
        energy_negative=negative,
        n_negatives=config.chains.per_iteration or share.n_total,
        label_logits=label_logits,
        labels=labels,
        n_labelled=share.n_labelled,
        guess_logits=guess_logits,
        guesses=share.guesses,
        n_guessed=share.n_guessed,
        running_marginal=running_marginal,
    )


def _outcome(loss: Tensor, terms: LossTerms, norm: Tensor, prior_norm: Tensor, runtime: Runtime) -> Outcome:
    """All numbers of the log in one reading."""
    shares = {name: value for name in SHARES if (value := getattr(terms, name)) is not None}
    whole = {
        name: value
        for name, value in (
            ("mi", terms.mutual_information),
            ("category_kl", terms.category_kl),
            ("category_information", terms.category_information),
        )
        if value is not None
    }
    tensors = [loss, *shares.values(), *whole.values(), norm, prior_norm]
    *of_process, norm_found, prior_found = torch.stack([tensor.detach() for tensor in tensors]).tolist()
    n = 1 + len(shares)
    totals = runtime.total(*of_process[:n])
    logged = dict(zip(shares, totals[1:], strict=True)) | dict(zip(whole, of_process[n:], strict=True))
    return Outcome(totals[0], logged, norm_found, prior_found, terms.marginal)
