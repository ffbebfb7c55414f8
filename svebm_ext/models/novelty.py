"""How unlike the texts that a model was trained on a text is.

Two things speak for that, both in nats. Its words are a surprise: -log p(x), shared out over its tokens, since a longer
text is less probable whatever it says. And it is not clear what it is: the entropy of p(y|x), as certain as right. A
text of a class that is new may be made of known words, and a text of another kind may be surely of a symbol.

A word that the model does not know is one of many: it counts as one of as many as the model knows.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.reading import Chunk
from svebm_ext.models.text_likelihood import annealed_log_z, nll_of_batches

if TYPE_CHECKING:
    from svebm_ext.models.svebm import SVEBM

#: Importance samples. With 100 a million texts take hours; the order of texts is nearly that of 4.
NOVELTY_SAMPLES = 4
#: Nats of surprise a token that a nat of entropy of the symbol counts as much as. With 1 or 3 the order of texts of
#: three corpora beside those of others is nearly as good.
ENTROPY_WEIGHT = 2.0


class Novelty(NamedTuple):
    """How -log p(x) is estimated: log Z, and the factor on the standard deviations of q(z|x)."""

    log_z: float
    proposal_scale: float = 1.0


def estimate_of(model: SVEBM, metrics: dict[str, object]) -> Novelty:
    """How -log p(x) of texts is estimated.

    Args:
        model: with a prior.
        metrics: what an evaluation has measured; without `log_z_upper` log Z is annealed, as `TextModel.log_z` does.
    """
    log_z, scale = metrics.get("log_z_upper"), metrics.get("nll_proposal_scale")
    if not isinstance(log_z, float):
        log_z = annealed_log_z(model)
    return Novelty(log_z, scale if isinstance(scale, float) else 1.0)


@torch.no_grad()
def novelty(
    model: SVEBM, chunk: Chunk, probabilities: Float[Tensor, "B K"], estimate: Novelty, start: int
) -> Float[Tensor, "B"]:
    """(-log p(x) + n_unknown log V) / n_tokens + ENTROPY_WEIGHT H(y|x) of each text, in nats (float64).

    Unknown words are in no bag of words. There they count by their share of the text.

    Args:
        model: with a prior and symbols.
        chunk: of B texts.
        probabilities: p(y|x) of them.
        estimate: of -log p(x).
        start: number of the first text, which addresses the random numbers.
    """
    of_batch = nll_of_batches(
        model, n_samples=NOVELTY_SAMPLES, log_z=estimate.log_z, proposal_scale=estimate.proposal_scale
    )
    nll = replace(chunk, start=start).in_order(model.device, of_batch)
    n_tokens, n_unknown = chunk.in_order(model.device, _token_counts).double().unbind(1)
    a_word = math.log(len(model.vocabulary))
    surprise = (nll + n_unknown * a_word) / n_tokens.clamp(min=1.0)
    if chunk.unknown is not None:
        unknown = chunk.unknown.to(model.device)
        surprise = (1.0 - unknown) * surprise * (n_tokens > 0) + unknown * a_word  # of no word nothing is a surprise
    entropy = torch.special.entr(probabilities.double()).sum(-1)
    return surprise + ENTROPY_WEIGHT * entropy


def _token_counts(batch: SentenceBatch | DocumentBatch) -> Float[Tensor, "B 2"]:
    """Tokens of each row, the end of a sentence counted, and how many of them are words that are not known."""
    if isinstance(batch, DocumentBatch):  # unknown words are in no bag
        n_tokens = torch.zeros(batch.n_documents, device=batch.counts.device).index_add(0, batch.rows, batch.counts)
        return torch.stack((n_tokens, torch.zeros_like(n_tokens)), 1)
    unknown = (batch.targets == Vocabulary.UNKNOWN).float()
    n_unknown = torch.zeros(batch.n_sentences, device=unknown.device).index_add(0, batch.rows, unknown)
    return torch.stack((batch.lengths.to(n_unknown), n_unknown), 1)
