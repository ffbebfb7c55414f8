"""Processes that share work, as threads of one: the same addresses and the same messages, without a network."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from svebm_ext.processes import Processes


class Board:
    """Where threads that wait for each other leave what they have to tell."""

    def __init__(self, n):
        self.n, self._told, self._barrier = n, [None] * n, threading.Barrier(n, timeout=60)

    def all_of(self, rank, told):
        """What every thread tells, in their order."""
        self._told[rank] = told
        self._barrier.wait()
        everything = list(self._told)
        self._barrier.wait()  # nobody tells anything new before all have read
        return everything

    def give_up(self):
        """Let nobody wait for one that has failed."""
        self._barrier.abort()


@dataclass(frozen=True)
class OfThreads(Processes):
    """One of the threads."""

    board: Board | None = None

    def sum(self, x):
        return torch.stack(self.board.all_of(self.rank, x)).sum(0)

    def gather(self, rows, n_rows):
        parts = self.board.all_of(self.rank, rows)
        assert sum(map(len, parts)) == n_rows
        most = max(map(len, parts))
        return torch.stack([part[i] for i in range(most) for part in parts if i < len(part)]) if most else rows

    def blocks(self, rows, n_rows):
        parts = self.board.all_of(self.rank, rows)
        if self.is_main:
            assert [len(part) for part in parts] == [
                end - begin for begin, end in (self.block(n_rows, rank) for rank in range(self.world_size))
            ]
            yield from parts

    def total(self, *numbers):
        return [sum(column) for column in zip(*self.board.all_of(self.rank, numbers), strict=True)]

    def share(self, tensors):
        for tensor in tensors:
            tensor.data.copy_(self.board.all_of(self.rank, tensor.detach().clone())[0])

    def barrier(self):
        self.board.all_of(self.rank, None)


def in_processes(n, work):
    """What `work`, given its processes, returns in each of n."""
    board = Board(n)

    def one(rank):
        try:
            return work(OfThreads(torch.device("cpu"), rank, n, board))
        except BaseException:
            board.give_up()
            raise

    with ThreadPoolExecutor(n) as pool:
        return [future.result() for future in [pool.submit(one, rank) for rank in range(n)]]
