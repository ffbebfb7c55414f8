"""Symbols, or classes, that words find first, to guide those of the energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.documents import DocumentSplit
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import DataError
from svebm_ext.kinds import EncodedTexts
from svebm_ext.models.features import MAX_SENTENCES as MOST_READ
from svebm_ext.models.features import WordFeatures, evenly_spread
from svebm_ext.models.grouping import check_number
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.prior.groups import SymbolGroups
from svebm_ext.terminal import counted
from svebm_ext.training.feeds import TextFeed
from svebm_ext.training.guides.bags import MAX_SENTENCES, Guide, bags_of_split
from svebm_ext.training.guides.labelled import MOST_UNLABELLED, find_classes
from svebm_ext.training.guides.number import choose_n_symbols
from svebm_ext.training.guides.unlabelled import find_symbols
from svebm_ext.training.guides.wording import is_conversation

#: Labelled sentences that classes are found from, at most.
MAX_LABELLED = 50_000
#: Guesses of all training sentences that are held in memory: as many numbers at most.
MOST_GUESSES = 1 << 26


@dataclass(frozen=True)
class LearntFeatures:
    """What the words of the training text tell before a run: features, number of symbols, and their guide if any."""

    features: WordFeatures
    n_categories: int
    guide: Guide | None

    def copy_to(self, networks: LatentVariableModel) -> None:
        """Put features and guide into networks that are built for them."""
        networks.word_features.load_state_dict(self.features.state_dict())
        if self.guide is not None and networks.guide is not None:
            self.guide.copy_to(networks.guide)
            if self.guide.groups is not None:
                networks.energy_latent.groups = SymbolGroups(self.guide.groups)


def is_guided(config: Config) -> bool:
    """Whether words guide the symbols of a run."""
    return config.objective.pseudo_labels == "words" and config.objective.pseudo_label_weight > 0


def learn_features(
    feed: TextFeed,
    vocabulary: Vocabulary,
    config: Config,
    say: Callable[[str], None],
    known: WordFeatures | None = None,
) -> LearntFeatures:
    """Features of words of the training text, the number of symbols where it is left open, and their guide.

    They are found without labels from the held-out sentences as well: these are few and costly to do without.

    Args:
        feed: training sentences and labels, and held-out sentences.
        vocabulary: of the run.
        config: whether there is a guide, K (0: chosen), seed.
        say: receives a line.
        known: features of the run that this one begins with, which are taken as they are.

    Raises:
        DataError: more symbols than sentences.
    """
    train, valid = feed.train, replace(feed.valid, labels=torch.full_like(feed.valid.labels, -1))
    features = WordFeatures(len(vocabulary), config.model.pretrained_dim) if known is None else known
    if known is None:
        rows = evenly_spread(len(train) + len(valid), MOST_READ)
        features.fit(_of_both(train, valid, rows), seed=config.seed)
    n_symbols = config.model.n_categories
    if not is_guided(config):
        return LearntFeatures(features, n_symbols, None)
    if n_symbols > len(feed.train):
        raise DataError(
            f"model.n-categories: {counted(n_symbols, 'symbol')} for {counted(len(feed.train), 'training sentence')}; "
            "expected at most one for each"
        )
    n_unlabelled = MOST_UNLABELLED if config.objective.label_weight > 0 else MAX_SENTENCES
    part = _of_both(train, valid, _looked_at(torch.cat((train.labels, valid.labels)), n_unlabelled))
    bags = bags_of_split(part, features)
    if config.objective.label_weight > 0:
        guide = find_classes(bags, part.labels.numpy(), len(feed.label_names), seed=config.seed, say=say)
    else:
        n_symbols = n_symbols or choose_n_symbols(bags, seed=config.seed, say=say)
        group_by = config.objective.group_by
        if group_by == "auto" and not (isinstance(part, EncodedSplit) and is_conversation(part, vocabulary)):
            group_by = "topics"
        n_groups = config.model.n_groups
        check_number(n_groups, n_symbols)
        guide = find_symbols(bags, n_symbols, seed=config.seed, group_by=group_by, n_groups=n_groups, say=say)
    return LearntFeatures(features, n_symbols, guide)


def guide_by_all_labels(
    networks: LatentVariableModel, feed: TextFeed, config: Config, say: Callable[[str], None]
) -> None:
    """Find the classes once more when the model has been chosen, from the held-out labels as well, if there are any.

    Args:
        networks: their guide is replaced.
        feed: training and held-out sentences with their labels.
        config: of the run.
        say: receives a line.
    """
    held_out = bool((feed.valid.labels >= 0).any()) and config.data.n_labelled == 0
    if not is_guided(config) or config.objective.label_weight == 0 or not held_out:
        return
    assert networks.guide is not None
    labels = torch.cat((feed.train.labels, feed.valid.labels))
    part = _of_both(feed.train, feed.valid, _looked_at(labels, MOST_UNLABELLED))
    say("classes by words, once more with the held-out labels")
    bags = bags_of_split(part, networks.word_features)
    find_classes(bags, part.labels.numpy(), len(feed.label_names), seed=config.seed, say=say).copy_to(networks.guide)


def _of_both(train: EncodedTexts, valid: EncodedTexts, rows: Tensor) -> EncodedTexts:
    """The texts `rows`, ascending, of a training split followed by the held-out one, which are of the same kind."""
    if isinstance(train, DocumentSplit):
        assert isinstance(valid, DocumentSplit)
        return train.part_of_both(valid, rows)
    assert isinstance(valid, EncodedSplit)
    return train.part_of_both(valid, rows)


def _looked_at(labels: Tensor, n_unlabelled: int) -> Tensor:
    """Sentences that guides are found from, evenly spread: at most MAX_LABELLED with a label, `n_unlabelled` others."""
    known, others = (labels >= 0).nonzero()[:, 0], (labels < 0).nonzero()[:, 0]
    parts = [rows[evenly_spread(len(rows), most)] for rows, most in ((known, MAX_LABELLED), (others, n_unlabelled))]
    return torch.cat(parts).sort().values


def guide_symbols(networks: LatentVariableModel, feed: TextFeed) -> None:
    """Give a feed the guide's answers for its training sentences, read off the networks, which keep it.

    Where these would be more than MOST_GUESSES numbers, they are computed for each batch as it comes.
    """
    assert networks.guide is not None
    guesses = BatchGuesses(networks.word_features, Guide.of(networks.guide), feed.train)
    n = len(feed.train)
    feed.guesses = guesses if n * len(guesses.guide.bias) > MOST_GUESSES else guesses[torch.arange(n)]


@dataclass(frozen=True)
class BatchGuesses:
    """Guesses [N, K] of the symbols of a split, computed for the rows that are asked for.

    Args:
        features: of words.
        guide: that tells.
        split: of N sentences.
    """

    features: WordFeatures
    guide: Guide
    split: EncodedTexts

    def __getitem__(self, rows: Int64[Tensor, "B"]) -> Float[Tensor, "B K"]:
        guesses = [torch.zeros(0, len(self.guide.bias))]
        for some in rows.split(MAX_SENTENCES):  # features of all at once would fill the memory
            part = self.split.part(some)
            guesses.append(self.guide.guesses(bags_of_split(part, self.features), part.labels, len(self.guide.bias)))
        return torch.cat(guesses)
