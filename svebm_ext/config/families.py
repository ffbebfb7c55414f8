"""What the latent families and their prior take of the options."""

from __future__ import annotations

from svebm_ext.config.kinds import KindOptions
from svebm_ext.config.options import Config
from svebm_ext.errors import ConfigError

#: Numbers of all chains together.
LARGEST_BANK = 100_000_000


def check_family(config: Config) -> None:
    """Refuse options that the latent family does not take (ConfigError)."""
    model, objective = config.model, config.objective
    if model.latent != "energy":
        one_mixture = model.latent == "mixture" and model.n_variables == 1
        for name in ("mutual_information", "label_weight", "energy_penalty"):
            if getattr(objective, name) > 0 and not (one_mixture and name == "label_weight"):
                raise ConfigError(f"objective.{name}: the {model.latent} latent family has no symbols; it must be 0")
    if model.latent == "mixture" and model.latent_dim % model.n_variables:
        raise ConfigError(
            f"model.latent-dim: {model.latent_dim} is no multiple of the {model.n_variables} mixtures "
            "(model.n-variables)"
        )
    proposal_scale = config.evaluation.proposal_scale
    if proposal_scale not in (0, 1) and model.latent in ("categorical", "deterministic", "none"):
        raise ConfigError(
            f"evaluation.proposal-scale: {proposal_scale} given; the {model.latent} latent family has no Gaussian "
            "vector that could be widened; expected 0 or 1"
        )


def check_stages(config: Config, kind: KindOptions) -> None:
    """Refuse what cannot happen to the prior once in a run, or after it (ConfigError)."""
    model, objective, training = config.model, config.objective, config.training
    if training.prior_steps > 0 and not (kind.has_second_stage and model.latent == "energy"):
        raise ConfigError("training.prior-steps: needs sentences and an energy-based prior (model.kind, model.latent)")
    guided = objective.pseudo_label_weight > 0 and objective.pseudo_labels == "words"
    if training.prior_steps > 0 and objective.label_weight > 0 and not guided:
        raise ConfigError(
            "training.prior-steps: the prior alone would forget labels (objective.label-weight); set it to 0"
        )
    if training.prior_stage == "second" and training.prior_steps == 0:
        raise ConfigError("training.prior-stage: second given, but no iterations for it; set training.prior-steps")
    if training.prior_stage == "second" and objective.regroup_at > 0:
        raise ConfigError(
            "objective.regroup-at: no symbols before the second stage (training.prior-stage); set it to 0"
        )
    if objective.regroup_at > 0 and not (kind.can_regroup and model.latent == "energy"):
        raise ConfigError(
            "objective.regroup-at: needs sentences or dialogs, and symbols (model.kind, model.latent energy)"
        )
    if objective.regroup_at > 0 and objective.label_weight > 0:
        raise ConfigError("objective.regroup-at: symbols are classes where labels are learnt; set it to 0")


def check_chains(config: Config, kind: KindOptions) -> None:
    """Refuse chains that a run cannot have (ConfigError)."""
    chains, training = config.chains, config.training
    if chains.per_iteration < 0:
        raise ConfigError(f"chains.per-iteration: {chains.per_iteration} given, expected at least 0")
    if chains.restart_from == "posterior" and (chains.mode == "short_run" or not kind.picks_chains):
        what = "short-run chains have" if chains.mode == "short_run" else "a dialog's own chain has"
        raise ConfigError(f"chains.restart-from: posterior given; {what} no part in it, expected reference")
    if chains.metropolis and chains.mode == "short_run":
        raise ConfigError(
            "chains.metropolis: given for short runs, whose step size is fixed; expected persistent chains, or "
            "--chains.no-metropolis"
        )
    if chains.metropolis and chains.final_step_size > 0:
        raise ConfigError(
            f"chains.final-step-size: {chains.final_step_size} given, but the sizes of chains.metropolis follow their "
            "acceptance; expected 0"
        )
    if chains.n_chains * config.model.latent_dim > LARGEST_BANK:
        raise ConfigError(
            f"chains.n-chains: {chains.n_chains:,} chains of {config.model.latent_dim:,} numbers (model.latent-dim) "
            f"given, expected at most {LARGEST_BANK:,} numbers"
        )
    batch = training.batch_size + (training.labelled_batch_size if config.objective.labelled_bound else 0)
    picked = chains.per_iteration or batch
    if kind.picks_chains and chains.mode == "persistent" and chains.n_chains < picked:
        raise ConfigError(
            f"chains.n-chains: {chains.n_chains} chains are fewer than the {picked} that are picked from them "
            "without replacement at each iteration (chains.per-iteration, or the batch)"
        )
