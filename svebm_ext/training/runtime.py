"""Where a run computes: device, arithmetic, and the processes that share a batch (started by torchrun, or one)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from svebm_ext.errors import ConfigError
from svebm_ext.precision import in_bf16
from svebm_ext.processes import ADDRESS, PATIENCE_HOURS, Processes, attempt, keep_store
from svebm_ext.terminal import mute

#: Gloo's threads need Python's lock to forget the last message. In torch 2.4 the end of the group waits for them and
#: keeps that lock, so they get it before.
LAST_MESSAGE_SECONDS = 0.1


@dataclass(frozen=True)
class Runtime(Processes):
    """Device, arithmetic and process group.

    Attributes:
        device, rank, world_size: as in `Processes`; what is shared is the global batch.
        bf16: run the networks under bfloat16 autocast, where the device multiplies in it.
    """

    bf16: bool = False

    @classmethod
    def start(cls, device: str = "auto", precision: str = "fp32") -> Runtime:
        """Choose the device and join torchrun's process group if there is one (nccl on GPUs, gloo elsewhere).

        Raises:
            ConfigError: a device that does not exist, or variables of torchrun that are none.
        """
        world_size = _whole_number("WORLD_SIZE", 1, 1)
        rank, local_rank = _whole_number("RANK", 0), _whole_number("LOCAL_RANK", 0)
        if rank >= world_size:
            raise ConfigError(f"RANK: {rank} in the environment, expected less than WORLD_SIZE, which is {world_size}")
        chosen = _device(device, local_rank)
        if world_size > 1 and not dist.is_initialized():
            _join("nccl" if chosen.type == "cuda" else "gloo", world_size)
        mute(rank > 0)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        return cls(chosen, rank, world_size, precision == "bf16")

    @classmethod
    def alone(cls, device: str = "auto", precision: str = "fp32") -> Runtime:
        """Choose the device of a process that shares its work with no other, whatever the environment says.

        Raises:
            ConfigError: a device that does not exist.
        """
        chosen = _device(device, 0)
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        return cls(chosen, bf16=precision == "bf16")

    @classmethod
    @contextmanager
    def of_command(cls, device: str = "auto") -> Iterator[Runtime]:
        """Runtime of a command that works on a trained model: with the others that torchrun has started, or alone.

        It is stopped when the command has ended. Variables of the environment that lead to no other process are no
        matter: a model is read all the same.

        Raises:
            ConfigError: as `start`.
        """
        started = os.environ.get("WORLD_SIZE", "").strip() not in ("", "1") and all(map(os.environ.get, ADDRESS))
        runtime = cls.start(device) if started else cls.alone(device)
        try:
            yield runtime
        finally:
            runtime.stop()

    def mixed_precision(self) -> AbstractContextManager:
        """bfloat16 autocast where asked for."""
        return in_bf16(self.device) if self.bf16 else nullcontext()

    def stop(self) -> None:
        """Leave the process group."""
        if self.world_size > 1 and dist.is_initialized():
            time.sleep(LAST_MESSAGE_SECONDS)
            dist.destroy_process_group()


def _whole_number(name: str, default: int, least: int = 0) -> int:
    """Variable of the environment that torchrun sets.

    Raises:
        ConfigError: it is none.
    """
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) >= least):
        raise ConfigError(
            f"{name}: {value!r} in the environment, expected a whole number of at least {least}, as torchrun sets it; "
            "unset it for one process"
        )
    return int(value)


def _join(backend: str, world_size: int) -> None:
    """Join the process group that torchrun has made ready.

    Raises:
        ConfigError: there is none.
    """
    missing = [name for name in ADDRESS if not os.environ.get(name)]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE: {world_size} processes in the environment, but no {', '.join(missing)}; start them with "
            "torchrun, or unset WORLD_SIZE for one process"
        )
    # This module of torch, which the optimisers import, keeps the group of that moment as default arguments. The group
    # and its threads would outlive stop(), and now and again such a thread aborts the process at its end.
    import_module("torch.distributed.nn.functional")
    try:
        store, rank, _ = next(rendezvous("env://"))
        keep_store(store)
        group = dist.PrefixStore(attempt(), store)
        patience = timedelta(hours=PATIENCE_HOURS)
        dist.init_process_group(backend, store=group, rank=rank, world_size=world_size, timeout=patience)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"WORLD_SIZE: the {world_size} processes did not find each other: {error}") from error


def _device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"training.device: {name!r} is no device; expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"training.device: {name!r} is not supported; expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"training.device: {name!r} asked for, but torch sees no CUDA device")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"training.device: {name!r} does not exist; torch sees {torch.cuda.device_count()} device(s)")
    return torch.device("cuda", local_rank) if name == "cuda" else device
