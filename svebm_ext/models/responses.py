"""Responses in dialogs: a context in, a turn out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from svebm_ext.data.corpus import Split
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.models.consensus import consensus
from svebm_ext.models.latent_variable import Batch
from svebm_ext.models.of_symbol import check_choice_of_words
from svebm_ext.ops.arguments import Arguments

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from svebm_ext.models.decoders import Decoding
    from svebm_ext.models.svebm import SVEBM

CALLS = Arguments("model")
#: Contexts that are answered at a time.
BATCH = 256
#: Seeds of the samples behind one response are so far apart that batches with consecutive seeds share none.
SEEDS_BETWEEN_SAMPLES = 1 << 20


def batches_of_contexts(model: SVEBM, contexts: Sequence[Sequence[str]]) -> list[Batch]:
    """Contexts as packed batches, in order, each with an unknown response.

    Args:
        model: of dialogs.
        contexts: the turns before each response, oldest first.

    Raises:
        DataError: a context that is one turn in place of a list.
    """
    turns: list[list[str]] = []
    dialogs: list[int] = []
    asked = []
    for number, context in enumerate(contexts):
        if isinstance(context, str):
            raise DataError(f"context {number}: a string given, expected a list of turns; write [turn]")
        words = [model.kind.words(turn, model.config.data, model.writing) for turn in context]
        turns += [*words, []]  # the response is what we do not know
        dialogs += [number] * (len(context) + 1)
        asked.append(len(turns) - 1)
    if not asked:
        return []
    split = model.kind.encode(Split(turns, dialogs=dialogs), model.vocabulary, model.config)
    # unknown responses are equally long: the order stays
    order = torch.tensor(asked, dtype=torch.int64, device="cpu").split(BATCH)
    return [split.collate(indices).to(model.device) for indices in order]


@torch.no_grad()
def words_of_responses(
    model: SVEBM, batch: Batch, *, n_samples: int, seed: int, symbol: int | None, **options: Unpack[Decoding]
) -> list[list[str]]:
    """Words of a response to each row of a batch of dialogs; arguments and errors as for `SVEBM.respond`."""
    _ = model.dtype
    n_samples, seed = CALLS.integer("n_samples", n_samples), CALLS.integer("seed", seed, 0, (1 << 64) - 1)
    symbol = None if symbol is None else CALLS.integer("symbol", symbol)
    check_choice_of_words(options, "respond")
    if n_samples < 1:
        raise ConfigError(f"n_samples: {n_samples} given, expected at least 1")
    samples: list[list[list[str]]] = []
    for number in range(n_samples):
        own = seed + number * SEEDS_BETWEEN_SAMPLES
        z = model.networks.sample_prior(batch, seed=own, symbol=symbol)
        words = model.networks.decode(batch, z, max_tokens=model.max_words, seed=own, ids=batch.indices, **options)
        samples.append([model.vocabulary.decode(ids) for ids in words])
    return [candidates[consensus(candidates)] for candidates in map(list, zip(*samples, strict=True))]
