"""The second stage of a run: the prior of the best model goes on learning alone."""

from __future__ import annotations

import copy
import math
from pathlib import Path

from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.tensor_files import load_parameters
from svebm_ext.prior.mixture_start import START_ITERATIONS, start_at_mixture
from svebm_ext.prior.second_stage import INFORMATION, MAX_SENTENCES, fit_prior
from svebm_ext.processes import ALONE, Processes
from svebm_ext.terminal import say
from svebm_ext.training.checkpoint import load_checkpoint, prefixed, save_checkpoint, section
from svebm_ext.training.encoding import encoded_rows, posterior_of
from svebm_ext.training.feeds import SentenceFeed
from svebm_ext.training.folder import FITTED
from svebm_ext.training.guides import is_guided
from svebm_ext.training.saved_state import Fields
from svebm_ext.training.terms import learns_energy
from svebm_ext.training.validation import Validator


def finish_prior(
    model: LatentVariableModel,
    feed: SentenceFeed,
    validator: Validator,
    config: Config,
    out: Path,
    processes: Processes = ALONE,
) -> None:
    """Second stage of a run: the prior of the best model learns alone, and is kept if the validation bound is better.

    It is done once and kept in FITTED. Interrupted, it is done from its beginning, with the same result. The processes
    that have trained the model share the work, and all of them call.
    """
    path, n_iterations = out / FITTED, config.training.prior_steps
    if processes.agree(processes.is_main and _is_done(path, n_iterations)):
        load_parameters(model, section(load_checkpoint(path)[0], "model"), str(path))
        return
    learnt = copy.deepcopy(model.latent.state_dict())
    guided, learnt_before = is_guided(config), learns_energy(model.latent, config)
    # Where f has learnt symbols but no energy yet, p(z) is N(0, I).
    before = validator.measure(model, energy=not guided or learnt_before)["valid_bound"]
    latent = model.energy_latent
    posterior, targets = positives(model, feed, processes)
    fit_prior(
        latent.prior, posterior.moments, n_iterations, seed=config.seed, step_size=latent.step_size, targets=targets,
        information=INFORMATION * config.objective.mutual_information, whiten=not guided and not learnt_before,
        processes=processes, say=say,
    )  # fmt: skip
    finite = processes.agree(all(bool(p.isfinite().all()) for p in model.latent.parameters()))
    after = validator.measure(model)["valid_bound"] if finite else math.nan
    kept = after < before
    if not kept:
        model.latent.load_state_dict(learnt)
        if guided and not learnt_before:
            hold_symbols(model, feed, config.seed, n_iterations)
    outcome = "kept" if kept else "not kept"
    say(f"prior alone: validation bound {before:.3f} nats before, {after:.3f} after (lower is better), {outcome}")
    if processes.is_main:
        state = {"prior_steps": n_iterations, "valid_bound_before": before, "kept": kept}
        save_checkpoint(path, prefixed(model.state_dict(), "model"), state)


def _is_done(path: Path, n_iterations: int) -> bool:
    """Whether a second stage of as many iterations has been kept."""
    if not path.exists():
        return False
    return Fields(load_checkpoint(path)[1], f"{path}: state").integer("prior_steps") == n_iterations


def positives(
    model: LatentVariableModel, feed: SentenceFeed, processes: Processes = ALONE
) -> tuple[GaussianPosterior, Tensor | None]:
    """q(z|x) of the sentences that the prior alone learns from, and the guesses of their symbols, if there are some."""
    posterior = posterior_of(model, feed.train, MAX_SENTENCES, processes)
    if feed.guesses is None:
        return posterior, None
    return posterior, feed.guesses[encoded_rows(feed.train, MAX_SENTENCES)].to(posterior.mean.device)


def hold_symbols(
    model: LatentVariableModel, feed: SentenceFeed, seed: int, n_iterations: int = START_ITERATIONS
) -> None:
    """Move f so that p(z) is N(0, I), where nothing better was learnt, while the symbols agree with the guesses."""
    posterior, targets = positives(model, feed)
    prior = model.energy_latent.prior
    assert targets is not None
    start_at_mixture(prior, posterior.moments, targets, seed=seed, n_iterations=n_iterations, flat=True)
