"""Sentences of a symbol, or of a group of them, that the model itself reads as sentences of it.

z of p(z|y) decodes into a sentence x of p(x|z), but where z says little of x the sentence need not be of y. Of more
sentences than are wanted, those are kept that are surely of y by the model's own p(y|x), which is p(y|z = mu(x)) times
what words say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from svebm_ext.config.bounds import TEMPERATURES
from svebm_ext.errors import ConfigError, nearest
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.decoders import Decoding
from svebm_ext.models.symbols import symbol_probabilities
from svebm_ext.ops.arguments import Arguments
from svebm_ext.processes import ALONE, Processes
from svebm_ext.terminal import say

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from svebm_ext.models.svebm import SVEBM

#: What `symbol` of a call may be: its number, an address such as "3.2" ("3": a group, or a symbol of a model without
#: groups), or numbers of several.
Asked = int | str | Sequence[int]
CALLS = Arguments("model")
_ADDRESS = re.compile(r"-?[0-9]+(\.[0-9]+)?")
#: Rounds at most, and sentences of the first at least. Each draws twice as many as the one before: many chains cost
#: little more than one. Seeds of rounds are far apart, so that users' seeds do not meet them.
ROUNDS, LEAST_OF_ROUND = 4, 16
SEEDS_BETWEEN_ROUNDS = 1 << 24
#: Digits of a number of a symbol, at most.
LONGEST_NUMBER = 18
#: p(y|x) from which on the model is sure.
SURE = 0.8


def check_decoding(options: Mapping[str, object]) -> None:
    """Refuse options that `SVEBM.generate` does not have, and values out of their range (ConfigError)."""
    known = ("n", "symbol", "read_back", "seed", *Decoding.__annotations__)
    for name in options:
        if name not in known:
            meant = nearest(name, known)
            hint = "" if meant is None else f" (did you mean {meant}?)"
            raise ConfigError(
                f"generate: no option {name!r}; expected {', '.join(known)}{hint}. A class is given by its number, "
                "symbol=model.label_names.index(NAME)"
            )
    check_choice_of_words(options, "generate")


def check_choice_of_words(options: Mapping[str, object], what: str) -> None:
    """Refuse values out of their range of the options by which words are chosen, in the name of what was called.

    Args:
        options: some of temperature, top_k and top_p.
        what: was called, such as "generate".

    Raises:
        ConfigError: names the option, its value and what is expected.
    """
    call = Arguments(what)
    if "temperature" in options:
        call.number("temperature", options["temperature"], *TEMPERATURES)
    if "top_k" in options:
        call.integer("top_k", options["top_k"], 0)
    if "top_p" in options:
        call.number("top_p", options["top_p"], 0.0, 1.0, above=True)


def is_address(text: str) -> bool:
    """Whether a text is written as the number of a symbol or group, or as "3.2"; what is not may be a name."""
    return _ADDRESS.fullmatch(text.strip()) is not None


def symbols_asked(model: SVEBM, symbol: Asked) -> tuple[int, ...]:
    """Numbers of the symbols that a call asks for.

    Args:
        model: of any family; of one without symbols, sampling says so.
        symbol: see `Asked`.

    Raises:
        ConfigError: no such group or symbol, or no such address.
    """
    if isinstance(symbol, str) and model.groups is not None:
        return model.groups.symbols_at(symbol.strip())
    if isinstance(symbol, str):
        if not is_address(symbol) or "." in symbol or len(symbol) > LONGEST_NUMBER:
            hint = "; the symbols of this model have no groups" if "." in symbol else ""
            raise ConfigError(f"symbol: {symbol!r:.40} given, expected the number of a symbol{hint}")
        return (int(symbol),)
    if isinstance(symbol, Sequence):
        return tuple(CALLS.integer("symbol", one) for one in symbol)
    return (CALLS.integer("symbol", symbol),)


def generated_words(
    model: SVEBM,
    n: int,
    *,
    symbol: Asked | None = None,
    read_back: bool | None = None,
    seed: int = 0,
    processes: Processes = ALONE,
    **options: Unpack[Decoding],
) -> list[list[str]]:
    """What `SVEBM.generate_words` gives, by several processes, each of which has all in the end.

    Arguments and errors are those of `SVEBM.generate`; sentence i has the random numbers i, whoever makes it.
    """
    model.kind.check_texts()
    _ = model.dtype
    n, seed = CALLS.integer("n", n), CALLS.integer("seed", seed, 0, (1 << 64) - 1)
    symbols = None if symbol is None else symbols_asked(model, symbol)
    if n < 1:
        raise ConfigError(f"n: {n} given, expected at least 1")
    check_decoding(options)
    if symbols is None:
        return words_of_prior(model, n, None, seed=seed, processes=processes, **options)
    return words_of_symbol(model, symbols, n, seed=seed, read_back=read_back, processes=processes, **options)


def words_of_prior(
    model: SVEBM,
    n: int,
    symbol: int | Sequence[int] | None,
    *,
    seed: int,
    processes: Processes,
    **options: Unpack[Decoding],
) -> list[list[str]]:
    """Words of n samples of p(z), or of p(z|y = symbol), of which each process decodes its share."""
    ids = processes.own(torch.arange(n, device=model.device))
    z = model.networks.latent.sample_some(ids, n, seed=seed, symbol=symbol)
    return processes.interleaved(model.decode_words(z, seed=seed, ids=ids, **options))


def words_of_symbol(
    model: SVEBM,
    symbol: int | Sequence[int],
    n: int,
    *,
    seed: int,
    read_back: bool | None = None,
    processes: Processes = ALONE,
    **options: Unpack[Decoding],
) -> list[list[str]]:
    """Words of n sentences of a symbol, or of any of several, z by Langevin from p(z|y = symbol).

    Args:
        model: of the energy latent family, of sentences.
        symbol: y, 0 .. K-1; several: p(z) of all of them together.
        n: how many.
        seed: of z and of sampled words.
        read_back: keep sentences that the model reads as the symbol. Where ROUNDS do not yield n of which it is sure,
            those follow that are likeliest to be of it. None: where words guided the symbols, and the model can read.
        processes: that share the sentences.
        options: as for `SVEBM.decode`.
    """
    latent = model.networks.latent
    symbols = [symbol] if isinstance(symbol, int) else list(dict.fromkeys(symbol))
    asked = symbols[0] if len(symbols) == 1 else symbols
    if read_back is None:
        read_back = model.networks.guide is not None and _can_read(model)
    if not isinstance(latent, EnergyLatent):
        return words_of_prior(model, n, symbols[0], seed=seed, processes=processes, **options)
    if not read_back:
        return words_of_prior(model, n, asked, seed=seed, processes=processes, **options)
    kept: list[list[str]] = []
    others: list[tuple[float, list[str]]] = []
    for number in range(ROUNDS):
        own_seed = (seed + number * SEEDS_BETWEEN_ROUNDS) % (1 << 64)
        n_made = max(n, LEAST_OF_ROUND) * 2**number
        drawn = words_of_prior(model, n_made, asked, seed=own_seed, processes=processes, **options)
        made = [words for words in drawn if words]
        own = made[processes.rank :: processes.world_size]
        read: list[float] = []
        if own:
            read = symbol_probabilities(model, own, calibrated=False)[:, symbols].sum(-1).tolist()  # SURE is of these
        scored = list(zip(processes.interleaved(read), made, strict=True))
        kept += [words for probability, words in scored if probability >= SURE]
        others += [(probability, words) for probability, words in scored if probability < SURE]
        if len(kept) >= n:
            break
    others.sort(key=lambda other: -other[0])
    return [*kept, *(words for _, words in others)][:n]


def _can_read(model: SVEBM) -> bool:
    """Whether a model can read what it writes: its frozen encoder, where it has one, may not be on this disk."""
    if model.vectors is None:
        return True
    try:
        model.vectors.open()
    except ConfigError as error:
        say(f"sentences of a symbol are not read back: {error}")
        return False
    return True
