"""The training loop, to be read from top to bottom: batch, negatives, update, log, validate, checkpoint."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from svebm_ext.config import Config, to_dict
from svebm_ext.errors import ConfigError, Interrupted, ModelFolderError, TrainingDivergedError
from svebm_ext.files import HeldFolder, JsonObject, folder_is_gone
from svebm_ext.models.document import normalise_over
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.tensor_files import load_parameters
from svebm_ext.objectives.schedules import kl_weight
from svebm_ext.prior.negatives import NegativeSource, source_of_negatives
from svebm_ext.prior.regrouping import check_sentences
from svebm_ext.processes import ShardedRows
from svebm_ext.randomness import Draw
from svebm_ext.stopping import stops_noted
from svebm_ext.training.callbacks import Callback
from svebm_ext.training.checkpoint import (
    check_sections,
    load_checkpoint,
    prefixed,
    save_checkpoint,
    section,
)
from svebm_ext.training.feeds import Feed, SentenceFeed
from svebm_ext.training.folder import BEST, FIRST, LAST, resumable
from svebm_ext.training.guards import Guards
from svebm_ext.training.loggers import RunLog, describe
from svebm_ext.training.optimisers import Optimisers
from svebm_ext.training.recovery import describe_recovery, recovered
from svebm_ext.training.regrouping import regroup_symbols
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.saved_state import SavedState, checked_marginal
from svebm_ext.training.terms import learns_energy, learns_symbols
from svebm_ext.training.update import Outcome, Update
from svebm_ext.training.validation import Validator, measured_line

#: Share of the largest w from which on a validation without improvement counts: before, KL is still coming down.
SETTLED_WEIGHT = 0.9


class Trainer:
    """One run: everything that changes during training, and how it is saved.

    Args:
        config: of the run.
        model: freshly built networks; equal on all processes.
        feed: training data by iteration.
        out: run folder.
        runtime: device and processes.
        validator: validation bound and printed samples, or None.
        callbacks: are told what is logged.
    """

    def __init__(
        self,
        config: Config,
        model: LatentVariableModel,
        feed: Feed,
        out: Path,
        runtime: Runtime,
        validator: Validator | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self._callbacks = callbacks
        self.feed, self.out, self.runtime, self.validator = feed, out, runtime, validator
        self.model = model.to(runtime.device)
        normalise_over(model, runtime)
        marginal: Tensor | None = None
        if learns_energy(model.latent, config):
            n_symbols = model.latent.n_categories
            if config.objective.marginal_momentum > 0:
                marginal = torch.full((n_symbols,), 1 / n_symbols, device=runtime.device)
            if config.objective.regroup_at > 0:
                check_sentences(len(SentenceFeed.of(feed).train), n_symbols)
        self.step = 0
        self.best: float | None = None
        self.waited = 0
        self.seconds = 0.0
        self._say: Callable[[str], None] = lambda _: None  # until there is a bar to say it above
        self._log: RunLog | None = None
        self._folder: HeldFolder | None = None
        self._given = config
        self._prepare(0, marginal)

    def _prepare(self, recoveries: int, marginal: Tensor | None) -> None:
        """Configuration, update, negatives and guards of a run that has recovered so many times, all anew."""
        self.recoveries = recoveries
        self.config = config = recovered(self._given, recoveries)
        latent = self.model.latent
        self.update = Update.of(self.model, config, self.runtime, marginal)
        self.negatives: NegativeSource | None = None
        if learns_energy(latent, config):
            self.negatives = source_of_negatives(
                latent.prior,
                config.chains,
                seed=config.seed,
                processes=self.runtime,
                n_examples=self.feed.n_chained,
            )
        self.guards = Guards(config, lambda text: self._say(text))

    @property
    def optimisers(self) -> Optimisers:
        """Those of the updates."""
        return self.update.optimisers

    # State ------------------------------------------------------------------------------------------------------

    def save(self, name: str = LAST) -> None:
        """Write the whole state: the main process does, to which the others hand their chains; all have the rest."""
        chains = {} if self.negatives is None else prefixed(self.negatives.state_dict(), "chains")
        sharded = [value for value in chains.values() if isinstance(value, ShardedRows)]
        if not self.runtime.is_main:
            for rows in sharded:
                rows.serve()
            return
        self._write(name, chains)
        for rows in sharded:  # where writing fails, the others lose this process, which tells why
            rows.end()

    def _write(self, name: str, chains: Mapping[str, Tensor | ShardedRows]) -> None:
        self.check_folder()
        if self._log is not None:
            self._log.sync()
        tensors = prefixed(self.model.state_dict(), "model") | prefixed(self.optimisers.state(), "optimiser")
        tensors |= chains
        if self.update.marginal is not None:
            tensors["marginal"] = self.update.marginal
        state = {
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "decay": self.optimisers.decay,
            "recoveries": self.recoveries,
            "waited": self.waited,
            "guards": self.guards.state(),
            "data": self.feed.fingerprint(),
            "held_out": self.feed.held_out_fingerprint(),
            "tensors": len(tensors),
            "config": to_dict(self.config),
        }
        save_checkpoint(self.out / name, tensors, state)

    def check_folder(self) -> None:
        """Notice that the run's folder is not the one that the run began in.

        Raises:
            ModelFolderError: it was deleted, moved or replaced.
        """
        if self._folder is not None and not self._folder.is_there():
            raise folder_is_gone(self.out)

    def resume(self) -> None:
        """Take up the last checkpoint of the run folder.

        Raises:
            ModelFolderError: no checkpoint, a damaged one, other data, or other networks.
        """
        path = resumable(self.out)
        tensors, state = load_checkpoint(path)
        if state.get("data") != self.feed.fingerprint():
            raise ModelFolderError(
                f"{path}: was written on other training data (fingerprint {state.get('data')}, "
                f"now {self.feed.fingerprint()}); resume with the data of the run"
            )
        if state.get("held_out", self.feed.held_out_fingerprint()) != self.feed.held_out_fingerprint():
            raise ModelFolderError(
                f"{path}: was written with other texts to validate or test; resume with the data of the run"
            )
        if os.path.lexists(self.out / BEST):  # a damaged one, or a link to nothing, is told now and not in the end
            load_checkpoint(self.out / BEST)
        saved = SavedState.read(state, str(path))
        check_sections(tensors, ("model", "optimiser", "chains", "marginal"), path)
        load_parameters(self.model, section(tensors, "model"), str(path))
        self._prepare(saved.recoveries, self.update.marginal)
        self._take(tensors, saved, path)
        if self.negatives is not None:
            try:
                self.negatives.load_state_dict(section(tensors, "chains"))
            except ModelFolderError as error:
                raise ModelFolderError(f"{path}: {error}") from None
        if saved.has_guards:
            self.guards.load(saved.guards, f"{path}: state: guards")
        if saved.tensors not in (None, len(tensors)):
            raise ModelFolderError(f"{path}: holds {len(tensors)} tensors, expected the {saved.tensors} of its saving")

    def _take(self, tensors: dict[str, Tensor], saved: SavedState, path: Path) -> None:
        """Take over what a checkpoint holds beside networks, chains and guards."""
        self.optimisers.load(section(tensors, "optimiser"), str(path))
        marginal = self.update.marginal
        if marginal is not None and "marginal" in tensors:
            checked = checked_marginal(tensors["marginal"], len(marginal), str(path))
            self.update.marginal = checked.to(self.runtime.device)
        self.step, self.best, self.seconds, self.waited = saved.step, saved.best, saved.seconds, saved.waited
        self.optimisers.decay = saved.decay

    def _start(self) -> None:
        """Keep the state before the first iteration, where a recovery may need it; nothing is the best one yet."""
        if self.step > 0:
            return
        if self.runtime.is_main:
            (self.out / BEST).unlink(missing_ok=True)  # of a run that was killed before its first checkpoint
        if learns_energy(self.model.latent, self.config) and self.config.training.recoveries > 0:
            self.save(FIRST)

    def _recover(self, error: TrainingDivergedError) -> None:
        """Go back to the best state, or to the first one, with an energy that is held back; all processes alike.

        Raises:
            TrainingDivergedError: the given one, where there were enough recoveries, or there is nothing to go back to.
        """
        path = next((self.out / name for name in (BEST, FIRST) if (self.out / name).exists()), None)
        exhausted = self.recoveries >= self.config.training.recoveries
        if path is None or exhausted or not learns_energy(self.model.latent, self.config):
            raise error
        tensors, state = load_checkpoint(path)
        load_parameters(self.model, section(tensors, "model"), str(path))
        self._prepare(self.recoveries + 1, self.update.marginal)
        saved = SavedState.read(state, str(path))
        self._take(tensors, replace(saved, seconds=self.seconds), path)  # time does not go back
        self.runtime.barrier()  # every process has read the state before the main one goes on to change files
        self.save()
        self._say(f"{error}\n{describe_recovery(self.config, self.step, self.recoveries)}")

    @property
    def has_ended(self) -> bool:
        """Whether the run has done its last iteration, or waited in vain for a better validation."""
        training = self.config.training
        return self.step >= training.max_steps or 0 < training.patience <= self.waited

    # The loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train to the last iteration.

        Raises:
            Interrupted: by Ctrl-C, SIGTERM or SIGHUP, after saving.
            TrainingDivergedError: a guard stopped the run; the last good checkpoint is kept.
        """
        training = self.config.training
        if self.step > training.max_steps:
            raise ConfigError(
                f"training.max-steps: {training.max_steps} is before iteration {self.step} that the run has reached"
            )
        if self.runtime.is_main:
            self.out.mkdir(parents=True, exist_ok=True)
            self._folder = HeldFolder(self.out)
        self._start()
        log = self._log = RunLog(self.out, training, self.step, enabled=self.runtime.is_main, callbacks=self._callbacks)
        self._say = log.progress.say
        if self.has_ended and self.step < training.max_steps:
            self._say(
                f"the run has ended at iteration {self.step}, {self.waited} validations after its best one; it goes on "
                f"with --training.patience 0, or above {self.waited}"
            )
        begin = time.monotonic() - self.seconds
        try:
            with stops_noted(shared=self.runtime.world_size > 1) as stop:
                self.update.stops = stop
                while not self.has_ended:
                    outcome, weight, n_tokens = self.iterate()
                    log.count(self.step, n_tokens)
                    try:
                        self.guards.check(self.step, outcome, weight)
                    except TrainingDivergedError as error:
                        self._recover(error)
                        log.keep_until(self.step)
                        continue
                    if self._due(training.log_every):
                        self._tell(log, outcome, weight)
                    self.seconds = time.monotonic() - begin
                    if self._due(training.validate_every):
                        self._validate(log, weight)
                    if self.validator is not None and self.runtime.is_main and self._due(training.sample_every):
                        self._say(self.validator.samples(self.model, self.step))
                    if self._due(training.checkpoint_every) or self.has_ended:
                        self.save()
                    if self._stop_wanted(stop, outcome):
                        self.save()
                        raise Interrupted("state saved")
        except TrainingDivergedError as error:
            kept = self.out / LAST
            raise TrainingDivergedError(
                f"{error}. Last good state: {kept if kept.exists() else 'none was saved yet'}"
            ) from None
        finally:
            log.close()

    def iterate(self) -> tuple[Outcome, float, int]:
        """One iteration; returns its outcome, w, and the tokens (or points) that this process has seen."""
        config, step = self.config, self.step
        self.optimisers.set_rate(step, config.training.max_steps)
        regroup_at = config.objective.regroup_at
        if regroup_at > 0 and step == math.ceil(regroup_at * config.training.max_steps):
            self._regroup()
        weight = kl_weight(step, config.training.max_steps, config.objective)
        share = self.feed.batch(step)
        negatives = None
        if self.negatives is not None and weight > 0.0:
            negatives = self.negatives.at(step, share.examples)
        outcome = self.update(share, negatives, weight, step)
        self.step += 1
        return outcome, weight, share.batch.n_tokens

    def _regroup(self) -> None:
        """Make the symbols anew; the best model is one that has them."""
        bank = None if self.negatives is None else self.negatives.bank
        train, draw = SentenceFeed.of(self.feed).train, Draw(self.config.seed, self.step)
        optimiser = self.optimisers.groups["prior"].optimiser
        regroup_symbols(self.model, train, bank, optimiser, draw, self.runtime)
        self.best, self.waited = None, 0

    def _stop_wanted(self, received: list[int], outcome: Outcome) -> bool:
        """Whether any process was told to stop: all then stop after the same iteration."""
        return outcome.stops if self.runtime.world_size > 1 else bool(received)

    def _due(self, every: int) -> bool:
        return every > 0 and (self.step % every == 0 or self.step == self.config.training.max_steps)

    def _tell(self, log: RunLog, outcome: Outcome, weight: float) -> None:
        """Log an iteration."""
        record: JsonObject = {"step": self.step, "loss": outcome.loss, **outcome.terms, "weight": weight}
        if "energy_negative" in outcome.terms:
            record["energy_gap"] = outcome.terms["energy_negative"] - outcome.terms["energy_positive"]
        record["gradient_norm"] = outcome.gradient_norm
        record["prior_gradient_norm"] = outcome.prior_gradient_norm
        [record["tokens_per_second"]] = self.runtime.total(log.rate())
        record["seconds"] = round(self.seconds, 3)
        if self.runtime.is_main:
            self.check_folder()
        log.write_step(record)
        rate = f"  {record['tokens_per_second']:.0f} tok/s"
        log.progress.update(self.step, f"w {weight:.2f}  {describe(outcome.terms)}{rate}")

    def _validate(self, log: RunLog, weight: float) -> None:
        if self.validator is None:
            return
        improved = False
        latent, validator = self.model.latent, self.validator
        measured = validator.measure(
            self.model, energy=learns_energy(latent, self.config), symbols=learns_symbols(latent, self.config)
        )
        if self.runtime.is_main:
            valid = self.guards.accept(
                self.step, measured, weight, n_texts=validator.n_texts, largest_class=validator.largest_class
            )
            score = measured["valid_bound"]
            if self.config.training.select == "accuracy":
                score = -measured.get("valid_accuracy", math.nan)
            elif self.config.training.select == "last":
                score = -float(self.step)
            log.write_validation({"step": self.step, **measured})
            told = measured_line(measured, validator.n_texts, self.config.model.n_categories)
            self._say(f"iteration {self.step}: {told}")
            if valid and score == score and (self.best is None or score < self.best):
                self.best, self.waited, improved = score, 0, True
        improved = self.runtime.total(float(improved))[0] > 0
        if improved:
            self.save(BEST)
            if self.runtime.is_main:
                (self.out / FIRST).unlink(missing_ok=True)
        plateau = not improved
        settled = weight >= SETTLED_WEIGHT * self.config.objective.kl_weight
        self.waited = self.waited + 1 if plateau and settled else 0
        if plateau and settled and self.config.optimiser.schedule == "plateau":
            self.optimisers.note_plateau()
        if self.has_ended and self.step < self.config.training.max_steps:
            self._say(
                f"iteration {self.step}: no better validation in the last {self.waited}: the run ends here "
                "(--training.patience)"
            )
