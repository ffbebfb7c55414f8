"""One run in its folder, whatever is trained: what all kinds of runs have in common."""

from __future__ import annotations

import contextlib
import platform
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch

from svebm_ext import __version__
from svebm_ext.config import Config, validate
from svebm_ext.errors import TrainingDivergedError
from svebm_ext.files import JsonObject, write_json
from svebm_ext.models.folder import CONFIG
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.tensor_files import load_parameters
from svebm_ext.precision import multiplies_bf16
from svebm_ext.provenance import source_version
from svebm_ext.terminal import say
from svebm_ext.training.callbacks import Callback
from svebm_ext.training.checkpoint import load_checkpoint, section
from svebm_ext.training.folder import BEST, LAST, check_folder
from svebm_ext.training.lock import only_training
from svebm_ext.training.loop import Trainer
from svebm_ext.training.runtime import Runtime


class Run(ABC):
    """One run from configuration to model folder.

    A kind of run says how its networks and data are prepared, and what becomes of the best model.

    Args:
        config: of the run.
        out: run folder; must be new or empty unless resuming.
        resume: continue from the folder's last checkpoint.
        runtime: device and processes; started from the configuration when absent.
        callbacks: are told what the run logs.

    Raises:
        ConfigError, ModelFolderError: options or a folder with which there can be no run.
    """

    def __init__(
        self,
        config: Config,
        out: Path,
        *,
        resume: bool = False,
        runtime: Runtime | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        validate(config)
        self.config, self.out, self.resume, self.callbacks = config, out, resume, callbacks
        self.check()
        self.runtime = runtime or Runtime.start(config.training.device, config.training.precision)
        check_folder(out, resume)

    @abstractmethod
    def check(self) -> None:
        """Refuse options before there is a process or a folder (ConfigError)."""

    @abstractmethod
    def prepare(self) -> Trainer:
        """Data, fresh networks and what trains them; nothing is written yet."""

    @abstractmethod
    def description(self) -> JsonObject:
        """What config.json holds."""

    @abstractmethod
    def save(self) -> None:
        """Write the model folder."""

    def begin(self, trainer: Trainer) -> None:
        """What there is to do between a checkpoint, if the run has one, and the first iteration; here nothing."""
        return

    def write_start(self, trainer: Trainer) -> None:
        """Write what does not change during the run: configuration and environment."""
        self.out.mkdir(parents=True, exist_ok=True)
        write_json(self.out / CONFIG, self.description())
        if not self.resume:
            write_json(self.out / "env.json", environment())

    def finish(self, trainer: Trainer) -> None:
        """What there is to do with the best model before it is written, on all processes; here nothing."""
        return

    def save_best(self, trainer: Trainer) -> None:
        """Write the model folder of a run that cannot go on, of the best state that it had."""
        load_best(trainer.model, self.out)
        self.save()

    def train(self) -> None:
        """Train to the last iteration and write the model.

        Raises:
            ConfigError, DataError, ModelFolderError: before any training.
            TrainingDivergedError: see `Trainer.run`; the folder then holds the best valid model, if there was one.
            Interrupted: see `Trainer.run`.
            OSError: the folder, a file or the disk; the last good checkpoint is kept.
        """
        main = self.runtime.is_main
        with only_training(self.out, say) if main else contextlib.nullcontext():
            trainer = self.prepare()
            if self.resume:
                trainer.resume()  # before anything is written: a refused resume leaves the folder as it was
            self.begin(trainer)
            self.runtime.share(trainer.model.state_dict().values())
            if main:
                self.write_start(trainer)
                if self.config.training.precision == "bf16" and not multiplies_bf16(self.runtime.device):
                    say("training.precision: float32, since this device does not multiply in bfloat16")
            self.runtime.barrier()
            try:
                trainer.run()
            except TrainingDivergedError as error:
                if not (self.out / BEST).exists():
                    raise
                if main:
                    self.save_best(trainer)
                raise TrainingDivergedError(f"{error}; the best valid model is in {self.out}") from None
            self._end(trainer)

    def _end(self, trainer: Trainer) -> None:
        """Write the best model, which all processes have read."""
        main = self.runtime.is_main
        if main:
            trainer.check_folder()
            if trainer.best is not None and not (self.out / BEST).exists():
                say(f"{self.out / BEST}: is gone; the model is that of the last iteration")
        self.runtime.barrier()  # the last checkpoint is written
        load_best(trainer.model, self.out)
        self.finish(trainer)
        if main:
            trainer.check_folder()
            self.save()


def load_best(model: LatentVariableModel, out: Path) -> None:
    """Put the best validated parameters into a model, the last ones where none were validated."""
    path = out / BEST if (out / BEST).exists() else out / LAST
    tensors, _ = load_checkpoint(path)
    load_parameters(model, section(tensors, "model"), str(path))


def environment() -> dict[str, object]:
    """Versions and machine of a run, for env.json."""
    return {
        "svebm_ext": __version__,
        "sources": source_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
