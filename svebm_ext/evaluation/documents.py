"""What a model of bags of words has learnt, to be read: the words of each class."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from svebm_ext.data.documents import N_SPECIAL
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.document import DocumentDecoder
from svebm_ext.models.latent_variable import LatentVariableModel

#: Vectors of each class whose word probabilities are averaged.
SAMPLES = 64


@torch.no_grad()
def top_words(
    model: LatentVariableModel, vocabulary: Vocabulary, n: int = 10, *, n_samples: int = SAMPLES, seed: int = 0
) -> list[list[str]]:
    """The n words of each symbol that are the most typical of it, most typical first.

    p(w|y) is the mean of p(w|z) over z of the class-conditional prior p(z|y). Words are ranked by
    p(w|y) log(p(w|y) / p(w)) with p(w) the mean over symbols: what each adds to the divergence of the symbol from the
    others, so that neither words common to all nor rare ones come first.

    Raises:
        ConfigError: the model has no symbols.
    """
    latent = model.latent
    if not isinstance(latent, EnergyLatent):
        raise ConfigError("top_words: this latent family has no symbols")
    assert isinstance(model.decoder, DocumentDecoder)
    shares = []
    for symbol in range(latent.n_categories):
        z = latent.sample_prior(n_samples, seed=seed, symbol=symbol)
        shares.append(model.decoder.scores(z, **model.symbol_argument(z)).double().softmax(-1).mean(0))
    share = torch.stack(shares)
    order = (share * (share / share.mean(0)).log()).topk(min(n, share.shape[1])).indices
    return [vocabulary.decode((row + N_SPECIAL).tolist()) for row in order]


def top_word_lines(
    model: LatentVariableModel,
    vocabulary: Vocabulary,
    names: Sequence[str] = (),
    *,
    n: int = 10,
    seed: int = 0,
) -> list[str]:
    """A line of top words for each symbol, with its name where it has one; none for a model without symbols."""
    if not isinstance(model.latent, EnergyLatent):
        return []
    by_symbol = top_words(model, vocabulary, n, seed=seed)
    return [f"{names[k] if k < len(names) else k}: {' '.join(words)}" for k, words in enumerate(by_symbol)]
