"""`python -m svebm_ext.generate RUN -n 10`: sentences from a trained model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from svebm_ext.commands import (
    LARGEST_SEED,
    MOST,
    check_numbers,
    check_run,
    load_model,
    parse_with_run,
    rare_collections,
    run_command,
)
from svebm_ext.config.bounds import TEMPERATURES
from svebm_ext.errors import ConfigError
from svebm_ext.terminal import show

if TYPE_CHECKING:
    from svebm_ext.models.of_symbol import Asked
    from svebm_ext.models.svebm import SVEBM
    from svebm_ext.training.runtime import Runtime


@dataclass(frozen=True)
class Arguments:
    """Options."""

    n: int = 10
    """Sentences (also -n)."""
    symbol: str | None = None
    """Symbol y to condition on, 0 .. K-1, or its name (default: the marginal prior). Of symbols in two levels "3" is a
    group and "3.2" one of its symbols."""
    symbols: Path | None = None
    """File of names of symbols and groups, as the page of `explore` saves it: --symbol takes a name of it."""
    label: str | None = None
    """Label to condition on, for a model that learnt from labels."""
    read_back: bool | None = None
    """Of a symbol or label, keep sentences that the model itself reads as of it (default: where words guided the
    symbols)."""
    seed: int = 0
    """Seed: the same seed gives the same sentences."""
    temperature: float | None = None
    """Sample words at this temperature instead of taking the most probable one."""
    top_k: int = 0
    """Sample among the k most probable words only (0: all of them)."""
    top_p: float = 1.0
    """Sample among the fewest most probable words that have this probability together."""
    device: str = "cpu"
    """Device: cpu or cuda."""


def symbol_of(model: SVEBM, options: Arguments) -> Asked | None:
    """Symbol, or symbols, that the options ask for.

    Raises:
        ConfigError: a name or label that the model does not know.
        DataError: a file of names of another form.
    """
    from svebm_ext.errors import alternatives

    if options.label is None:
        return None if options.symbol is None else _named(model, options.symbol, options.symbols)
    if options.symbol is not None:
        raise ConfigError(f"symbol: {options.symbol} given with label {options.label!r}, expected one of them")
    if not model.label_names:
        raise ConfigError(
            f"label: {options.label!r} given, but the model was trained without labels; expected --symbol"
        )
    if options.label not in model.label_names:
        known = alternatives(options.label, model.label_names, "its labels are")
        raise ConfigError(f"label: the model does not know {options.label!r}; {known}")
    return model.label_names.index(options.label)


def _named(model: SVEBM, symbol: str, file: Path | None) -> Asked:
    """Symbols of a name, of a file or of the labels that were learnt; else the address as it was given."""
    from svebm_ext.errors import alternatives
    from svebm_ext.models.answering import check_unnamed
    from svebm_ext.models.of_symbol import is_address
    from svebm_ext.models.symbol_names import SymbolNames
    from svebm_ext.models.symbols import check_symbols

    known: dict[str, tuple[int, ...]] = {name: (k,) for k, name in enumerate(model.label_names)}
    if file is not None:
        n_symbols = check_symbols(model)
        check_unnamed(model)
        known = SymbolNames.load(file, n_symbols, model.groups).symbols_by_name()
    if symbol in known:
        return known[symbol]
    if is_address(symbol):
        return symbol
    if known:
        raise ConfigError(f"symbol: {symbol!r:.80} given, {alternatives(symbol, list(known), 'its names are')}")
    raise ConfigError(
        f"symbol: {symbol!r:.80} given, expected a number; names come from a file (--symbols symbols.json)"
    )


def check_words(options: Arguments) -> None:
    """Refuse, before a model is read, values by which no word can be chosen.

    Raises:
        ConfigError: names the option, its value and what is expected.
    """
    if options.temperature is not None:
        least, most = TEMPERATURES
        if not least <= options.temperature <= most:
            expected = f"expected a number from {least:g} to {most:g}"
            raise ConfigError(f"--temperature: {options.temperature} given, {expected}")
    if not 0 < options.top_p <= 1:
        raise ConfigError(f"--top-p: {options.top_p} given, expected a number above 0 to 1")


def main(arguments: Sequence[str]) -> None:
    """Print sentences, one a line."""
    run, options = parse_with_run(
        Arguments,
        ["--n" if argument == "-n" else argument for argument in arguments],
        command="generate",
        description="Generate sentences from a trained model.",
    )
    check_numbers(options, n=(1, MOST), seed=(0, LARGEST_SEED), top_k=(0, MOST))
    if options.symbols is not None and options.symbol is None:
        raise ConfigError("symbols: names of symbols given, but none is asked for; expected --symbol NAME beside it")
    check_words(options)
    check_run(run)
    with rare_collections():
        from svebm_ext.training.runtime import Runtime

        with Runtime.of_command(options.device) as runtime:
            _generate(run, options, runtime)


def _generate(run: str, options: Arguments, runtime: Runtime) -> None:
    from svebm_ext.models.of_symbol import generated_words

    model = load_model(run, runtime.device)
    limited = options.top_k != 0 or options.top_p != 1.0
    made = generated_words(
        model,
        options.n,
        symbol=symbol_of(model, options),
        read_back=options.read_back,
        greedy=options.temperature is None and not limited,
        temperature=1.0 if options.temperature is None else options.temperature,
        top_k=options.top_k,
        top_p=options.top_p,
        seed=options.seed,
        processes=runtime,
    )
    # A person sees which sentences the longest length has cut; a program that reads them gets them as they are.
    to_text = model.to_read if sys.stdout.isatty() else model.written
    for words in made:
        show(to_text(words))


if __name__ == "__main__":
    run_command(main)
