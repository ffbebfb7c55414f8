"""Which label a run learns from, and its classes."""

from __future__ import annotations

import torch
from torch import Tensor

from svebm_ext.config import Config, options_of
from svebm_ext.data.corpus import Corpus, Split, label_classes
from svebm_ext.errors import ConfigError, alternatives


def class_ids(split: Split, label: str | None, classes: tuple[str, ...]) -> Tensor:
    """Classes of a split that is not learnt from; -1 also for one that the training split lacks."""
    ids = {name: i for i, name in enumerate(classes)}
    values = split.labels.get(label, []) if label is not None else []
    return torch.tensor([ids.get(value, -1) for value in values] or [-1] * len(split), dtype=torch.int64)


def training_label(corpus: Corpus, config: Config) -> tuple[str | None, tuple[str, ...]]:
    """Name of the label to learn from and the names of its classes; (None, ()) when learning is unsupervised.

    Raises:
        ConfigError: the corpus has no such label, one class of it, or more than the model has symbols.
    """
    if config.objective.label_weight == 0.0:
        return None, ()
    known = sorted(corpus.train.labels)
    name = config.data.label or (known[0] if known else None)
    if name is None and corpus.name == "lines":
        without = "documents" if options_of(config.model).is_bag else "lines"
        raise ConfigError(
            f"--data.labelled: missing; {config.data.train} has no labels, and preset {config.preset} learns from "
            "some. Give texts with labels in a file of their own (--data.labelled FILE), name their column "
            f"(--data.label-column), or take preset {without}, which needs none"
        )
    if name is None:
        raise ConfigError(
            f"objective.label-weight: {config.objective.label_weight} asks for labels to learn from, but corpus "
            f"{corpus.name} has none"
        )
    if name not in known:
        raise ConfigError(
            f"data.label: {name!r} is no label of corpus {corpus.name}; {alternatives(name, known, 'it has')}"
        )
    classes = tuple(label_classes([corpus.train], name))
    if len(classes) == 1:
        raise ConfigError(
            f"data.label: all labelled training texts have the {name} {classes[0]!r}; expected at least two classes to "
            "learn from, or objective.label-weight 0, which learns without labels"
        )
    if config.model.latent == "mixture":
        if len(classes) > config.model.n_classes:
            raise ConfigError(
                f"model.n-classes: {config.model.n_classes} components cannot hold the {len(classes)} classes of {name}"
            )
    elif len(classes) > config.model.n_categories > 0:
        raise ConfigError(
            f"model.n-categories: {config.model.n_categories} symbols cannot hold the {len(classes)} classes of {name}"
        )
    return name, classes
