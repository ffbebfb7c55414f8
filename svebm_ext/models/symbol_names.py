"""Names that a person has given to symbols: the file `symbols.json`, and the classes that it makes of symbols.

    {"format": 1, "symbols": {"3": {"name": "card lost"}, "7": {"name": "card lost"}, "5": {"hidden": true}}}

Symbols in two levels are called by their address, and their groups have names of their own:

    {"format": 1, "groups": {"3": {"name": "cards"}}, "symbols": {"3.2": {"name": "card lost"}}}

Symbols of one name are one class, whose probability is the sum of theirs. A symbol without a name is of the class of
its group, where that has a name, and else a class by itself, known by its number. So is a hidden one, whose label is
empty: it is no topic, such as a symbol of mixed sentences.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.data.tokenize import normalise
from svebm_ext.errors import DataError, ModelFolderError, alternatives
from svebm_ext.files import parse_json, read_bounded
from svebm_ext.prior.groups import SymbolGroups
from svebm_ext.terminal import printable

FORMAT = 1
_EXAMPLE = '{"format": 1, "symbols": {"3": {"name": "card lost"}}}'
_KEYS = ("name", "hidden")


@dataclass(frozen=True)
class SymbolNames:
    """Names of the symbols of a model.

    Args:
        names: of each symbol 0 .. K-1; "" for none.
        hidden: symbols that are no topics.
        groups: of the symbols, where they are in two levels.
        group_names: of each group; "" for none.
    """

    names: tuple[str, ...]
    hidden: frozenset[int] = frozenset()
    groups: SymbolGroups | None = None
    group_names: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str | Path, n_symbols: int, groups: SymbolGroups | None = None) -> SymbolNames:
        """Names of a file.

        Args:
            path: of the file.
            n_symbols: K.
            groups: of the symbols, where they are in two levels.

        Raises:
            DataError: missing, of another form, or of symbols that the model does not have; the message names it.
        """
        path = Path(path)
        if not path.exists():
            raise DataError(f"{path}: no such file")
        try:
            content = parse_json(read_bounded(path).removeprefix(BOM_UTF8), str(path))
        except ModelFolderError as error:
            raise DataError(f"{error}; expected {_EXAMPLE}") from None
        if not isinstance(content, dict) or not isinstance(content.get("symbols"), dict):
            raise DataError(f"{path}: no names of symbols; expected {_EXAMPLE}")
        if content.get("format") != FORMAT or isinstance(content["format"], bool):
            raise DataError(f"{path}: format {content.get('format')!r:.40}; this program reads {FORMAT}")
        _check_keys(str(path), content, ("format", "groups", "symbols"))
        group_names = _group_names(path, content.get("groups", {}), groups)
        names, hidden = [""] * n_symbols, set()
        for key, entry in content["symbols"].items():
            symbol = _symbol(path, key, n_symbols, groups)
            names[symbol] = _name(f"{path}: symbol {key}", entry, _KEYS)
            if entry.get("hidden", False):
                hidden.add(symbol)
        return cls(tuple(names), frozenset(hidden), groups, group_names)

    def label(self, symbol: int) -> str | None:
        """Label of the class that a symbol is in: its name, else that of its group; "" where it is hidden, or None."""
        if symbol in self.hidden:
            return ""
        return self.names[symbol] or self.group_label(symbol)

    def group_label(self, symbol: int) -> str | None:
        """Name of the group of a symbol; None where it has none."""
        if self.groups is None or not self.group_names:
            return None
        return self.group_names[self.groups.of[symbol]] or None

    def symbols_by_name(self) -> dict[str, tuple[int, ...]]:
        """Symbols of each name: those that have it, and all of a group that has it."""
        known: dict[str, set[int]] = {}
        for symbol, name in enumerate(self.names):
            for own in {name, self.group_label(symbol)} - {"", None}:
                if symbol not in self.hidden and own is not None:
                    known.setdefault(own, set()).add(symbol)
        return {name: tuple(sorted(symbols)) for name, symbols in known.items()}

    def classes(self) -> list[int]:
        """Class of each symbol, numbered by first appearance."""
        numbers: dict[object, int] = {}
        return [numbers.setdefault(self.label(k) or k, len(numbers)) for k in range(len(self.names))]

    def most_probable(self, probabilities: Float[Tensor, "B K"]) -> tuple[Float[Tensor, " B"], Int[Tensor, " B"]]:
        """Probability of the most probable class of each text, and the most probable symbol in it."""
        classes = torch.tensor(self.classes(), device=probabilities.device)
        n_classes = int(classes.max()) + 1
        sums = probabilities.new_zeros(len(probabilities), n_classes).index_add_(1, classes, probabilities)
        probability, best = sums.max(-1)
        symbol = probabilities.masked_fill(classes != best[:, None], -1.0).argmax(-1)
        return probability.clamp_max(1.0), symbol


def _check_keys(where: str, content: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in content:
        if key not in known:
            raise DataError(f"{where}: unknown key {key!r:.40}; {alternatives(key, known)}")


def _group_names(path: Path, content: object, groups: SymbolGroups | None) -> tuple[str, ...]:
    """Name of each group; none where the file has none."""
    if not isinstance(content, dict):
        raise DataError(f"{path}: groups: {type(content).__name__} given, expected names of groups")
    if not content:
        return ()
    if groups is None:
        raise DataError(
            f"{path}: has names of groups, but the symbols of this model have none; svebm group RUN finds groups"
        )
    names = [""] * groups.n_groups
    for key, entry in content.items():
        if not _is_number(key, groups.n_groups):
            raise DataError(f"{path}: group {key!r:.40} is none of this model, whose groups are 0 .. {len(names) - 1}")
        names[int(key)] = _name(f"{path}: group {key}", entry, ("name",))
    return tuple(names)


def _symbol(path: Path, key: str, n_symbols: int, groups: SymbolGroups | None) -> int:
    """Number of a symbol by its key: an address, or its number among all."""
    if groups is not None and "." in key:
        for symbol in range(n_symbols):
            if groups.address(symbol) == key:
                return symbol
        raise DataError(
            f"{path}: symbol {key!r:.40} is none of this model, whose groups are 0 .. {groups.n_groups - 1}"
        )
    if not _is_number(key, n_symbols):
        raise DataError(f"{path}: symbol {key!r:.40} is none of this model, whose symbols are 0 .. {n_symbols - 1}")
    return int(key)


def _is_number(key: str, n: int) -> bool:
    """Whether a key is a whole number below n, as it is usually written."""
    return key.isascii() and key.isdecimal() and str(int(key[:9])) == key and int(key) < n


def _name(where: str, entry: object, keys: tuple[str, ...]) -> str:
    """Name of an entry, white space around it taken off and single inside."""
    if not isinstance(entry, dict):
        raise DataError(f'{where}: {type(entry).__name__} given, expected {{"name": "card lost"}}')
    _check_keys(where, entry, keys)
    name, hidden = entry.get("name", ""), entry.get("hidden", False)
    if not isinstance(name, str) or not isinstance(hidden, bool):
        raise DataError(f"{where}: name {name!r:.40}, hidden {hidden!r:.40}; expected a text, and true or false")
    name = " ".join(normalise(name).split())  # without marks of direction, which come with text that is pasted
    if printable(name) != name:
        raise DataError(f"{where}: name {name!r:.60} has characters that are not seen; expected plain text")
    return name
