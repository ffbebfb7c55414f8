"""Two processes that share each batch learn what one process learns, within rounding."""

import json

import pytest
import torch
from tiny_runs import document_config, tiny_config, write_corpus, write_dialogs, write_documents
from together import TRAINING, together

from svebm_ext.config import Config, to_dict, with_changes
from svebm_ext.models.tensor_files import read_tensors
from svebm_ext.presets import preset
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.points import train_points
from svebm_ext.training.run import train


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
def test_a_parameter_without_a_gradient_anywhere_stays_without(tmp_path):
    """With one on some process it is the sum; zeros everywhere would let Adam's moments move the parameter."""
    program = """
import sys, torch
from svebm_ext.training.runtime import Runtime
runtime = Runtime.start("cpu")
a, b, c, frozen = (torch.nn.Parameter(torch.zeros(n)) for n in (2, 3, 1, 4))
frozen.requires_grad_(False)
a.grad = torch.tensor([1.0, 2.0]) * (runtime.rank + 1)
if runtime.rank == 1:
    c.grad = torch.tensor([5.0])
numbers = runtime.reduce_gradients([a, b, c, frozen], torch.tensor([0.5, float(runtime.rank)]))
assert numbers.tolist() == [1.0, 1.0]
assert a.grad.tolist() == [3.0, 6.0] and c.grad.tolist() == [5.0], (a.grad, c.grad)
assert b.grad is None and frozen.grad is None
assert len(runtime.reduce_gradients([frozen])) == 0
assert runtime.reduce_gradients([], torch.tensor([2.0])).tolist() == [4.0]
runtime.stop()
"""
    together(["-c", program], 2)


def sentences(folder, **changes):
    labelled = changes.get("objective", {}).get("label_weight", 0) > 0
    return tiny_config(write_corpus(folder, labelled=labelled), **changes)


def dialogs(folder, **changes):
    write_dialogs(folder)
    model = {"kind": "dialogs", "context_hidden": 8, "context_dim": 12, "context_map": 4} | changes.pop("model", {})
    data = {"corpus": "smd", "root": folder, "train": None}
    return tiny_config(None, model=model, data=data, evaluation={"response_samples": 3}, **changes)


def documents(folder, **changes):
    """Three layers of batch normalisation, dropout, and a labelled batch beside each other one."""
    model = changes.pop("model", {})
    if model.get("encoder") != "gru":
        model = model | {"document_layers": 3, "document_dropout": 0.3}
    return document_config(write_documents(folder), data={"n_labelled": 15}, model=model, **changes)


def points(folder, **changes):
    sizes = {
        "model": {"prior_hidden": (16,), "points_hidden": 16},
        "chains": {"n_chains": 41, "n_steps": 2},
        "training": {"batch_size": 21, "max_steps": 12, "checkpoint_every": 4, "log_every": 1, "device": "cpu"},
    }
    return with_changes(preset("gaussians8"), sizes | changes)


REGROUPED = {"objective": {"mutual_information": 2.0, "regroup_at": 1.0 / 24}}  # at iteration 1 of 12
RUNS = {
    "dropout": (
        sentences,
        {"model": {"embedding_dropout": 0.3, "output_dropout": 0.3}, "chains": {"per_iteration": 25}},
    ),
    "alternating-labels": (
        sentences,
        {"objective": {"update": "alternating", "mutual_information": 2.0, "label_weight": 1.0}},
    ),
    "regrouping": (sentences, REGROUPED),
    "cyclical": (
        sentences,
        {  # without the prior in the first half of each cycle; its momentum of the cycle before stays
            "objective": {
                "schedule": "cyclical",
                "n_cycles": 3,
                "mutual_information": 2.0,
                "mutual_information_always": False,
            },
            "optimiser": {"prior_learning_rate": 0.05, "prior_clip": 0.0},
        },
    ),
    "bag-of-words": (
        sentences,
        {"objective": {"schedule": "linear", "zero_fraction": 0.0, "ramp_fraction": 0.3, "bag_of_words": 1.0}},
    ),
    "metropolis": (sentences, {"chains": {"metropolis": True}}),
    "restarts-at-the-posterior": (
        sentences,
        {"chains": {"restart_from": "posterior", "restart_fraction": 0.5, "per_iteration": 25}},
    ),
    "words-guide": (
        sentences,
        {
            "model": {"sentence_features": "words"},
            "objective": {"mutual_information": 0.0, "pseudo_label_weight": 1.0, "pseudo_labels": "words"},
            "training": {"prior_stage": "second", "prior_steps": 20},
        },
    ),
    "prior-alone": (  # whitened, with mutual information
        sentences,
        {
            "objective": {"mutual_information": 2.0},
            "training": {"prior_stage": "second", "prior_steps": 20, "validate_every": 4},
        },
    ),
    "dialogs": (dialogs, {"chains": {"restart_fraction": 0.3}}),
    "dialogs-metropolis-regrouping": (dialogs, {"chains": {"metropolis": True}} | REGROUPED),
    "dialogs-short-run": (dialogs, {"chains": {"mode": "short_run"}, "objective": {"update": "alternating"}}),
    "documents": (documents, {}),
    "documents-gru": (documents, {"model": {"encoder": "gru"}}),
    "documents-guessed": (
        documents,
        {"objective": {"pseudo_label_weight": 2.0, "pseudo_labels": "naive_bayes"}},
    ),
    "points": (points, {}),
    "points-mixture": (
        points,
        {
            "model": {"latent": "mixture", "n_variables": 1},
            "objective": {"mutual_information": 0.0, "energy_penalty": 0.0},
        },
    ),
}


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
@pytest.mark.parametrize("name", RUNS)
def test_two_processes_equal_one(tmp_path, name):
    make, changes = RUNS[name]
    config: Config = make(tmp_path, **changes)
    config_file = tmp_path / "config.json"
    config_file.write_text(json.dumps(to_dict(config)))
    if make is points:
        train_points(config, tmp_path / "one", evaluate=False)
    else:
        train(config, tmp_path / "one")
    together(["-c", TRAINING, str(config_file), str(tmp_path / "two")], 2)
    assert_close(tmp_path / "two", tmp_path / "one")


def assert_close(found, expected):
    """Checkpoint, model and log of two run folders, to the rounding of a few iterations."""
    one, _ = load_checkpoint(expected / "checkpoints/last.safetensors")
    two, _ = load_checkpoint(found / "checkpoints/last.safetensors")
    model_one, model_two = (read_tensors(folder / "model.safetensors")[0] for folder in (expected, found))
    for first, second in ((one, two), (model_one, model_two)):
        assert first.keys() == second.keys()
        for name, tensor in first.items():
            close = {"rtol": 2e-3, "atol": 2e-4, "msg": lambda m, name=name: f"{name}: {m}"}
            torch.testing.assert_close(second[name], tensor, **close)
    logs = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (expected, found)
    ]
    for first, second in zip(*logs, strict=True):
        for key in ("loss", "nll", "kl", "mi", "energy_negative", "label", "pseudo_label", "valid_bound"):
            if key in first:
                assert second[key] == pytest.approx(first[key], rel=1e-4, abs=1e-4), (first["step"], key)


COUNTED = """
import torch.distributed as dist
n_messages = [0]
def counted(send):
    def sent(*arguments, **options):
        n_messages[0] += 1
        return send(*arguments, **options)
    return sent
for name in ("all_reduce", "all_gather", "broadcast", "send", "recv"):
    setattr(dist, name, counted(getattr(dist, name)))
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
def test_a_step_sends_five_messages(tmp_path):
    """States of chains before and after they move, the sums of I(z, y) and their gradient, and all gradients in one."""
    config_file, counts = tmp_path / "config.json", []
    for n_steps in (4, 9):
        every = {"max_steps": n_steps, "log_every": 100, "validate_every": 100, "checkpoint_every": 100}
        config = sentences(tmp_path, objective={"mutual_information": 2.0}, training=every)
        config_file.write_text(json.dumps(to_dict(config)))
        program = f"{COUNTED}{TRAINING}\nprint(n_messages[0])"
        results = together(["-c", program, str(config_file), str(tmp_path / f"run{n_steps}")], 2)
        counts.append([int(printed.splitlines()[-1]) for printed, _ in results])
    assert [after - before for before, after in zip(*counts, strict=True)] == [25, 25]


def test_any_number_of_processes_goes_on(tmp_path):
    """Three begin, one goes on, two come to the end: what one learns in one go, chains and all."""
    changes = {"chains": {"restart_fraction": 0.3}, "training": {"validate_every": 4}}
    config = sentences(tmp_path, objective={"mutual_information": 2.0}, **changes)
    train(config, tmp_path / "whole")
    config_file = tmp_path / "config.json"
    for n_processes, n_steps, more in ((3, 4, []), (1, 8, ["--resume"]), (2, 12, ["--resume"])):
        part = with_changes(config, {"training": {"max_steps": n_steps}})
        config_file.write_text(json.dumps(to_dict(part)))
        together(["-c", TRAINING, str(config_file), str(tmp_path / "parts"), *more], n_processes)
    assert_close(tmp_path / "parts", tmp_path / "whole")
