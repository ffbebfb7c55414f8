"""What learning from labels, or from what guides symbols, takes of the options."""

from __future__ import annotations

from svebm_ext.config.kinds import KindOptions
from svebm_ext.config.options import Config
from svebm_ext.errors import ConfigError


def check_labels(config: Config, kind: KindOptions) -> None:
    """Refuse combinations of options of labels and classes (ConfigError)."""
    model, objective = config.model, config.objective
    check_guide(config, kind)
    for section, name in (("training", "labelled_batch_size"), ("data", "n_labelled"), ("data", "labelled")):
        if getattr(getattr(config, section), name) and objective.label_weight == 0:
            option = f"{section}.{name.replace('_', '-')}"
            raise ConfigError(f"{option}: needs labels to learn from (objective.label-weight)")
    apart = config.training.labelled_batch_size > 0 and not objective.labelled_bound
    if model.latent == "mixture" and apart:
        raise ConfigError("objective.labelled-bound: a mixture learns labels from sentences of the bound; leave it on")
    if objective.label_at == "sample":
        if model.latent != "energy" or max(objective.label_weight, objective.pseudo_label_weight) == 0:
            raise ConfigError(
                "objective.label-at: sample needs the energy latent family, and objective.label-weight or "
                "pseudo-label-weight"
            )
        if apart:
            raise ConfigError(
                "objective.label-at: sample needs labelled examples in the bound; leave labelled-bound on"
            )
    if config.training.select == "accuracy" and objective.label_weight == 0:
        raise ConfigError("training.select: accuracy needs labels to learn from (objective.label-weight)")


def check_guide(config: Config, kind: KindOptions) -> None:
    """Refuse what cannot guide classes or symbols (ConfigError)."""
    model, objective = config.model, config.objective
    by_words = objective.pseudo_labels == "words"
    if objective.group_by != "auto" and not (by_words and objective.pseudo_label_weight > 0):
        raise ConfigError(
            f"objective.group-by: {objective.group_by} given, but words find no symbols here (objective.pseudo-labels "
            "words, objective.pseudo-label-weight above 0); expected auto"
        )
    if objective.group_by == "wording" and kind.is_bag:
        raise ConfigError("objective.group-by: wording given, but a bag of words has no order; expected topics or auto")
    if objective.group_by != "auto" and objective.label_weight > 0:
        raise ConfigError(
            f"objective.group-by: {objective.group_by} given, but symbols are the classes of the labels "
            "(objective.label-weight above 0); expected auto"
        )
    if objective.pseudo_label_weight == 0:
        return
    if by_words and not (model.has_word_features and model.latent == "energy"):
        raise ConfigError(
            "objective.pseudo-labels: words needs sentences or bags of words (model.encoder bow), the energy latent "
            "family and model.sentence-features words"
        )
    if not by_words and not (kind.is_bag and objective.label_weight > 0):
        raise ConfigError(
            f"objective.pseudo-label-weight: pseudo-labels {objective.pseudo_labels} need bags of words and labels to "
            "learn from (objective.label-weight); sentences take words"
        )
