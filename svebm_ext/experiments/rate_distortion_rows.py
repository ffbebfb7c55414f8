"""Rows of `rate-distortion`: two kinds of networks at five weights w, and how the priors on their z are measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from svebm_ext.config import Changes, Config, with_changes
from svebm_ext.experiments.rows import Budget, Row, Run
from svebm_ext.experiments.table1 import EPOCHS, N_TRAIN, sized
from svebm_ext.files import JsonObject, read_json
from svebm_ext.presets import preset

#: Final weights w, in the order in which rows are made: some of both ends first.
WEIGHTS = ("0.5", "0.25", "0.05", "1", "0.1")
VAE, DGM = "vae", "dgm-vae-i"
GAUSSIAN, MIXTURE, ENERGY, ENERGY_IB = "vae-gaussian", "vae-gmm", "svebm", "svebm-ib"
#: What stands in the place of p(z), by the networks that give z.
FAMILIES = {VAE: (VAE, GAUSSIAN, MIXTURE, ENERGY, ENERGY_IB), DGM: (DGM,)}
#: lambda of the energies; `fit_prior` takes half of it, as in a second stage (`prior.second_stage.INFORMATION`).
INFORMATION = {ENERGY: 0.0, ENERGY_IB: 5.0}
PRIORS = "priors.json"
#: Units of embedding, encoder and decoder, and sentences of a batch, at budget cpu.
CPU_UNITS, CPU_BATCH = 256, 60


@dataclass(frozen=True)
class PriorSettings:
    """How priors are learnt on frozen z, and measured.

    Attributes:
        steps: iterations of an energy.
        components: numbers of Gaussians that the mixture is chosen from.
        sentences: of the training split, at most, whose z priors are fitted to.
        importance_samples, max_sentences: of NLL and rate, as in metrics.json.
        annealed_sentences, annealed_chains, annealed_temperatures: of the annealed NLL.
        samples: for wKL and rPPL.
        language_model: of rPPL.
        seed: of z, EM, energies and all estimates.
    """

    steps: int = 3000
    components: tuple[int, ...] = (10, 20, 30, 50)
    sentences: int = 50_000
    importance_samples: int = 50
    max_sentences: int = 500
    annealed_sentences: int = 64
    annealed_chains: int = 4
    annealed_temperatures: int = 40
    samples: int = 10_000
    language_model: Literal["none", "fast"] = "fast"
    seed: int = 0


SETTINGS: dict[Budget, PriorSettings] = {
    "smoke": PriorSettings(20, (2, 3), 500, 5, 40, 6, 2, 5, 200, "none"),
    "cpu": PriorSettings(),
    "long": PriorSettings(annealed_sentences=256, annealed_chains=8, annealed_temperatures=100, samples=40_000),
}


def row_name(family: str, weight: str) -> str:
    """Name of a row of networks, or of a prior on them."""
    return f"{family}-w-{weight}"


#: Rows in the order in which they are made, and the networks and weight of each.
ROWS = {row_name(networks, weight): (networks, weight) for networks in FAMILIES for weight in WEIGHTS}


def make_row(name: str, budget: Budget) -> Row:
    """Networks of Table 1 with another final w; all have the same sizes, iterations and schedules."""
    networks, weight = ROWS[name]
    config = sized(preset(f"ptb-{networks}"), budget)
    settings = SETTINGS[budget]
    changes: Changes = {
        "objective": {"kl_weight": float(weight)},
        "evaluation": {
            "importance_samples": settings.importance_samples,
            "max_sentences": settings.max_sentences,
            "frequency_samples": min(1000, settings.samples),  # priors.json has the measures of more
            "language_model": "none",
        },
    }
    config = replace(with_changes(config, changes), preset=f"ptb-{name}")
    return Row(name, _of_few_units(config) if budget == "cpu" else config)


def _of_few_units(config: Config) -> Config:
    """Budget cpu: networks of half the width, as many epochs in fewer iterations."""
    epoch = math.ceil(N_TRAIN / CPU_BATCH)
    sizes = dict.fromkeys(("embedding_dim", "encoder_hidden", "decoder_hidden"), CPU_UNITS)
    training = {"batch_size": CPU_BATCH, "max_steps": EPOCHS["cpu"] * epoch, "validate_every": epoch, "sample_every": 0}
    return with_changes(config, {"model": sizes, "training": training})


def plain(settings: PriorSettings) -> JsonObject:
    """Settings as priors.json has them."""
    return asdict(settings) | {"components": list(settings.components)}


def kept_priors(folder: Path, settings: PriorSettings) -> dict[str, JsonObject]:
    """Measures by family of a run's priors.json, as far as they are of these settings."""
    if not (folder / PRIORS).exists():
        return {}
    document: JsonObject = read_json(folder / PRIORS)
    return document["priors"] if document["settings"] == plain(settings) else {}


def families_of(run: Run) -> tuple[str, ...]:
    """What stands in the place of p(z) on the networks of a run."""
    return FAMILIES[ROWS[run.row.name][0]]
