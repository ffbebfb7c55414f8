"""Nothing in a checkpoint is trusted: what cannot be the state of the run is refused, with file and entry named."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_runs import stopped, tiny_config, write_corpus

from svebm_ext.errors import ModelFolderError
from svebm_ext.models.tensor_files import CHECKSUM, checksum
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.loop import LAST
from svebm_ext.training.run import train


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Configuration, a run that was left after its checkpoint of iteration 8, and its end had it not been left."""
    folder = tmp_path_factory.mktemp("base")
    changes = {"objective": {"marginal_momentum": 0.5}, "training": {"recoveries": 0}}
    config = tiny_config(write_corpus(folder), **changes)
    train(config, folder / "whole")
    stopped(lambda: train(config, folder / "part"), 9)
    return config, folder / "part", load_checkpoint(folder / "whole" / LAST)[0]


@pytest.fixture
def run(base, tmp_path):
    """A copy of the run that was left."""
    return shutil.copytree(base[1], tmp_path / "run")


def content(path):
    with safe_open(str(path), framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


def write(path, tensors, metadata, *, checked=True):
    """Write a file by other means than the package's, with a right checksum or none."""
    metadata.pop(CHECKSUM, None)
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    if checked:
        metadata[CHECKSUM] = checksum(tensors, metadata)
    save_file(tensors, path, metadata)


def refused(base, run, *parts):
    """Resume is refused with all parts named, and leaves the folder as it was."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(ModelFolderError) as error:
        train(base[0], run, resume=True)
    for part in ("last.safetensors", *parts):
        assert part in str(error.value), str(error.value)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


MOMENTS = {
    "empty": lambda t: torch.zeros(0),
    "one number": lambda t: torch.zeros(1),
    "16 numbers": lambda t: torch.zeros(16),
    "one more axis": lambda t: t[None],
    "flat": lambda t: t.reshape(-1) if t.dim() > 1 else t[:, None],
    "shorter": lambda t: t[:-1],
    "double": lambda t: t.double(),
    "half": lambda t: t.half(),
    "integers": lambda t: t.long(),
    "nan": lambda t: t.index_fill(0, torch.tensor([0]), float("nan")),
    "inf": lambda t: t.index_fill(0, torch.tensor([0]), float("inf")),
}


@pytest.mark.parametrize("change", MOMENTS)
def test_moments_of_every_parameter_are_as_strict_as_parameters(base, run, change):
    tensors, metadata = content(run / LAST)
    names = [name for name in tensors if name.endswith((".exp_avg", ".exp_avg_sq"))]
    assert len(names) > 40 and {name.split(".")[1] for name in names} == {"networks", "prior"}
    for name in names if change in ("empty", "16 numbers") else names[::9]:
        if tuple(MOMENTS[change](tensors[name]).shape) == tuple(tensors[name].shape) and change == "16 numbers":
            continue
        write(run / LAST, tensors | {name: MOMENTS[change](tensors[name])}, metadata)
        refused(base, run, f"optimiser.{name.split('.', 1)[1]}")


@pytest.mark.parametrize(
    ("suffix", "value"),
    [
        (".exp_avg_sq", lambda t: t.index_fill(0, torch.tensor([0]), -1e-9)),
        (".step", lambda t: torch.tensor(-1.0)),
        (".step", lambda t: torch.tensor(float("nan"))),
        (".step", lambda t: torch.tensor(float("inf"))),
        (".step", lambda t: torch.zeros(3)),
        (".step", lambda t: torch.zeros(1)),
        (".step", lambda t: torch.tensor(8)),
    ],
)
def test_second_moments_and_steps_are_in_range(base, run, suffix, value):
    tensors, metadata = content(run / LAST)
    name = next(name for name in sorted(tensors) if name.endswith(suffix))
    write(run / LAST, tensors | {name: value(tensors[name])}, metadata)
    refused(base, run, name)


@pytest.mark.parametrize("field", ["step", "exp_avg", "exp_avg_sq"])
def test_a_field_of_adam_that_is_missing(base, run, field):
    tensors, metadata = content(run / LAST)
    del tensors[f"optimiser.networks.3.{field}"]
    write(run / LAST, tensors, metadata)
    refused(base, run, f"missing tensor optimiser.networks.3.{field}")


def test_the_state_of_a_parameter_that_is_missing_altogether(base, run):
    """Adam would begin anew for it, without a word."""
    tensors, metadata = content(run / LAST)
    for field in ("step", "exp_avg", "exp_avg_sq"):
        del tensors[f"optimiser.networks.3.{field}"]
    write(run / LAST, tensors, metadata)
    refused(base, run, f"holds {len(tensors)} tensors, expected the {len(tensors) + 3}")


@pytest.mark.parametrize(
    "name",
    [
        "optimiser.networks.0.max_exp_avg_sq", "optimiser.networks.-1.step", "optimiser.networks.1000.step",
        "optimiser.networks.00.step", "optimiser.other.0.step", "optimiser.networks.0", "optimiser.networks.٣.step",
        "optimiser.networks.99999999999999999999.step", "chains.more", "stranger", "model.more",
    ],
)  # fmt: skip
def test_strange_tensors(base, run, name):
    tensors, metadata = content(run / LAST)
    write(run / LAST, tensors | {name: torch.zeros(())}, metadata)
    refused(base, run, "chains" if name == "chains.more" else name.removeprefix("model."))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chains.states", torch.zeros(0, 4)),
        ("chains.states", torch.zeros(40, 5)),
        ("chains.states", torch.zeros(160)),
        ("chains.states", torch.zeros(40, 4, dtype=torch.float64)),
        ("chains.states", torch.full((40, 4), float("nan"))),
        ("chains.states", torch.full((40, 4), float("inf"))),
        ("chains.noise_step", torch.zeros(3, dtype=torch.int64)),
        ("chains.noise_step", torch.tensor(32.0)),
        ("chains.noise_step", torch.tensor(-1)),
        ("chains.noise_step", torch.tensor(1 << 62)),
        ("marginal", torch.zeros(0)),
        ("marginal", torch.full((5,), 0.2)),
        ("marginal", torch.full((6,), 1 / 6, dtype=torch.float64)),
        ("marginal", torch.full((6,), float("nan"))),
        ("marginal", torch.tensor([-1.0, 2.0, 0.0, 0.0, 0.0, 0.0])),
        ("marginal", torch.full((6,), 3.0)),
    ],
)
def test_chains_and_the_running_marginal(base, run, name, value):
    tensors, metadata = content(run / LAST)
    assert name in tensors
    write(run / LAST, tensors | {name: value}, metadata)
    refused(base, run, name.split(".")[-1])


ODD = ["x", "", [], {}, [1], True, None, -1, -0.5, 1 << 70, "NaN", "Infinity", "1e999", "9" * 5000, "[" * 2000]


def entries():
    names = ["step", "best", "seconds", "decay", "recoveries", "guards", "tensors"]
    guards = ["skipped", "gap", "n_gaps", "level", "information", "n_informed", "warned"]
    return [(name,) for name in names] + [("guards", name) for name in guards]


@pytest.mark.parametrize("entry", entries(), ids=".".join)
def test_every_entry_of_the_state_is_checked(base, run, entry):
    tensors, metadata = content(run / LAST)
    for value in ODD:
        allowed = {("best",): (None, -1, -0.5), ("guards", "gap"): (-1, -0.5), ("guards", "information"): (-1, -0.5)}
        if value in (ok for ok in allowed.get(entry, ()) if type(ok) is type(value)):
            continue
        if entry[-1] == "warned" and value == []:
            continue
        state = json.loads(metadata["state"])
        holder = state if len(entry) == 1 else state[entry[0]]
        raw = isinstance(value, str) and len(value) > 1
        holder[entry[-1]] = "RAW" if raw else value
        text = json.dumps(state).replace('"RAW"', str(value)) if raw else json.dumps(state)
        write(run / LAST, tensors, metadata | {"state": text})
        refused(base, run, "state")


@pytest.mark.parametrize("text", ["", "[]", "null", "3", "{", '"x"', "{}", "[" * 100_000, '{"step": 1}'])
def test_a_state_that_is_none(base, run, text):
    tensors, metadata = content(run / LAST)
    write(run / LAST, tensors, metadata | {"state": text})
    with pytest.raises(ModelFolderError, match=r"last\.safetensors"):
        train(base[0], run, resume=True)


def test_an_entry_that_is_missing_or_unknown(base, run):
    tensors, metadata = content(run / LAST)
    state = json.loads(metadata["state"])
    for name in ("step", "best", "seconds"):
        write(run / LAST, tensors, metadata | {"state": json.dumps({k: v for k, v in state.items() if k != name})})
        refused(base, run, f"{name} is missing")
    write(run / LAST, tensors, metadata | {"state": json.dumps(state | {"stranger": 1})})
    refused(base, run, "stranger")


def test_a_flipped_bit_anywhere_is_noticed(base, run):
    whole = (run / LAST).read_bytes()
    for number in range(60):
        place = number * (len(whole) - 1) // 59
        changed = bytearray(whole)
        changed[place] ^= 1 << number % 8
        (run / LAST).write_bytes(changed)
        with pytest.raises(ModelFolderError, match=r"last\.safetensors"):
            train(base[0], run, resume=True)


def test_a_damaged_best_state_is_told_before_the_run_goes_on(base, run):
    best = run / "checkpoints" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:-4] + b"\0\1\2\3")
    with pytest.raises(ModelFolderError, match=r"best\.safetensors: damaged"):
        train(base[0], run, resume=True)


def test_files_without_a_checksum_and_later_entries_are_taken_up_as_before(base, run):
    """What earlier versions wrote."""
    tensors, metadata = content(run / LAST)
    state = json.loads(metadata["state"])
    for name in ("guards", "recoveries", "decay", "tensors", "config"):
        del state[name]
    write(run / LAST, tensors, metadata | {"state": json.dumps(state)}, checked=False)
    train(base[0], run, resume=True)
    end = load_checkpoint(run / LAST)[0]
    assert end.keys() == base[2].keys() and all(torch.equal(end[name], base[2][name]) for name in end)
