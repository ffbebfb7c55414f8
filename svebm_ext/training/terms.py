"""The terms of an iteration's loss, each of which a configuration may ask for or not."""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.data.batching import SentenceBatch
from svebm_ext.latents.base import Latent
from svebm_ext.latents.energy import EnergyLatent, EnergyPosterior
from svebm_ext.models.latent_variable import Forward, LatentVariableModel
from svebm_ext.objectives.elbo import Averager, LossTerms, collect_terms
from svebm_ext.prior.groups import log_groups_of
from svebm_ext.prior.symbols import energy_of, log_symbols_of
from svebm_ext.training.feeds import Share


def learns_energy(latent: Latent, config: Config) -> TypeGuard[EnergyLatent]:
    """Whether the energy of the prior is learnt together with the networks."""
    return isinstance(latent, EnergyLatent) and config.training.prior_stage == "joint"


def learns_symbols(latent: Latent, config: Config) -> bool:
    """Whether f, the network of the symbols, is learnt together with the others, be it from labels or guesses alone."""
    objective = config.objective
    guided = objective.label_weight > 0 or objective.pseudo_label_weight > 0
    return learns_energy(latent, config) or (isinstance(latent, EnergyLatent) and guided)


def terms_of(
    model: LatentVariableModel,
    forward: Forward,
    share: Share,
    z_negative: Tensor | None,
    config: Config,
    average: Averager,
    running_marginal: Tensor | None,
) -> LossTerms:
    """Averaged terms, the prior's network evaluated with its present parameters."""
    objective, posterior, z = config.objective, forward.posterior, forward.z
    joint = learns_energy(model.latent, config)
    divergence = posterior.terms(z) if joint else posterior.reference_terms(z)
    negative = label_logits = labels = guess_logits = None
    if objective.bag_of_words > 0.0 and model.bag_of_words is not None:
        assert isinstance(share.batch, SentenceBatch)
        divergence["bag_of_words"] = model.bag_of_words_nll(share.batch, z)
    if isinstance(posterior, EnergyPosterior):
        if joint and not objective.mutual_information_encoder:
            divergence["log_symbol"] = log_symbols_of(posterior.logits(z.detach()))
        groups = model.energy_latent.groups
        if joint and groups is not None and objective.group_information > 0.0:
            divergence["log_group"] = log_groups_of(divergence["log_symbol"], groups)
        if z_negative is not None:
            negative = energy_of(posterior.logits(z_negative))
        classified = z if objective.label_at == "sample" else posterior.mean
        if objective.label_weight > 0.0:
            known, labels = classified, share.batch.labels
            if share.labelled is not None and forward.labelled_mean is not None:
                known, labels = forward.labelled_mean, share.labelled.labels
            label_logits = posterior.logits(known if objective.label_encoder else known.detach())
        if share.guesses is not None:
            guess_logits = posterior.logits(classified)
    elif objective.label_weight > 0.0:  # one mixture, whose component is the class: Kingma et al. 2014, with q(c|x)
        label_logits, labels = divergence["log_categories"][:, 0], share.batch.labels
    return collect_terms(
        forward.nll,
        divergence,
        objective,
        average,
        energy_negative=negative,
        n_negatives=config.chains.per_iteration or share.n_total,
        label_logits=label_logits,
        labels=labels,
        n_labelled=share.n_labelled,
        guess_logits=guess_logits,
        guesses=share.guesses,
        n_guessed=share.n_guessed,
        running_marginal=running_marginal,
    )
