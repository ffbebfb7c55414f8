"""One update of the parameters: joint (released code) or alternating (Algorithm 1 of the paper)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from svebm_ext.config import Config
from svebm_ext.models.document import DocumentDecoder
from svebm_ext.models.latent_variable import Forward, LatentVariableModel
from svebm_ext.objectives.elbo import Averager, LossTerms, total_loss
from svebm_ext.objectives.schedules import label_weight
from svebm_ext.ops.backend import resolve
from svebm_ext.ops.threads import only_kernels_in_parallel
from svebm_ext.prior.negatives import Negatives
from svebm_ext.randomness import Draw
from svebm_ext.training.feeds import Share
from svebm_ext.training.loss_graph import LossGraph, loss_graph_of
from svebm_ext.training.optimisers import Optimisers
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.terms import learns_symbols, terms_of

#: Terms of the log of which each process has its share.
SHARES = ("nll", "kl", "dispersion", "energy_positive", "energy_negative", "label", "pseudo_label", "bag_of_words")


@dataclass
class Outcome:
    """What an update tells the log, and whether any process was told to stop before its end."""

    loss: float
    terms: dict[str, float]
    gradient_norm: float
    prior_gradient_norm: float
    marginal: Tensor | None
    stops: bool = False


@dataclass
class Update:
    """One iteration of learning (Algorithm 1; the loss is that of docs/math.md), with all that it needs.

    Attributes:
        model: networks.
        optimisers: of the networks and the prior.
        config, runtime: of the run.
        graph: computes the loss where it can serve; see `loss_graph_of`.
        stops: signals that have told this process to stop; others hear of them with its gradients.
        marginal: [K] moving average of q(y), which each update moves on, or None.
    """

    model: LatentVariableModel
    optimisers: Optimisers
    config: Config
    runtime: Runtime
    graph: LossGraph | None = None
    marginal: Tensor | None = None
    stops: Sequence[int] = ()

    @classmethod
    def of(cls, model: LatentVariableModel, config: Config, runtime: Runtime, marginal: Tensor | None = None) -> Update:
        """Updates of a run from their beginning, with fresh optimisers."""
        optimisers = Optimisers(model, config.optimiser, learns_prior=learns_symbols(model.latent, config))
        return cls(model, optimisers, config, runtime, loss_graph_of(model, config, runtime), marginal)

    def __call__(self, share: Share, negatives: Negatives | None, weight: float, step: int) -> Outcome:
        """Move the parameters once.

        Args:
            share: this process's part of the batch.
            negatives: [m, D] this process's z- of the prior, detached, or what makes them from the pass over the batch
                (see `prior.negatives`); None without a prior or while w = 0.
            weight: w.
            step: iteration, from 0: addresses the random numbers.
        """
        alone = _kernels_do_the_work(self.model, self.runtime)
        with only_kernels_in_parallel() if alone else contextlib.nullcontext():
            outcome = self._move(share, negatives, weight, step)
        if self.marginal is not None and outcome.marginal is not None:
            self.marginal = outcome.marginal
        return outcome

    def _move(self, share: Share, negatives: Negatives | None, weight: float, step: int) -> Outcome:
        config, runtime, optimisers = self.config, self.runtime, self.optimisers
        forward = self._pass(share, step)
        objective = replace(
            config.objective, label_weight=label_weight(step, config.training.max_steps, config.objective)
        )
        average = Averager(share.n_total, runtime.sum, runtime.world_size)
        negative = negatives(forward) if callable(negatives) else negatives

        def loss_of(
            passed: Forward, negative: Tensor | None = negative, weight: float | Tensor = weight
        ) -> tuple[Tensor, LossTerms]:
            terms = terms_of(self.model, passed, share, negative, config, average, self.marginal)
            return total_loss(terms, weight, objective, runtime.world_size), terms

        alternating = config.objective.update == "alternating" and negative is not None
        if alternating:
            loss_of(forward.detached())[0].backward()
            optimisers.reduce(("prior",), runtime)
            prior_norm = optimisers.apply("prior", runtime)
        graphed = None
        if self.graph is not None and share.n_total == config.training.batch_size:
            graphed = self.graph(loss_of, forward, negative, weight)
        loss, terms = graphed or loss_of(forward)
        loss.backward()
        shares = {name: value for name in SHARES if (value := getattr(terms, name)) is not None}
        told = torch.stack([*(t.detach() for t in (loss, *shares.values())), loss.new_tensor(float(bool(self.stops)))])
        totals = optimisers.reduce(("networks",) if alternating else ("networks", "prior"), runtime, told)
        norm = optimisers.apply("networks", runtime)
        if alternating:
            optimisers.forget("prior")
        else:
            prior_norm = optimisers.apply("prior", runtime)
        return _outcome(list(shares), totals, terms, norm, prior_norm)

    def _pass(self, share: Share, step: int) -> Forward:
        """The batch, and the labelled one beside it, through the networks."""
        self.model.train()
        draw = Draw(self.config.seed, step)
        with self.runtime.mixed_precision():
            forward = self.model(share.batch, draw)
            if share.labelled is not None:
                forward.labelled_mean = self.model.encode(share.labelled, draw)
        return forward


def _kernels_do_the_work(model: LatentVariableModel, runtime: Runtime) -> bool:
    """Whether recurrence and loss, or the loss of bags of words, run in compiled kernels on the CPU.

    Torch's own operations then stay on one thread. They are small, and on several threads some of them round in another
    way from run to run, so that a run could not be had again to the bit.
    """
    recurrent = isinstance(getattr(model.decoder, "recurrent", None), nn.GRU)
    if runtime.device.type != "cpu" or not (recurrent or isinstance(model.decoder, DocumentDecoder)):
        return False
    return resolve("gru_sequence", runtime.device) == resolve("token_loss", runtime.device) == "native"


def _outcome(shares: list[str], totals: Tensor, terms: LossTerms, norm: Tensor, prior_norm: Tensor) -> Outcome:
    """All numbers of the log in one reading; totals over processes are those of the loss, the shares and stops."""
    whole = {
        name: value
        for name, value in (
            ("mi", terms.mutual_information),
            ("mi_groups", terms.group_information),
            ("category_kl", terms.category_kl),
            ("category_information", terms.category_information),
        )
        if value is not None
    }
    tensors = [*totals, *whole.values(), norm, prior_norm]
    loss, *values, norm_value, prior_value = torch.stack([tensor.detach() for tensor in tensors]).tolist()
    stops = values.pop(len(shares))
    logged = dict(zip([*shares, *whole], values, strict=True))
    return Outcome(loss, logged, norm_value, prior_value, terms.marginal, stops > 0)
