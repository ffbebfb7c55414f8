"""Answers to any number of texts, in their order, by several threads in bounded memory.

A part of the texts is read as words by a thread, and goes through the networks on that thread alone. Which texts share
a batch depends on the parts, and a product of matrices may round a row differently with other rows beside it. Answers
therefore agree with those of `SVEBM.classify` to the rounding of float32, and a symbol differs only where two are
equally probable within that.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor

from svebm_ext.errors import ConfigError, SvebmError
from svebm_ext.models.novelty import Novelty, novelty
from svebm_ext.models.reading import chunk_of
from svebm_ext.models.symbol_names import SymbolNames
from svebm_ext.models.symbols import check_symbols, of_own_group, probabilities_of
from svebm_ext.prior.groups import SymbolGroups

if TYPE_CHECKING:
    from svebm_ext.models.svebm import SVEBM

T = TypeVar("T")
R = TypeVar("R")
#: Threads of answers at most; reading and writing, which Python does on one at a time, keeps up with no more.
MOST_THREADS = 8


class Answer(NamedTuple):
    """Symbol and label of a text, the probability of that label or symbol, and its novelty in nats, if asked for.

    Of symbols in two levels, the symbol's group, the probability of that, and its name, if it has one.
    """

    symbol: int
    label: str | None
    probability: float
    novelty: float | None = None
    group: int | None = None
    group_probability: float | None = None
    group_label: str | None = None


def check_unnamed(model: SVEBM) -> None:
    """Refuse (ConfigError) names of symbols for a model that has learnt labels."""
    if model.label_names:
        raise ConfigError(
            f"symbols: this model has learnt labels ({', '.join(model.label_names[:5])}, ...), which its symbols keep; "
            "names are for a model without labels"
        )


class Answerer:
    """Answers of a model.

    Args:
        model: with symbols.
        names: of the symbols; None takes the labels that the model learnt.
        novelty: how -log p(x) in it is estimated; None leaves it out.

    Raises:
        ConfigError: a model without symbols, names for a model that learnt labels, or no likelihood to tell novelty.
    """

    def __init__(self, model: SVEBM, names: SymbolNames | None = None, novelty: Novelty | None = None) -> None:
        check_symbols(model)
        model.kind.check_texts()
        if names is not None:
            check_unnamed(model)
        self._model, self._names, self._novelty = model, names, novelty

    def __call__(self, texts: Sequence[str], start: int = 0) -> tuple[list[Answer], int]:
        """Answers to some texts, and how many of them have no word that the model knows.

        Args:
            texts: of which the first is number `start` of all.
            start: it addresses the noise of the novelty.

        Raises:
            DataError: a text without a word; the message names its place from 0, whatever `start` is.
        """
        if not texts:
            return [], 0
        chunk = chunk_of(self._model, texts)
        probabilities = probabilities_of(self._model, chunk)
        most_probable = self._names.most_probable if self._names is not None else _most_probable
        probability, symbol = most_probable(probabilities)
        symbols = symbol.tolist()
        label = self._names.label if self._names is not None else self._model.label_of
        novelties: Sequence[float | None] = [None] * len(texts)
        if self._novelty is not None:
            novelties = novelty(self._model, chunk, probabilities, self._novelty, start).tolist()
        answers = [Answer(s, label(s), p, n) for s, p, n in zip(symbols, probability.tolist(), novelties, strict=True)]
        return self._with_groups(answers, probabilities, symbol), chunk.n_unknown

    def _with_groups(self, answers: list[Answer], probabilities: Tensor, symbol: Tensor) -> list[Answer]:
        """The answers with the groups of their symbols, where these have some."""
        groups = self._model.groups
        if groups is None:
            return answers
        own = of_own_group(probabilities, symbol, groups).tolist()
        label = self._names.group_label if self._names is not None else lambda _: None
        return [
            one._replace(group=groups.of[one.symbol], group_probability=p, group_label=label(one.symbol))
            for one, p in zip(answers, own, strict=True)
        ]

    @property
    def groups(self) -> SymbolGroups | None:
        """Groups of the model's symbols, where they are in two levels."""
        return self._model.groups

    @property
    def n_threads(self) -> int:
        """Threads that answers are worth: as many as torch has, and one for a GPU."""
        return min(torch.get_num_threads(), MOST_THREADS) if self._model.device.type == "cpu" else 1

    def n_without_known_word(self, texts: Sequence[str]) -> int:
        """How many texts have no word that the model knows."""
        return self._model.n_without_known_word(texts)


def _most_probable(probabilities: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    probability, symbol = probabilities.max(-1)
    return probability, symbol


def in_threads(work: Callable[[T], R], items: Iterable[T], n_threads: int) -> Generator[R, None, None]:
    """Results of a function, in the order of its arguments, as many of which are under way as there are threads.

    torch has one thread in each. A single item is worked on by the caller's, with all of torch's.

    Args:
        work: to be done.
        items: its arguments. Where they end with an error of this package, what comes before it is given first.
        n_threads: at most.
    """
    source = iter(items)
    first = next(source, None)
    if first is None:
        return
    second, failure = _next(source)
    if second is None or n_threads < 2:
        yield work(first)
        while second is not None:
            yield work(second)
            second, failure = _next(source)
        if failure is not None:
            raise failure
        return
    before, pending = torch.get_num_threads(), deque[Future[R]]()
    pool = ThreadPoolExecutor(n_threads, "answers", initializer=torch.set_num_threads, initargs=(1,))
    try:
        pending.append(pool.submit(contextvars.copy_context().run, work, first))
        while second is not None:
            pending.append(pool.submit(contextvars.copy_context().run, work, second))
            if len(pending) > n_threads:
                yield pending.popleft().result()
            second, failure = _next(source)
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # new threads of torch's would have one as well
    if failure is not None:
        raise failure


def _next(source: Iterator[T]) -> tuple[T | None, SvebmError | None]:
    """The next item, or None at the end, with the error that it ends with."""
    try:
        return next(source, None), None
    except SvebmError as error:
        return None, error
