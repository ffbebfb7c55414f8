"""Sentences of a symbol that the model itself reads as sentences of that symbol.

z of p(z|y) decodes into a sentence x of p(x|z), but where z says little of x the sentence need not be of y. Of more
sentences than are wanted, those are kept that are surely of y by the model's own p(y|x), which is p(y|z = mu(x)) times
what words say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from svebm_ext.errors import ConfigError, nearest
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.decoders import Decoding
from svebm_ext.models.symbols import symbol_probabilities
from svebm_ext.terminal import say

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from svebm_ext.models.svebm import SVEBM

#: Rounds at most, and sentences of the first at least. Each draws twice as many as the one before: many chains cost
#: little more than one. Seeds of rounds are far apart, so that users' seeds do not meet them.
ROUNDS, LEAST_OF_ROUND = 4, 16
SEEDS_BETWEEN_ROUNDS = 1 << 24
#: p(y|x) from which on the model is sure.
SURE = 0.8


def check_decoding(options: Iterable[str]) -> None:
    """Refuse options that `SVEBM.generate` does not have (ConfigError)."""
    known = ("n", "symbol", "read_back", "seed", *Decoding.__annotations__)
    for name in options:
        if name not in known:
            meant = nearest(name, known)
            hint = "" if meant is None else f" (did you mean {meant}?)"
            raise ConfigError(
                f"generate: no option {name!r}; expected {', '.join(known)}{hint}. A class is given by its number, "
                "symbol=model.label_names.index(NAME)"
            )


def words_of_symbol(
    model: SVEBM, symbol: int, n: int, *, seed: int, read_back: bool | None = None, **options: Unpack[Decoding]
) -> list[list[str]]:
    """Words of n sentences of a symbol, z by Langevin from p(z|y = symbol).

    Args:
        model: of the energy latent family, of sentences.
        symbol: y, 0 .. K-1.
        n: how many.
        seed: of z and of sampled words.
        read_back: keep sentences that the model reads as the symbol. Where ROUNDS do not yield n of which it is sure,
            those follow that are likeliest to be of it. None: where words guided the symbols, and the model can read.
        options: as for `SVEBM.decode`.
    """
    latent = model.networks.latent
    if read_back is None:
        read_back = model.networks.guide is not None and _can_read(model)
    if not read_back or not isinstance(latent, EnergyLatent):
        return model.decode_words(latent.sample_prior(n, seed=seed, symbol=symbol), seed=seed, **options)
    kept: list[list[str]] = []
    others: list[tuple[float, list[str]]] = []
    for number in range(ROUNDS):
        own_seed = (seed + number * SEEDS_BETWEEN_ROUNDS) % (1 << 64)
        z = latent.sample_prior(max(n, LEAST_OF_ROUND) * 2**number, seed=own_seed, symbol=symbol)
        made = [words for words in model.decode_words(z, seed=own_seed, **options) if words]
        read = symbol_probabilities(model, made, calibrated=False)[:, symbol]  # SURE is of these
        scored = list(zip(read.tolist(), made, strict=True))
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
