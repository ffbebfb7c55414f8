"""NT-ASGD: when averaging of the iterates starts, and the average."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class NonMonotonicTrigger:
    """Fires at the first validation whose loss is above the least of those more than `interval` validations ago.

    With v_0 .. v_{t-1} the losses before: t > interval and v_t > min(v_0 .. v_{t-1-interval}).

    Source: Merity, Keskar & Socher 2018, Algorithm 1.
    """

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self._losses: list[float] = []
        self.fired = False

    def observe(self, loss: float) -> bool:
        """Take note of a validation loss; returns whether the trigger has fired, now or before."""
        earlier = self._losses[: -self._interval]
        self.fired = self.fired or (bool(earlier) and not loss <= min(earlier))
        self._losses.append(loss)
        return self.fired


class IterateAverage:
    """Mean of the parameters over all calls of `update`.

    Source: Polyak & Juditsky 1992, averaged stochastic gradient descent.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._parameters = list(parameters)
        self._means = [torch.zeros_like(p) for p in self._parameters]
        self.n_iterates = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the present iterate into the mean."""
        self.n_iterates += 1
        torch._foreach_lerp_(self._means, self._parameters, 1.0 / self.n_iterates)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The mean in the parameters' place within the block; nothing changes before the first update."""
        if self.n_iterates == 0:
            yield
            return
        iterates = [p.detach().clone() for p in self._parameters]
        self._copy(self._means)
        try:
            yield
        finally:
            self._copy(iterates)

    @torch.no_grad()
    def _copy(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._parameters, values, strict=True):
            parameter.copy_(value)
