"""A run that begins with the networks of another one: its words, encoder and generator; prior and classes are new."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import torch

from svebm_ext.config import Config
from svebm_ext.data.corpus import Corpus
from svebm_ext.errors import ConfigError
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.svebm import SVEBM

#: Options of data that belong to what networks have learnt.
DATA = ("tokenization", "lowercase", "max_tokens", "vocabulary_size")
#: Options of networks that may differ: of the prior, which is made anew, and those that are no part of the networks.
FREE = (
    "n_categories",
    "n_groups",
    "prior_hidden",
    "prior_activation",
    "prior_scale",
    "init_range",
    "gumbel_temperature",
)
#: Parts of the networks that are made anew.
NEW = ("latent.prior.", "guide.")


def with_networks_of(config: Config, before: Config, run: Path) -> Config:
    """The configuration of texts of one's own, with words and networks as those of a run.

    Args:
        config: whose number of symbols, objective and training stay.
        before: configuration of the run.
        run: its folder, for messages.

    Raises:
        ConfigError: one of them is no energy-based model of sentences, or the texts are none of one's own.
    """
    if config.data.corpus != "lines":
        raise ConfigError(f"--from-run: given for the corpus {config.data.corpus}, expected text of your own (lines)")
    if (before.model.kind, before.model.latent) != (config.model.kind, config.model.latent):
        raise ConfigError(
            f"--from-run: {run} is a model of {before.model.kind} with the {before.model.latent} latent family, "
            f"expected one of {config.model.kind} with the {config.model.latent} latent family"
        )
    if config.objective.pseudo_labels == "words" and not before.model.has_word_features:
        raise ConfigError(
            f"--from-run: {run} has no features of words (model.sentence-features), expected a run of preset lines, "
            "lines-labelled or assistant"
        )
    data = replace(config.data, **{name: getattr(before.data, name) for name in DATA})
    model = replace(before.model, n_categories=config.model.n_categories, n_groups=config.model.n_groups)
    return replace(config, model=model, data=data)


def check_networks_of(config: Config, before: Config, run: Path) -> None:
    """Refuse options by which networks would be others than those of the run.

    Raises:
        ConfigError: names the option and both values.
    """
    for section, names in (("data", DATA), ("model", [f.name for f in fields(config.model)])):
        for name in names:
            old, new = getattr(getattr(before, section), name), getattr(getattr(config, section), name)
            if old != new and name not in FREE and not name.endswith("_dropout"):
                option = f"{section}.{name}".replace("_", "-")
                raise ConfigError(f"--{option}: {new} given with --from-run, but the networks of {run} have {old}")


@torch.no_grad()
def take_over(networks: LatentVariableModel, start: SVEBM) -> int:
    """Put the parameters of a run into networks, except those of prior and guide.

    Returns:
        Numbers that were taken over.

    Raises:
        ConfigError: a part has another shape.
    """
    taken = {name: value for name, value in start.networks.state_dict().items() if not name.startswith(NEW)}
    own = networks.state_dict()
    for name, value in taken.items():
        if name in own and own[name].shape != value.shape:
            raise ConfigError(
                f"--from-run: {name} is {tuple(value.shape)} there, expected {tuple(own[name].shape)} of this run"
            )
    taken = {name: value for name, value in taken.items() if name in own}
    networks.load_state_dict(own | taken)
    return sum(value.numel() for value in taken.values())


def with_note(corpus: Corpus, run: Path) -> Corpus:
    """The corpus with a remark that held-out texts may not be new to the networks."""
    note = (
        f"networks begin with those of {run}, which may have learnt from texts held out here; their labels are "
        "new, likelihoods and generation are measured too well"
    )
    return replace(corpus, notes=(*corpus.notes, note))
