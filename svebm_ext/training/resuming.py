"""What may change when a run is taken up again, and what belongs to what it has already learnt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from svebm_ext.config import Config
from svebm_ext.errors import ConfigError, ModelFolderError

#: Options that stay, by section: the networks, the examples, their order and the chains are made of them.
FIXED = {
    "data": (
        "corpus", "tokenization", "lowercase", "label", "n_labelled", "speaker_marks", "max_tokens", "vocabulary_size",
        "remove_stop_words", "seed",
    ),
    "chains": ("mode", "n_chains"),
    "training": ("batch_size", "labelled_batch_size", "prior_stage", "select"),
    "objective": ("pseudo_labels", "group_by"),
}  # fmt: skip
#: Weights that stay 0, or above 0: networks or labels belong to them.
SWITCHES = {"objective": ("label_weight", "pseudo_label_weight", "bag_of_words", "marginal_momentum", "regroup_at")}
#: Options that say where a run is made, not what it is, and are not worth a line.
PLACE = (
    "data.root", "data.train", "data.valid", "data.test", "data.labelled", "data.memory_map", "data.cache",
    "training.device",
)  # fmt: skip


def check_unchanged(before: Config, now: Config, out: Path) -> str | None:
    """Refuse options that contradict what a run has already learnt; tells those that have changed.

    Args:
        before: configuration of the run, from its folder.
        now: with which it is to go on, sizes that follow the corpus filled in.
        out: its folder.

    Returns:
        One line about the options that have changed; None where none has.

    Raises:
        ConfigError: names the option and both values.
        ModelFolderError: the same, of the networks, whose checkpoint is of others.
    """
    changed = []
    if now.seed != before.seed:
        raise ConfigError(_refusal("seed", before.seed, now.seed, out))
    for section, name, old, new in _differences(before, now):
        option = f"{section}.{name}".replace("_", "-")
        if _is_fixed(section, name) or (name in SWITCHES.get(section, ()) and 0 in (old, new)):
            kind = ModelFolderError if section == "model" else ConfigError
            raise kind(_refusal(option, old, new, out))
        if f"{section}.{name}" not in PLACE:
            changed.append(f"{option} {new} (before: {old})")
    return f"{out} goes on with {', '.join(changed)}" if changed else None


def check_tokenization(before: Config, now: Config, out: Path) -> None:
    """Refuse another way to cut texts into words than that of the run; to be asked before texts are read.

    Raises:
        ConfigError: names both.
    """
    if now.data.tokenization != before.data.tokenization:
        raise ConfigError(_refusal("data.tokenization", before.data.tokenization, now.data.tokenization, out))


def _is_fixed(section: str, name: str) -> bool:
    """Whether an option stays; of the networks only dropout may change, which is no part of them.

    So may the place of a frozen encoder, which is known by the hash of its weights.
    """
    of_networks = section == "model" and not name.endswith("_dropout") and name != "sentence_encoder"
    return name in FIXED.get(section, ()) or of_networks


def _differences(before: Config, now: Config) -> Iterator[tuple[str, str, object, object]]:
    """Section, option and both values of those that differ; kinds that differ have some options in common."""
    for section in fields(now):
        here, there = getattr(now, section.name), getattr(before, section.name)
        if section.name in ("preset", "seed"):
            continue
        for option in fields(here):
            old, new = getattr(there, option.name, None), getattr(here, option.name)
            if old != new and hasattr(there, option.name):
                yield section.name, option.name, old, new


def _refusal(option: str, old: object, new: object, out: Path) -> str:
    return (
        f"--{option}: {new} given, but the run in {out} has {old}, which belongs to what it has learnt; leave it, or "
        "start a new run with another --out"
    )
