"""-log p(x) of texts, by importance sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.texts import Texts
from svebm_ext.errors import ConfigError
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.likelihood import importance_weighted_log_likelihood
from svebm_ext.ops.arguments import Arguments

if TYPE_CHECKING:
    from svebm_ext.models.svebm import SVEBM

CALLS = Arguments("model")


@torch.no_grad()
def nll_of_texts(
    model: SVEBM, texts: Texts, *, n_samples: int, log_z: float | None, proposal_scale: float, seed: int, first: int
) -> Float[Tensor, "B"]:
    """As `SVEBM.nll`, for a model; arguments and errors are those."""
    of_batch = nll_of_batches(model, n_samples=n_samples, log_z=log_z, proposal_scale=proposal_scale, seed=seed)
    nll = model.of_each(texts, of_batch, CALLS.integer("first", first, 0, 1 << 40))
    return torch.empty(0, dtype=torch.float64, device=model.device) if nll is None else nll


def nll_of_batches(
    model: SVEBM, *, n_samples: int, log_z: float | None, proposal_scale: float, seed: int = 0
) -> Callable[[SentenceBatch | DocumentBatch], Float[Tensor, "B"]]:
    """Gives -log p(x) of a batch's rows, whose indices address the noise; arguments and errors as `SVEBM.nll`."""
    if not model.networks.latent.has_prior:
        raise ConfigError("nll: an autoencoder has no likelihood")
    if log_z is None:
        if isinstance(model.networks.latent, EnergyLatent):
            raise ConfigError("nll: the energy family needs log_z (log_z_upper in the model's metrics.json)")
        log_z = 0.0
    n_samples, seed = CALLS.integer("n_samples", n_samples, 1), CALLS.integer("seed", seed, 0, (1 << 64) - 1)
    log_z = CALLS.number("log_z", log_z)
    proposal_scale = CALLS.number("proposal_scale", proposal_scale, 0.0, above=True)

    def of_batch(batch: SentenceBatch | DocumentBatch) -> Tensor:
        weights = importance_samples(model.networks, batch, n_samples, seed=seed, proposal_scale=proposal_scale)
        return -importance_weighted_log_likelihood(
            weights.log_likelihood, weights.log_prior, weights.log_posterior, log_z
        ).double()

    return of_batch


def annealed_log_z(model: SVEBM) -> float:
    """Log normaliser of a model's prior, the upper end of an annealing; 0 for families without an energy."""
    from svebm_ext.prior.annealing import estimate_log_z

    latent, evaluation = model.networks.latent, model.config.evaluation
    if not isinstance(latent, EnergyLatent):
        return 0.0
    return estimate_log_z(
        latent.prior, latent.latent_dim, n_chains=evaluation.log_z_chains,
        n_temperatures=evaluation.log_z_temperatures, seed=0,
    ).upper  # fmt: skip
