"""One training step of the sentence model at the sizes of Penn Treebank, by this package and by plain PyTorch.

Plain PyTorch is what one writes first: a batch padded to its longest sentence, nn.Embedding, a bidirectional nn.GRU as
encoder and one as decoder over the padded batch, logits of every position, cross_entropy that ignores padding,
clip_grad_norm_, torch.optim.Adam as it comes. Packed PyTorch is what one writes next: nn.GRU over packed sequences,
logits of the words that are there, and the fused Adam. Sizes, dropout, tied weights and loss are the same: a Gaussian
posterior, reconstruction and divergence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from shapes import LayerShape, TrainingShape
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from svebm_ext.config import Config, SentenceModel, TrainingConfig
from svebm_ext.data.batching import EncodedSplit, SentenceBatch, collate
from svebm_ext.models.networks import build_networks
from svebm_ext.ops.backend import use_backend
from svebm_ext.training.feeds import Share
from svebm_ext.training.optimisers import Optimisers
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.update import Update

PAD = 0


def sentence_lengths(shape: TrainingShape | LayerShape) -> Tensor:
    """Targets of each sentence: quantiles of a normal distribution, cut as the readers cut."""
    levels = (torch.arange(shape.batch_size, dtype=torch.float64) + 0.5) / shape.batch_size
    normal = torch.distributions.Normal(float(shape.mean_length), float(shape.length_std) or 1e-9)
    return normal.icdf(levels).round().clamp(2, shape.max_length).long().flip(0)


def make_batch(shape: TrainingShape) -> SentenceBatch:
    """A batch of sentences of random words."""
    lengths = sentence_lengths(shape)
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(4, shape.vocabulary_size, (int(lengths.sum()),), generator=generator)
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)))
    split = EncodedSplit(words, offsets, torch.full((len(lengths),), -1))
    return collate(split, torch.arange(len(lengths)))


def model_config(shape: TrainingShape) -> Config:
    """Configuration with the benchmark's sizes."""
    model = SentenceModel(
        latent="gaussian",
        latent_dim=shape.latent_dim,
        embedding_dim=shape.hidden,
        encoder_hidden=shape.hidden,
        decoder_hidden=shape.hidden,
    )
    return replace(Config(), model=model, training=TrainingConfig(batch_size=shape.batch_size))


class PlainModel(nn.Module):
    """The same networks over padded batches."""

    def __init__(self, shape: TrainingShape) -> None:
        super().__init__()
        H, D = shape.hidden, shape.latent_dim
        self.source_embedding = nn.Embedding(shape.vocabulary_size, H, padding_idx=PAD)
        self.encoder = nn.GRU(H, H, bidirectional=True, batch_first=True)
        self.to_mean, self.to_log_variance = nn.Linear(2 * H, D), nn.Linear(2 * H, D)
        self.embedding = nn.Embedding(shape.vocabulary_size, H, padding_idx=PAD)
        self.initial = nn.Linear(D, H, bias=False)
        self.decoder = nn.GRU(H + D, H, batch_first=True)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean over sentences of reconstruction and divergence; inputs and targets [B, L]."""
        _, final = self.encoder(self.source_embedding(targets))
        features = torch.cat((final[0], final[1]), dim=-1)
        mean, log_variance = self.to_mean(features), self.to_log_variance(features)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        embedded = F.dropout(self.embedding(inputs), 0.3)
        states, _ = self.decoder(
            torch.cat((embedded, z[:, None].expand(-1, inputs.shape[1], -1)), dim=-1), self.initial(z)[None]
        )
        logits = F.linear(F.dropout(states, 0.3), self.embedding.weight)
        nll = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="sum")
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum()
        return (nll + kl) / inputs.shape[0]


class PackedModel(PlainModel):
    """The same networks over packed batches."""

    def forward(self, inputs: Tensor, targets: Tensor, sizes: Tensor, rows: Tensor) -> Tensor:
        """As PlainModel's.

        Args:
            inputs, targets: [n] ids of a packed batch.
            sizes: [L] sentences at each position.
            rows: [n] the sentence of each.
        """
        _, final = self.encoder(PackedSequence(self.source_embedding(targets), sizes))
        features = torch.cat((final[0], final[1]), dim=-1)
        mean, log_variance = self.to_mean(features), self.to_log_variance(features)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        embedded = F.dropout(self.embedding(inputs), 0.3)
        packed = PackedSequence(torch.cat((embedded, z[rows]), dim=-1), sizes)
        states = self.decoder(packed, self.initial(z)[None])[0].data
        logits = F.linear(F.dropout(states, 0.3), self.embedding.weight)
        nll = F.cross_entropy(logits, targets, reduction="sum")
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum()
        return (nll + kl) / len(z)


def padded(batch: SentenceBatch, packed: Tensor) -> Tensor:
    """[B, L] from packed ids."""
    out = packed.new_full((batch.n_sentences, int(batch.lengths[0])), PAD)
    out[batch.rows, batch.positions] = packed
    return out


def plain_step(shape: TrainingShape, device: torch.device, precision: str) -> Callable[[], object]:
    """A step of plain PyTorch; bf16 is autocast of the forward pass."""
    torch.manual_seed(0)
    batch = make_batch(shape).to(device)
    inputs = (padded(batch, batch.inputs), padded(batch, batch.targets))
    model = PlainModel(shape).to(device)
    return torch_step(model, inputs, torch.optim.Adam(model.parameters(), lr=1e-3), precision)


def packed_step(shape: TrainingShape, device: torch.device, precision: str) -> Callable[[], object]:
    """A step of packed PyTorch; bf16 is autocast of the forward pass."""
    torch.manual_seed(0)
    batch = make_batch(shape).to(device)
    inputs = (batch.inputs, batch.targets, torch.as_tensor(batch.batch_sizes).cpu(), batch.rows)
    model = PackedModel(shape).to(device)
    return torch_step(model, inputs, torch.optim.Adam(model.parameters(), lr=1e-3, fused=True), precision)


def torch_step(
    model: nn.Module, inputs: tuple[Tensor, ...], optimiser: torch.optim.Optimizer, precision: str
) -> Callable[[], float]:
    """A function that does a step and tells the loss."""
    device = inputs[0].device

    def step() -> float:
        optimiser.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = model(*inputs)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimiser.step()
        return loss.item()

    return step


def package_step(shape: TrainingShape, device: torch.device, precision: str, backend: str) -> Callable[[], object]:
    """A step of this package (`svebm_ext.training.update.Update`), the batch given."""
    torch.manual_seed(0)
    config, batch = model_config(shape), make_batch(shape).to(device)
    model = build_networks(config.model, shape.vocabulary_size).to(device)
    share = Share(batch, torch.arange(shape.batch_size), 0)
    runtime = Runtime(device, bf16=precision == "bf16")
    update = Update(model, Optimisers(model, config.optimiser), config, runtime)
    done = iter(range(1 << 62))

    def step() -> object:
        with use_backend(backend):
            return update(share, None, 1.0, next(done))

    return step


Steps = dict[str, Callable[[TrainingShape, torch.device], Callable[[], object]]]

CPU_STEPS: Steps = {
    "plain PyTorch": partial(plain_step, precision="fp32"),
    "packed PyTorch": partial(packed_step, precision="fp32"),
    "packed PyTorch, bf16": partial(packed_step, precision="bf16"),
    "packed, reference ops": partial(package_step, precision="fp32", backend="reference"),
    "native": partial(package_step, precision="fp32", backend="native"),
    "native, bf16": partial(package_step, precision="bf16", backend="native"),
}

#: The package as it comes: recurrence by its kernel up to 128 sentences, by cuDNN beyond, the loss by torch operations
#: (in chunks where it is large), native random numbers.
CUDA_STEPS: Steps = {
    "plain PyTorch": partial(plain_step, precision="fp32"),
    "plain PyTorch, bf16": partial(plain_step, precision="bf16"),
    "this package": partial(package_step, precision="fp32", backend="auto"),
    "this package, bf16": partial(package_step, precision="bf16", backend="auto"),
}
