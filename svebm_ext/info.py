"""What is installed here and what it would use, or how far a run is: `python -m svebm_ext.info [RUN] [--json]`."""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import svebm_ext
from svebm_ext.command_line import refuse_twice
from svebm_ext.commands import expanded, run_command
from svebm_ext.errors import ConfigError, alternatives
from svebm_ext.files import JsonObject
from svebm_ext.models.folder import METRICS, WEIGHTS
from svebm_ext.terminal import counted, printable_json, show
from svebm_ext.training.folder import RESUMABLE, read_run_config
from svebm_ext.training.lock import running_training

if TYPE_CHECKING:
    from svebm_ext.ops import native_library


#: What the command takes beside a run folder.
OPTIONS = ("--json", "--help", "-h")


def collect() -> JsonObject:
    """Versions, builds and backends, as plain values that JSON can hold; keys are stable."""
    import torch

    from svebm_ext.ops import native_library
    from svebm_ext.provenance import commit_of_clone

    library = native_library.native_library()
    return {
        "svebm_ext": svebm_ext.__version__,
        "commit": commit_of_clone() or library.build.get("commit", ""),
        "package": str(native_library.PACKAGE),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_cuda": torch.version.cuda,
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "requested_backend": os.environ.get("SVEBM_BACKEND") or "auto",
        "native": _native(library),
        "cuda": _cuda(library),
        "devices": _devices(),
        "ops": {name: {device: _op(name, device) for device in ("cpu", "cuda")} for name in _op_names()},
    }


def _native(library: native_library.NativeLibrary) -> JsonObject:
    build = library.build.get("native", {})
    return {
        "loaded": str(library.path) if library.path else None,
        "reason": library.reason,
        "compiler": build.get("compiler", ""),
        "cpu_variant": library.module.cpu_variant() if library.module else None,
        "cpu_variants": library.module.cpu_variants() if library.module else [],
        "own_threads": library.own_threads,
    }


def _cuda(library: native_library.NativeLibrary) -> JsonObject:
    from svebm_ext.ops import native_library

    build = library.build.get("cuda", {})
    return {
        "built": bool(build.get("built")),
        "reason": native_library.cuda_reason(),
        "compiler": build.get("compiler", ""),
        "architectures": build.get("architectures", []),
    }


def _devices() -> list[str]:
    import torch

    names = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return ["cpu", *names]


def _op_names() -> list[str]:
    import svebm_ext.ops

    return sorted(module.name for module in pkgutil.iter_modules(svebm_ext.ops.__path__) if module.ispkg)


def _op(name: str, device_type: str) -> dict[str, str | None]:
    """Backend that a call would get, None where it would fail or there is no such device, and why it is not native."""
    import torch

    from svebm_ext.ops import backend

    if device_type == "cuda" and not torch.cuda.is_available():
        return {"backend": None, "reason": "torch sees no CUDA device"}
    reason = backend.unavailable_reason(name, device_type)
    requested = os.environ.get("SVEBM_BACKEND") or "auto"
    if requested == "reference":
        return {"backend": "reference", "reason": "SVEBM_BACKEND=reference"}
    if requested == "native" and reason:
        return {"backend": None, "reason": f"SVEBM_BACKEND=native forbids the reference, and {reason}"}
    return {"backend": "reference" if reason else "native", "reason": reason}


def _text(info: JsonObject) -> str:
    native, cuda = info["native"], info["cuda"]
    lines = [
        f"svebm_ext {info['svebm_ext']}" + (f" (commit {info['commit'][:12]})" if info["commit"] else ""),
        f"  package       {info['package']}",
        f"  python        {info['python']}, {info['platform']}",
        f"  torch         {info['torch']}, CUDA {info['torch_cuda'] or 'none'}, {info['threads']} threads",
        f"  devices       {', '.join(info['devices'])}",
    ]
    if native["loaded"]:
        variants = ", ".join(native["cpu_variants"])
        lines += [f"  CPU kernels   {native['loaded']}", f"                {native['compiler']}"]
        lines += [f"                uses {native['cpu_variant']} of {variants}"]
        if native["own_threads"]:
            lines += [f"                threads of their own: {native['own_threads']}"]
    else:
        lines += [f"  CPU kernels   none: {native['reason']}"]
    if cuda["built"]:
        lines += [f"  CUDA kernels  {cuda['compiler']} for {', '.join(cuda['architectures'])}"]
    if cuda["reason"]:
        lines += [
            f"                not used: {cuda['reason']}"
            if cuda["built"]
            else f"  CUDA kernels  none: {cuda['reason']}"
        ]
    lines += [f"ops (SVEBM_BACKEND={info['requested_backend']})"]
    for name, devices in info["ops"].items():
        for device, choice in devices.items():
            why = f": {choice['reason']}" if choice["reason"] else ""
            lines.append(f"  {name:<12}  {device:<5} {choice['backend'] or 'none'}{why}")
    return "\n".join(lines)


def collect_run(run: Path) -> JsonObject:
    """How far the run of a folder is, and what goes on from there, as plain values; keys are stable.

    Raises:
        ModelFolderError: no run folder, or a damaged one.
    """
    config = read_run_config(run)
    owner = running_training(run)
    trained, evaluated = (run / WEIGHTS).exists(), (run / METRICS).exists()
    saved = any((run / name).exists() for name in RESUMABLE)
    following = ""
    if owner is None and trained:
        following = "generate" if evaluated else "evaluate"
    elif owner is None and saved:
        following = "train --resume"
    return {
        "run": str(run),
        "preset": config.preset,
        "kind": config.model.kind,
        "latent": config.model.latent,
        "corpus": config.data.corpus,
        "text": None if config.data.train is None else str(config.data.train),
        "seed": config.seed,
        "iterations": _iterations(run / "metrics.jsonl"),
        "iterations_asked": config.training.max_steps,
        "prior_iterations_asked": config.training.prior_steps,
        "training_now": owner,
        "trained": trained,
        "evaluated": evaluated,
        "next": None if not following else f"python -m svebm_ext.{following} {run}",
    }


def _iterations(log: Path) -> int | None:
    """The last iteration that a log tells of; None where it tells of none."""
    from svebm_ext.errors import ModelFolderError
    from svebm_ext.plots.series import read_records

    try:
        records, _ = read_records(log)
    except (OSError, ModelFolderError):
        return None
    return records[-1][2]["step"] if records else None


def _still_to_come(info: JsonObject) -> str:
    """Why a run is not trained yet, where its log has all iterations that were asked for."""
    if info["iterations"] is None or info["iterations"] < info["iterations_asked"]:
        return "not yet"
    n = info["prior_iterations_asked"]
    if not n:
        return "not yet: the model is still to be written"
    return f"not yet: the prior alone ({counted(n, 'iteration')}) is still to come, then the model is written"


def _run_text(info: JsonObject) -> str:
    reached = "none" if info["iterations"] is None else f"{info['iterations']:,}"
    owner = info["training_now"]
    now = f", process {owner['pid']} on {owner['host']} is at it" if owner else ""
    lines = [
        info["run"],
        f"  preset        {info['preset']}, seed {info['seed']}",
        f"  model         {info['latent']}, of {info['kind']}",
        f"  corpus        {info['corpus']}" + (f", {info['text']}" if info["text"] else ""),
        f"  iterations    {reached} of {info['iterations_asked']:,}{now}",
        f"  trained       {'yes' if info['trained'] else _still_to_come(info)}",
        f"  evaluated     {'yes' if info['evaluated'] else 'not yet'}",
    ]
    return "\n".join(lines + ([f"  next          {info['next']}"] if info["next"] else []))


def main(arguments: Sequence[str]) -> None:
    """Print what `collect` or `collect_run` finds, as text or JSON."""
    parser = argparse.ArgumentParser(prog="svebm_ext.info", description=__doc__)
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run folder, to tell how far it is")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    before: dict[str, str] = {}
    for argument in arguments:
        if argument in OPTIONS:
            refuse_twice(argument, None, before)
        if argument.startswith("-") and argument not in OPTIONS:
            raise ConfigError(f"{argument}: no such option; {alternatives(argument, OPTIONS)}")
    folders = [argument for argument in arguments if not argument.startswith("-")]
    if len(folders) > 1:
        raise ConfigError(f"{folders[1]!r}: a second folder given, expected one run")
    options = parser.parse_args(arguments)
    info = collect() if options.run is None else collect_run(expanded(options.run))
    if options.json:
        show(printable_json(json.dumps(info, indent=2)))
    else:
        show(_text(info) if options.run is None else _run_text(info))


if __name__ == "__main__":
    run_command(main)
