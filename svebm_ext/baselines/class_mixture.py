"""The class as a latent variable: CatVAE and Hard EM (Jin et al. 2020), in the form of M2 (Kingma et al. 2014)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.baselines.fitting import Curve, Fit, Labelled, fit, share_right
from svebm_ext.data.batching import BatchOrder
from svebm_ext.data.documents import DocumentBatch, DocumentSplit, collate_documents
from svebm_ext.models.document import DocumentDecoder, DocumentEncoder
from svebm_ext.ops.philox import Stream
from svebm_ext.randomness import Draw

#: Share of the run over which the unlabelled documents gain their weight: Hard EM would otherwise give all of them to
#: one class before the labels have told classes apart.
WARM_UP = 0.2


class Inferred(NamedTuple):
    """What the encoder says of a batch: a sample z [B, D], log q(y|x) [B, K], KL(q(z|x) || N(0, I)) [B] in nats."""

    z: Tensor
    log_class: Tensor
    kl: Tensor


class ClassMixture(nn.Module):
    """p(y) uniform, p(z) = N(0, I), p(x|y,z) multinomial; q(y|x) and q(z|x) from one encoder.

    z says what class and background do not: word scores are background + W z + T_y. Unlike M2, q(z|x) does not read
    the class, so that one sample serves all classes.

    Args:
        n_words: V.
        n_classes: K.
        latent_dim: D.
        hidden: h of the encoder.
        background: [V] log-frequencies of words.
        dropout, word_dropout: of the encoder.
    """

    def __init__(
        self,
        n_words: int,
        n_classes: int,
        latent_dim: int,
        hidden: int,
        background: Float[Tensor, "V"],
        *,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = DocumentEncoder(n_words, hidden, dropout=dropout, word_dropout=word_dropout)
        self.to_class = nn.Linear(hidden, n_classes)
        self.to_mean, self.to_log_variance = nn.Linear(hidden, latent_dim), nn.Linear(hidden, latent_dim)
        nn.init.zeros_(self.to_log_variance.weight)
        self.decoder = DocumentDecoder(n_words, latent_dim, hidden, 0, n_classes=n_classes)
        self.decoder.background.copy_(background)
        self.n_classes = n_classes

    def logits(self, batch: DocumentBatch) -> Float[Tensor, "B K"]:
        """log q(y|x) up to a constant, without dropout."""
        return self.to_class(self.encoder(batch))

    def infer(self, batch: DocumentBatch, draw: Draw) -> Inferred:
        """q(y|x), and one sample of q(z|x), with the encoder's dropout."""
        features = self.encoder(batch, draw)
        mean, log_variance = self.to_mean(features), self.to_log_variance(features)
        z = mean + (0.5 * log_variance).exp() * draw.normal(batch.indices, mean.shape[1], Stream.POSTERIOR)
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).sum(-1)
        return Inferred(z, self.to_class(features).log_softmax(-1), kl)

    def nll(self, batch: DocumentBatch, z: Float[Tensor, "B D"], classes: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
        """-log p(x|y,z) in nats of each document at its class y."""
        return self.decoder.nll(batch, z, symbol=F.one_hot(classes, self.n_classes).to(z.dtype))

    def nll_of_all(self, batch: DocumentBatch, z: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """-log p(x|y,z) in nats of each document at every class y."""
        K = self.n_classes
        classes = torch.arange(K, device=z.device).repeat(batch.n_documents)
        return self.nll(batch.repeat(K), z.repeat_interleave(K, 0), classes).view(-1, K)


def summed_bound(nll: Float[Tensor, "B K"], log_class: Float[Tensor, "B K"]) -> Float[Tensor, "B"]:
    """CatVAE: sum_y q(y|x) (-log p(x|y,z) - log p(y) + log q(y|x)), in nats (Kingma et al. 2014, Eq. 7).

    With KL of z it bounds -log p(x) from above; in y it is tight where q(y|x) is p(y|x,z).
    """
    return (log_class.exp() * (nll + math.log(nll.shape[1]) + log_class)).sum(-1)


def hard_bound(nll: Float[Tensor, "B K"], log_class: Float[Tensor, "B K"]) -> Float[Tensor, "B"]:
    """Hard EM: -log p(x|y*,z) - log p(y*) at the y* that makes it least, - log q(y*|x) so that q learns to find y*."""
    least, chosen = nll.min(-1)
    return least + math.log(nll.shape[1]) - log_class.gather(1, chosen[:, None])[:, 0]


def train_mixture(
    model: ClassMixture,
    documents: DocumentSplit,
    valid: DocumentSplit,
    settings: Fit,
    device: torch.device,
    *,
    hard: bool = False,
    n_unlabelled: int = 100,
    label_weight: float = 20.0,
) -> Curve:
    """Bounds of unlabelled and labelled documents, and eta times the cross-entropy of q(y|x) on labelled ones.

    Args:
        model: in place, on the device.
        documents: labels -1 where there is none.
        valid: documents that choose the iteration.
        settings: its batch size is that of the labelled documents.
        device: where it runs.
        hard: Hard EM in place of CatVAE.
        n_unlabelled: other documents an iteration.
        label_weight: eta.
    """
    labelled = Labelled(documents, settings, device)
    others = (documents.labels < 0).nonzero()[:, 0]
    others = others if len(others) else torch.arange(len(documents))
    order = BatchOrder(documents.lengths[others], min(n_unlabelled, len(others)), settings.seed, window=1)
    bound = hard_bound if hard else summed_bound

    def loss(step: int) -> Tensor:
        draw, known = Draw(settings.seed, step), labelled.batch(step)
        inferred = model.infer(known, draw)
        total = (model.nll(known, inferred.z, known.labels) + inferred.kl).mean() + math.log(model.n_classes)
        total = total + label_weight * F.nll_loss(inferred.log_class, known.labels)
        batch = collate_documents(documents, others[order.batch(step)]).to(device)
        guessed = model.infer(batch, draw)
        ramp = min(1.0, (step + 1) / (WARM_UP * settings.n_steps))
        return total + ramp * (bound(model.nll_of_all(batch, guessed.z), guessed.log_class) + guessed.kl).mean()

    return fit(model, loss, settings, lambda: share_right(model.logits, valid, device))
