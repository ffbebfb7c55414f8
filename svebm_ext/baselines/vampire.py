"""VAMPIRE: a topic model of unlabelled documents, whose frozen features a classifier reads (Gururangan et al. 2019)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.baselines.fitting import Fit, fit
from svebm_ext.data.batching import BatchOrder
from svebm_ext.data.documents import DocumentBatch, DocumentSplit, collate_documents
from svebm_ext.models.document import DocumentDecoder, DocumentEncoder
from svebm_ext.ops.philox import Stream
from svebm_ext.randomness import Draw


class TopicModel(nn.Module):
    """VAE over bags of words: q(z|x) Gaussian, topics theta = softmax(z), word scores linear in D theta.

    The factor D gives the topics' word scores inputs of mean 1. With theta itself, of mean 1 / D, they hardly move, and
    the posterior collapses before they have.

    Args:
        n_words: V.
        n_topics: D.
        hidden: h of the encoder.
        background: [V] log-frequencies of words.
        dropout: probability on the encoder's hidden layers.

    Source: Gururangan, Dang, Card & Smith, Variational Pretraining for Semi-supervised Text Classification, ACL 2019.
    """

    def __init__(
        self, n_words: int, n_topics: int, hidden: int, background: Float[Tensor, "V"], *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = DocumentEncoder(n_words, hidden, dropout=dropout, counts="log")
        self.to_mean, self.to_log_variance = nn.Linear(hidden, n_topics), nn.Linear(hidden, n_topics)
        nn.init.zeros_(self.to_log_variance.weight)
        self.decoder = DocumentDecoder(n_words, n_topics, hidden, 0)
        self.decoder.background.copy_(background)

    def terms(self, batch: DocumentBatch, draw: Draw) -> tuple[Float[Tensor, "B"], Float[Tensor, "B"]]:
        """-log p(x|z) at a sample of q(z|x), and KL(q(z|x) || N(0, I)), in nats of each document."""
        features = self.encoder(batch, draw)
        mean, log_variance = self.to_mean(features), self.to_log_variance(features)
        noise = draw.normal(batch.indices, mean.shape[1], Stream.POSTERIOR)
        z = mean + (0.5 * log_variance).exp() * noise
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).sum(-1)
        return self.decoder.nll(batch, z.shape[1] * z.softmax(-1), draw), kl

    @torch.no_grad()
    def features(self, documents: DocumentSplit) -> Float[Tensor, "B F"]:
        """What the classifier reads of each document: theta at the posterior's mean, and the encoder's features.

        Each part is scaled to a mean square of 1 over the documents' entries, in place of the source's learnt scalars.
        """
        device = self.to_mean.weight.device
        topics, hidden = [], []
        for rows in torch.arange(len(documents)).split(1000):
            encoded = self.encoder(collate_documents(documents, rows).to(device))
            topics.append(self.to_mean(encoded).softmax(-1))
            hidden.append(encoded)
        return torch.cat([_unit(torch.cat(part)) for part in (topics, hidden)], -1)


def _unit(x: Tensor) -> Tensor:
    return x / x.square().mean().sqrt().clamp_min(1e-6)


def pretrain(model: TopicModel, documents: DocumentSplit, settings: Fit, device: torch.device) -> None:
    """Train on documents alone, labels unread; the weight of KL rises over the first half of the run.

    Args:
        model: in place, on the device.
        documents: all of the training split.
        settings: of the training.
        device: where it runs.
    """
    order = BatchOrder(documents.lengths, min(settings.batch_size, len(documents)), settings.seed, window=1)

    def loss(step: int) -> Tensor:
        batch = collate_documents(documents, order.batch(step)).to(device)
        nll, kl = model.terms(batch, Draw(settings.seed, step))
        return nll.mean() + min(1.0, 2.0 * step / settings.n_steps) * kl.mean()

    fit(model, loss, settings)
