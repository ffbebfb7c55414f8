"""What the run was and what the page was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from svebm_ext.config import asked_iterations
from svebm_ext.data.corpus import Corpus
from svebm_ext.exploration.content import Settings, SplitSize
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.svebm import SVEBM
from svebm_ext.provenance import source_version


def title_of(model: SVEBM, corpus: Corpus) -> str:
    """The file of texts of one's own, without its folder; else the preset, and the corpus where it is another one."""
    preset, train = model.config.preset, model.config.data.train
    if corpus.name == "lines" and train is not None:
        return Path(train).name
    return preset if preset == corpus.name else f"{preset} on {corpus.name}"


def shown_of(sizes: Sequence[SplitSize]) -> str:
    """How many sentences are shown, of how many, in words."""
    shown, total = sum(size.shown for size in sizes), sum(size.total for size in sizes)
    return f"{shown:,} of {total:,} sentences ({', '.join(f'{size.name} {size.shown:,}' for size in sizes)})"


def hash_of(model: SVEBM) -> str:
    """The first 16 digits of the SHA-256 of a model's parameters: symbols of another model mean something else."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.networks.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def facts(model: SVEBM, corpus: Corpus, sizes: Sequence[SplitSize], settings: Settings) -> list[tuple[str, str]]:
    """What the run was, and what this page was made from."""
    config, latent = model.config, model.networks.latent
    described = f"{config.model.latent}, D = {latent.latent_dim}"
    if isinstance(latent, EnergyLatent):
        described += f", K = {latent.n_categories}"
    if model.groups is not None:
        described += f" in {model.groups.n_groups} groups"
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return [
        ("preset", config.preset),
        ("corpus", corpus.name),
        ("latent family", described),
        ("vocabulary", f"{len(model.vocabulary):,} words"),
        ("parameters", f"{n_parameters:,}"),
        ("training", f"{asked_iterations(config)} of {config.training.batch_size}, seed {config.seed}"),
        ("looked at", f"{shown_of(sizes)}, seed {settings.seed}"),
        ("page made", f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, by {source_version()}"),
    ]
