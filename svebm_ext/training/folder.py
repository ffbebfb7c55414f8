"""What the files of a run folder are called, its configuration, and how far it is; nothing here waits for torch."""

from __future__ import annotations

from pathlib import Path

from svebm_ext.config import Config, check_bounds, from_dict
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.files import read_json
from svebm_ext.models.folder import CONFIG, WEIGHTS, check_saved
from svebm_ext.training.lock import running_training

LAST, BEST = "checkpoints/last.safetensors", "checkpoints/best.safetensors"
#: The state before the first iteration, which a recovery goes back to as long as there is no best one.
FIRST = "checkpoints/first.safetensors"
#: The state after the second stage, in which the prior alone has learnt.
FITTED = "checkpoints/fitted.safetensors"
#: The five densities of the picture of a run of points, as points.
SAMPLES = "samples.safetensors"
#: Whole states, of which a run goes on from the first that is there: a full disk may have kept the last from appearing.
RESUMABLE = (LAST, BEST, FIRST)


def resumable(out: Path) -> Path:
    """The state that a run goes on from.

    Raises:
        ModelFolderError: there is none.
    """
    path = next((out / name for name in RESUMABLE if (out / name).exists() or (out / name).is_symlink()), None)
    if path is None:
        raise ModelFolderError(f"{out / LAST}: no checkpoint to resume from; start the run without --resume")
    return path


def refuse_folder_of_runs(run: Path) -> None:
    """Refuse a folder that is no run but has some in it, such as runs/.

    Raises:
        ModelFolderError: names them.
    """
    if (run / CONFIG).exists():
        return
    within = sorted(path.parent.name for path in run.glob(f"*/{CONFIG}"))
    if within:
        raise ModelFolderError(f"{run}: a folder of runs, expected one of them: {', '.join(within[:10])}")


def read_run_config(run: Path) -> Config:
    """Configuration of a run folder.

    Raises:
        ModelFolderError: no run folder, or a damaged one.
    """
    if not run.is_dir():
        raise ModelFolderError(f"{run}: no such run folder")
    refuse_folder_of_runs(run)
    check_saved(run)
    description = read_json(run / CONFIG)
    if not isinstance(description, dict) or "config" not in description:
        raise ModelFolderError(f"{run / CONFIG}: no usable configuration: expected an object with an entry config")
    try:
        config = from_dict(description["config"])
        check_bounds(config)
    except ConfigError as error:
        raise ModelFolderError(f"{run / CONFIG}: no usable configuration ({error})") from error
    return config


def check_trained(run: Path) -> None:
    """Refuse a run folder without a model, where its training can go on.

    Raises:
        ModelFolderError: says how.
    """
    refuse_folder_of_runs(run)
    if (run / WEIGHTS).exists() or not any((run / name).exists() for name in RESUMABLE):
        return
    owner = running_training(run)
    if owner is not None:
        raise ModelFolderError(f"{run}: its training has not ended; process {owner['pid']} is at it")
    raise ModelFolderError(f"{run}: its training has not ended; go on with python -m svebm_ext.train --resume {run}")


def check_folder(out: Path, resume: bool) -> None:
    """Refuse to write over another run.

    Raises:
        ConfigError: the folder holds a run and `resume` is not asked for.
        ModelFolderError: `resume` is asked for, and there is no checkpoint.
    """
    if resume:
        resumable(out)
    if not resume and (out / LAST).exists():
        raise ConfigError(f"--out: {out} already holds a run; use --resume {out} to continue it, or another folder")
    if not resume and (out / WEIGHTS).exists():
        raise ConfigError(f"--out: {out} already holds a model; choose another folder")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out: {out} is not a folder")
