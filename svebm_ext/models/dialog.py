"""Responses in dialogs: everything given a context c, the turns before the response (Tables 3-5).

p(y, z, x|c) = p(y, z|c) p(x|z, c), q(z|x, c): the prior's network has [z, c] as its input, c without gradient; the
decoder receives a linear map of c beside z at every step. Latent families other than the energy-based one keep their
prior, and are given the context through encoder and decoder alone.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.data.dialogs import DialogBatch
from svebm_ext.latents.base import Latent
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.models.decoders import Decoder
from svebm_ext.models.encoders import RECURRENT, Encoder, RecurrentEncoder, run_recurrent
from svebm_ext.models.latent_variable import Batch, Forward, LatentVariableModel
from svebm_ext.randomness import Draw


class ContextEncoder(nn.Module):
    """The turns of a context to c: a bidirectional network with attention over the words of each, one over the turns.

    Args:
        vocabulary_size: V.
        hidden: size of word embeddings and of each direction of the network over words.
        context_dim: C, size of the network over turns.
        cell: "gru" or "lstm".
    """

    def __init__(self, vocabulary_size: int, hidden: int, context_dim: int, cell: str = "gru") -> None:
        super().__init__()
        self.turns = RecurrentEncoder(vocabulary_size, hidden, hidden, cell, "attention")
        self.recurrent = RECURRENT[cell](self.turns.feature_dim, context_dim)

    def forward(self, batch: DialogBatch) -> Float[Tensor, "B C"]:
        """c of each row: the state after the last turn before the response."""
        turns = self.turns(batch.context)[batch.turns]
        _, final = run_recurrent(self.recurrent, turns, batch.turn_sizes, None)
        return final[0][batch.places]


class DialogEncoder(Encoder):
    """Features of q(z|x, c): response and context merged, then c itself.

    Args:
        response: encoder of the response.
        context: encoder of the context.
        response_dim: size of the response's features.
        context_dim: C; the merged features have this size too.
    """

    def __init__(self, response: nn.Module, context: nn.Module, response_dim: int, context_dim: int) -> None:
        super().__init__()
        self.response, self.context = response, context
        self.merge = nn.Linear(response_dim + context_dim, context_dim)
        self.feature_dim = 2 * context_dim

    def forward(self, batch: DialogBatch, draw: Draw | None = None) -> Float[Tensor, "B F"]:
        """Merged features of response and context, and c [B, C] after them."""
        context = self.context(batch)
        merged = torch.relu(self.merge(torch.cat((self.response(batch, draw), context), dim=-1)))
        return torch.cat((merged, context), dim=-1)


class DialogNetworks(LatentVariableModel):
    """q(z|x, c), p(z|c) and p(x|z, c).

    Args:
        encoder: batch to features whose last C are c.
        latent: latent family.
        decoder: takes z and the linear map of c, beside each other, for its latent vector.
        context_map: C -> size of that map.
        bag_of_words: as in `LatentVariableModel`.
    """

    encoder: DialogEncoder

    def __init__(
        self,
        encoder: DialogEncoder,
        latent: Latent,
        decoder: Decoder,
        context_map: nn.Linear,
        bag_of_words: nn.Linear | None = None,
    ) -> None:
        super().__init__(encoder, latent, decoder, bag_of_words)
        self.context_map = context_map

    def decoder_input(self, z: Float[Tensor, "B D"], context: Float[Tensor, "B C"]) -> Float[Tensor, "B D_plus_M"]:
        """What the decoder receives at every step: z and the linear map of c."""
        mapped = self.context_map(context)
        return torch.cat((z.to(mapped.dtype), mapped), dim=-1)

    def forward(self, batch: DialogBatch, draw: Draw, *, dropout: bool = True) -> Forward:  # type: ignore[override]
        """Sample z from q(z|x, c) and compute -log p(x|z, c); arguments as in `LatentVariableModel`."""
        masks = draw if dropout else None
        features = self.encoder(batch, masks)
        posterior = self.latent.posterior(features)
        z = posterior.rsample(draw, batch.indices)
        context = features[:, features.shape[1] - self.context_map.in_features :]
        return Forward(self.decoder.nll(batch, self.decoder_input(z, context), masks), posterior, z)

    def nll(self, batch: Batch, z: Float[Tensor, "B D"], draw: Draw | None = None) -> Float[Tensor, "B"]:
        """-log p(x|z, c) in nats; dropout only where a draw is given."""
        return self.decoder.nll(batch, self.decoder_input(z, self.encoder.context(batch)), draw)

    def decode(self, batch: Batch, z: Float[Tensor, "B D"], **options: object) -> list[list[int]]:
        """Responses of each z to the contexts of the batch; options are those of the decoder."""
        return self.decoder.decode(self.decoder_input(z, self.encoder.context(batch)), **options)

    def sample_prior(self, batch: Batch, *, seed: int, symbol: int | None = None) -> Float[Tensor, "B D"]:
        """A z of p(z|c) for each row of the batch, or of p(z|y = symbol, c).

        Raises:
            ConfigError: a symbol out of range, or of a family that has none.
        """
        if isinstance(self.latent, ConditionalEnergyLatent):
            return self.latent.sample_given(self.encoder.context(batch), seed=seed, symbol=symbol)
        if symbol is None:
            return self.latent.sample_reference(len(batch.indices), seed=seed)
        return super().sample_prior(batch, seed=seed, symbol=symbol)
