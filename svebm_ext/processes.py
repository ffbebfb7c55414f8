"""Processes that share work (started by torchrun, or one), and what they tell each other.

Work is split by address: of a whole that all of them know, process r of W does the items r, r + W, r + 2 W, ...
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from svebm_ext.errors import ProcessLostError

T = TypeVar("T")
R = TypeVar("R")

#: Rows that one process sends another at a time: it bounds what the receiver holds.
ROWS_AT_A_TIME = 1 << 16
#: What tells a process of the others that share its work, as torchrun sets it.
ADDRESS = ("RANK", "MASTER_ADDR", "MASTER_PORT")
#: Hours that processes wait for one: the main one alone may measure, or read vectors of a million texts, meanwhile. A
#: process that ends is noticed at once.
PATIENCE_HOURS = 6
#: Seconds that a process whose work was ended by another leaves that one to tell why.
TELLING_SECONDS = 5.0


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work.

    Attributes:
        device: where tensors live, those of messages as well.
        rank, world_size: this process's number, and how many there are.
    """

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def own(self, rows: Tensor) -> Tensor:
        """This process's share of rows that all have: r, r + W, ..."""
        return rows[self.rank :: self.world_size]

    def block(self, n_rows: int, rank: int | None = None) -> tuple[int, int]:
        """First row, and the one after the last, of a process's block of n rows that none has whole."""
        rank = self.rank if rank is None else rank
        return n_rows * rank // self.world_size, n_rows * (rank + 1) // self.world_size

    def sum(self, x: Tensor) -> Tensor:
        """Differentiable sum over processes."""
        return x if self.world_size == 1 else _SumOverProcesses.apply(x)

    def gather(self, rows: Tensor, n_rows: int) -> Tensor:
        """Rows of all processes, interleaved back: row i of process r is row i * world_size + r of the whole.

        Args:
            rows: those of this process, as `own` tells them.
            n_rows: of all processes.
        """
        if self.world_size == 1:
            return rows
        most = -(-n_rows // self.world_size)
        padded = torch.zeros(most, *rows.shape[1:], dtype=rows.dtype, device=rows.device)
        padded[: rows.shape[0]] = rows
        parts = [torch.zeros_like(padded) for _ in range(self.world_size)]
        with others_there():
            dist.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:n_rows]

    def blocks(self, rows: Tensor, n_rows: int) -> Iterator[Tensor]:
        """Rows of all blocks in order, some at a time, on the main process alone; the others send theirs.

        Args:
            rows: this process's block of `n_rows` rows. Every process goes through the iterator to its end.
            n_rows: of all processes.
        """
        if self.is_main:
            yield from rows.split(ROWS_AT_A_TIME)
        for rank in range(1, self.world_size):
            begin, end = self.block(n_rows, rank)
            for first in range(begin, end, ROWS_AT_A_TIME):
                n = min(ROWS_AT_A_TIME, end - first)
                if self.is_main:
                    received = rows.new_empty(n, *rows.shape[1:])
                    with others_there():
                        dist.recv(received, rank)
                    yield received
                elif self.rank == rank:
                    with others_there():
                        dist.send(rows[first - begin : first - begin + n].contiguous(), 0)

    def total(self, *numbers: float) -> list[float]:
        """Sums of plain numbers over processes."""
        if self.world_size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        with others_there():
            dist.all_reduce(tensor)
        return tensor.tolist()

    def reduce_gradients(self, parameters: Iterable[nn.Parameter], numbers: Tensor | None = None) -> Tensor:
        """Add up gradients over processes, in one message; a loss is a share of the global one, so sums are exact.

        A parameter without a gradient on every process stays without: zeros would let Adam's moments move it, which
        leave it alone where one process learns.

        Args:
            parameters: the same on every process.
            numbers: [n] of each process, which go with the message.

        Returns: [n] their sums over processes, in the format of the parameters.
        """
        numbers = torch.zeros(0) if numbers is None else numbers
        if self.world_size == 1:
            return numbers
        trained = [p for p in parameters if p.requires_grad]
        if not trained and not len(numbers):
            return numbers
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        like = parts[0] if parts else numbers
        counted = torch.tensor([float(p.grad is not None) for p in trained]).to(like)
        flat = torch.cat([*(part.reshape(-1) for part in parts), counted, numbers.to(like)])
        with others_there():
            dist.all_reduce(flat)
        *sums, counts, totals = flat.split([*(p.numel() for p in trained), len(trained), len(numbers)])
        for p, g, count in zip(trained, sums, counts.tolist(), strict=True):
            p.grad = g.view_as(p) if count > 0 else None
        return totals

    @torch.no_grad()
    def share(self, tensors: Iterable[Tensor]) -> None:
        """Let every process have the main one's numbers; arithmetic of other processors may have rounded elsewhere."""
        if self.world_size > 1:
            with others_there():
                for tensor in tensors:
                    dist.broadcast(tensor.data, 0)

    def barrier(self) -> None:
        """Wait for every process."""
        if self.world_size > 1:
            with others_there():
                dist.barrier()

    # Work in items ----------------------------------------------------------------------------------------------

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Results of all items in order, on every process; each does its share of the work.

        Items are those that one process would have, batches and all, so that results are equal bit for bit.
        """
        return self.interleaved([work(item) for item in items[self.rank :: self.world_size]])

    def map_tensors(self, work: Callable[[T], tuple[Tensor, ...]], items: Sequence[T]) -> list[tuple[Tensor, ...]]:
        """As `map`, of tensors, which end on each process's own device."""
        if self.world_size == 1:
            return self.map(work, items)
        told = self.map(lambda item: tuple(tensor.cpu() for tensor in work(item)), items)
        return [tuple(tensor.to(self.device) for tensor in tensors) for tensors in told]

    def interleaved(self, own: list[R]) -> list[R]:
        """Items of all processes: item i of process r is item i * world_size + r of the whole."""
        if self.world_size == 1:
            return own
        parts: list[Any] = [None] * self.world_size
        with others_there():
            dist.all_gather_object(parts, own)
        most = max(map(len, parts))
        return [part[i] for i in range(most) for part in parts if i < len(part)]

    def agree(self, value: R) -> R:
        """The main process's value."""
        if self.world_size == 1:
            return value
        told: list[Any] = [value]
        with others_there():
            dist.broadcast_object_list(told, 0)
        agreed: R = told[0]
        return agreed

    def send(self, item: object) -> None:
        """Give the main process an item, which it asks for with `receive`."""
        with others_there():
            dist.send_object_list([item], 0)

    def receive(self, rank: int) -> Any:
        """The next item that a process gives the main one."""
        told: list[Any] = [None]
        with others_there():
            dist.recv_object_list(told, rank)
        return told[0]


class ShardedRows:
    """A tensor whose rows are shared by processes in blocks, as the main one writes it: some rows at a time.

    The main process reads it by `parts`, as often as it likes, and ends with `end`; meanwhile the others `serve`.

    Args:
        rows: this process's block.
        n_rows: of all processes.
        processes: that share them.

    Attributes:
        shape, dtype: of the whole.
    """

    def __init__(self, rows: Tensor, n_rows: int, processes: Processes) -> None:
        self.shape, self.dtype = (n_rows, *rows.shape[1:]), rows.dtype
        self._rows, self._processes = rows, processes

    def _agree(self, more: bool) -> bool:
        """Whether the main process reads once more."""
        told = torch.tensor([more], dtype=torch.int64, device=self._processes.device)
        self._processes.share([told])
        return bool(told)

    def parts(self) -> Iterator[Tensor]:
        """All rows in order; on the main process alone."""
        self._agree(True)
        yield from self._processes.blocks(self._rows, self.shape[0])

    def end(self) -> None:
        """Nothing more is read; on the main process alone."""
        self._agree(False)

    def serve(self) -> None:
        """Send rows until the main process has read enough; on all others."""
        while self._agree(False):
            for _ in self._processes.blocks(self._rows, self.shape[0]):
                raise AssertionError("rows are read by the main process")


#: A process that shares its work with no other.
ALONE = Processes(torch.device("cpu"))


class _SumOverProcesses(torch.autograd.Function):
    """Sum over processes; its gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        total = x.clone()
        with others_there():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        with others_there():
            dist.all_reduce(total)
        return total


@contextlib.contextmanager
def others_there() -> Iterator[None]:
    """A message between processes.

    Raises:
        ProcessLostError: another one has ended.
    """
    try:
        yield
    except RuntimeError as error:  # of the backend, which has no type of its own for it
        raise ProcessLostError(f"another of the processes that share the work has ended ({error!s:.200})") from error


def attempt() -> str:
    """Name of the present start of the workers: a store that outlives them still has what the last ones told."""
    return "svebm_ext/" + os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


class _Shared:
    """The store by which the processes of a group have come together; it outlives the group."""

    store: dist.Store | None = None


def keep_store(store: dist.Store) -> None:
    """Let errors be told once by way of the store of a group."""
    _Shared.store = store


def is_first_to_tell(error: BaseException) -> bool:
    """Whether this process is the one that tells what has ended the work of several; alone, it always is.

    The first of them that asks is. One that has only lost another gives that one time to ask.
    """
    if os.environ.get("WORLD_SIZE", "1").strip() in ("", "1") or not all(map(os.environ.get, ADDRESS)):
        return True
    key = f"{attempt()}/error"
    try:
        store = _Shared.store
        if store is None and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
            return True  # there is nothing yet by which the processes could agree
        if store is None:
            host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            seconds = timedelta(seconds=TELLING_SECONDS)
            store = dist.TCPStore(host, port, is_master=False, timeout=seconds, wait_for_workers=False)
        if isinstance(error, ProcessLostError):
            with contextlib.suppress(RuntimeError):
                store.wait([key], timedelta(seconds=TELLING_SECONDS))
        return store.add(key, 1) == 1
    except (RuntimeError, ValueError):  # whoever kept the store has gone with it
        return True
