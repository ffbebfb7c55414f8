"""Tiny finished runs, one of each kind, whose last checkpoint is of an earlier iteration, to be damaged."""

import shutil
from dataclasses import replace
from pathlib import Path

from tiny_runs import document_config, stopped, tiny_config, write_corpus, write_documents

from svebm_ext.config import ChainConfig, Config, DataConfig, EvaluationConfig, PointModel, TrainingConfig
from svebm_ext.training import loop
from svebm_ext.training.points import train_points
from svebm_ext.training.run import train

#: Iterations of a base, and the iteration of its last checkpoint.
STEPS, SAVED = 12, 8


def point_config():
    return Config(
        preset="pinwheel",
        data=DataConfig(corpus="pinwheel"),
        model=PointModel(latent_dim=2, n_categories=5, prior_hidden=(16,), points_hidden=16),
        chains=ChainConfig(n_chains=40, n_steps=4),
        training=TrainingConfig(
            batch_size=8, max_steps=STEPS, checkpoint_every=4, validate_every=6, log_every=1, device="cpu"
        ),
        evaluation=EvaluationConfig(importance_samples=5, log_z_chains=32, log_z_temperatures=10),
    )


def configurations(folder: Path):
    """Configuration by name."""
    folder.mkdir(parents=True, exist_ok=True)
    labelled = write_corpus(folder, labelled=True)
    plain = write_corpus(folder)
    none = {"mutual_information": 0.0}
    return {
        "labels": tiny_config(
            labelled, model={"n_categories": 4}, objective={"label_weight": 1.0, "marginal_momentum": 0.5}
        ),
        "plateau": tiny_config(
            plain,
            model={"latent": "gaussian", "cell": "lstm", "tied": False},
            objective=none | {"bag_of_words": 0.5},
            optimiser={"schedule": "plateau"},
        ),
        "subwords": tiny_config(
            plain, data={"tokenization": "bpe", "vocabulary_size": 300}, chains={"mode": "short_run"}
        ),
        "documents": document_config(write_documents(folder)),
        "second": tiny_config(plain, training={"prior_stage": "second", "prior_steps": 3}),
        "points": point_config(),
    }


def run(config, out, *, resume=False):
    """What `train` does for a configuration."""
    if config.model.kind == "points":
        return train_points(config, out, resume=resume, evaluate=False)
    return train(config, out, resume=resume)


def make_bases(folder: Path):
    """Configuration and folder by name."""
    bases = {}
    for name, config in configurations(folder / "data").items():
        whole, part = folder / name, folder / f"{name}-part"
        run(config, whole)
        if config.training.prior_steps == 0:  # else what is taken up is the second stage
            stopped(lambda config=config, part=part: run(config, part), SAVED + 1)
            shutil.copyfile(part / loop.LAST, whole / loop.LAST)
            shutil.rmtree(part)
        bases[name] = (config, whole)
    return bases


def limited(config):
    """A configuration with no more work than a base has: that a large number is obeyed is no fault."""
    training, chains = config.training, config.chains
    return replace(
        config,
        training=replace(
            training,
            max_steps=min(training.max_steps, STEPS),
            prior_steps=min(training.prior_steps, 3),
            batch_size=min(training.batch_size, 64),
            labelled_batch_size=min(training.labelled_batch_size, 64),
        ),
        chains=replace(
            chains,
            n_steps=min(chains.n_steps, 20),
            n_chains=min(chains.n_chains, 10_000),
            per_iteration=min(chains.per_iteration, 1000),
        ),
    )
