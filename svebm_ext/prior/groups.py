"""Symbols in two levels: y = (c, k), a coarse group c and a fine symbol k within it.

The K fine symbols are those of f. A group is a set of them, so that p(c|z) is the sum of p(y|z) over its symbols, and
p(z|c) is proportional to the sum of their exp(f_y(z)) p0(z).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.errors import ConfigError

#: What "3" and "3.2" look like.
_ADDRESS = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")


@dataclass(frozen=True)
class SymbolGroups:
    """A partition of the symbols into groups.

    Args:
        of: group 0 .. K1-1 of each symbol 0 .. K-1; every group has a symbol.

    Raises:
        ConfigError: no such partition.
    """

    of: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.of or sorted(set(self.of)) != list(range(len(set(self.of)))):
            raise ConfigError(
                f"groups: {list(self.of)!s:.80} given, expected a group 0 .. K1-1 for each symbol, none empty"
            )

    @classmethod
    def even(cls, n_symbols: int, n_groups: int) -> SymbolGroups:
        """Groups of symbols that follow each other, as many in each; the first ones have one more where it does not
        come out even."""
        return cls(tuple(k * n_groups // n_symbols for k in range(n_symbols)))

    @property
    def n_groups(self) -> int:
        """K1."""
        return len(self.members)

    @cached_property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """Symbols of each group, ascending."""
        members: list[list[int]] = [[] for _ in range(max(self.of) + 1)]
        for symbol, group in enumerate(self.of):
            members[group].append(symbol)
        return tuple(map(tuple, members))

    def address(self, symbol: int) -> str:
        """ "3.2" for symbol k = 2 of group c = 3.

        Where a group has more than ten, all k have as many digits: as numbers they differ then as well.
        """
        group = self.of[symbol]
        digits = len(str(max(map(len, self.members)) - 1))
        return f"{group}.{self.members[group].index(symbol):0{digits}d}"

    def symbols_at(self, address: str) -> tuple[int, ...]:
        """Symbols that an address means: all of a group ("3"), or one of them ("3.2").

        Raises:
            ConfigError: no such group or symbol, or two that it may mean.
        """
        parts = _ADDRESS.fullmatch(address)
        if parts is None:
            raise ConfigError(
                f"symbol: {address!r:.40} given, expected a group such as 3, or a symbol of it such as 3.2"
            )
        group = int(parts[1])
        if group >= self.n_groups:
            raise ConfigError(f"symbol: {address} given, but the groups of symbols are 0 .. {self.n_groups - 1}")
        members = self.members[group]
        if parts[2] is None:
            return members
        meant = [symbol for symbol in members if _is_same(self.address(symbol).partition(".")[2], parts[2])]
        if len(meant) != 1:
            names = [self.address(symbol) for symbol in meant or members]
            shown = [*names[:12], "..."] if len(names) > 12 else names
            raise ConfigError(f"symbol: {address} given, expected {', '.join(shown)}")
        return (meant[0],)


def _is_same(index: str, given: str) -> bool:
    """Whether k of an address may be what was given: a zero in front may be missing, or one behind, of a number."""
    return index == given or int(index) == int(given) or index == given.ljust(len(index), "0")


def log_groups_of(log_symbols: Float[Tensor, "*batch K"], groups: SymbolGroups) -> Float[Tensor, "*batch K1"]:
    """log p(c|z) of log p(y|z): the sums over the symbols of each group, in logarithms.

    Of the K logits f_y(z) it gives F_c(z), the energy of p(z|c).
    """
    order = torch.tensor([symbol for members in groups.members for symbol in members], device=log_symbols.device)
    parts = log_symbols.index_select(-1, order).split(list(map(len, groups.members)), dim=-1)
    return torch.stack([part.logsumexp(-1) for part in parts], dim=-1)


def only(symbols: Sequence[int], layers: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """The layers of f with the outputs of some symbols alone, whose energy is that of p(z | y among them)."""
    *hidden, (weight, bias) = layers
    rows = torch.tensor(list(symbols), device=weight.device)
    return [*hidden, (weight.index_select(0, rows), bias.index_select(0, rows))]
