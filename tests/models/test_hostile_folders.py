"""Folders that ask for too much, or have something else in the place of a file: one clear line, at once."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from odd_files import put
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import Config, to_dict, validate
from svebm_ext.config.bounds import LARGEST
from svebm_ext.config.models import MODELS
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.evaluation.report import read_document
from svebm_ext.models import svebm
from svebm_ext.models.svebm import SVEBM
from svebm_ext.models.tensor_files import ADDED, read_tensors, write_tensors
from svebm_ext.training.run import read_run_config, train

FILES = ("config.json", "vocab.json", "surface.json", "model.safetensors")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    train(tiny_config(write_corpus(folder), training={"max_steps": 2}), folder / "run")
    return folder / "run"


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def unbuilt(monkeypatch):
    """Networks must not be built: they would be as large as the configuration asks."""

    def refuse(*arguments, **options):
        raise AssertionError("networks are built")

    monkeypatch.setattr(svebm, "networks_of", refuse)


def change(folder, section, **options):
    description = json.loads((folder / "config.json").read_text())
    description["config"][section].update(options)
    (folder / "config.json").write_text(json.dumps(description))


# Numbers --------------------------------------------------------------------------------------------------------------


def every_option():
    """Name and default of every option, of whatever kind."""
    return dict(one for model in MODELS for one in options(Config(model=model())))


def options(section, prefix=""):
    """Name and default of every option of a configuration or a part of it."""
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            yield from options(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


def is_count(value):
    return (isinstance(value, int) and not isinstance(value, bool)) or isinstance(value, tuple)


def with_value(name, value):
    config = tiny_config(Path("corpus.txt"))
    *section, option = name.split(".")
    if not section:
        return dataclasses.replace(config, **{option: value})
    held = getattr(config, section[0])
    if not hasattr(held, option):  # another kind has it
        held = next(model() for model in MODELS if hasattr(model, option))
    changed = dataclasses.replace(held, **{option: value})
    return dataclasses.replace(config, **{section[0]: changed})


def test_every_count_has_a_bound():
    assert set(LARGEST) == {name for name, value in every_option().items() if is_count(value)}


@pytest.mark.parametrize("name", LARGEST)
def test_counts_beyond_their_bound_are_refused_by_name(name):
    several = name == "model.prior_hidden"
    for value in (LARGEST[name] + 1, 10**18 + LARGEST[name], 10**400, -2, -(10**400)):
        with pytest.raises(ConfigError, match=name.replace("_", "-")):
            validate(with_value(name, (value,) if several else value))


@pytest.mark.parametrize("name", [name for name, value in every_option().items() if isinstance(value, float)])
def test_numbers_that_are_not_finite_or_beyond_float32_are_refused_by_name(name):
    for value in (float("nan"), float("inf"), -float("inf"), 1e300, 3e38, -1e30):
        with pytest.raises(ConfigError, match=name.replace("_", "-")):
            validate(with_value(name, value))


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("model", {"n_categories": 10**8}, "n-categories"),
        ("model", {"n_categories": 99_999}, "missing tensors"),
        ("model", {"prior_hidden": [10**9]}, "prior-hidden"),
        ("model", {"prior_hidden": [65_000, 65_000]}, "missing tensors"),
        ("model", {"prior_hidden": [1] * 1000}, "items"),
        ("model", {"latent_dim": 10**18}, "latent-dim"),
        ("model", {"latent_dim": 60_000}, "missing tensors|n-chains"),
        ("model", {"document_layers": 10**7}, "document-layers"),
        ("model", {"init_range": 1e9}, "init-range"),
        ("model", {"embedding_dim": 60_000, "decoder_hidden": 60_000}, "missing tensors"),
        ("model", {"encoder_hidden": 0}, "encoder-hidden"),
        ("model", {"n_categories": 0}, "n-categories"),
        ("model", {"kind": "points"}, "points"),
        ("data", {"max_tokens": 10**9}, "max-tokens"),
        ("data", {"max_tokens": 0}, "max-tokens"),
        ("chains", {"n_chains": 10**7, "n_steps": 1}, "missing tensors"),
        ("training", {"max_steps": 10**12}, "max-steps"),
    ],
)
def test_tensors_left_out_are_no_way_to_ask_for_memory(folder, unbuilt, section, changes, message):
    change(folder, section, **changes)
    write_tensors(folder / "model.safetensors", {"latent.to_mean.bias": torch.zeros(4)}, {})
    with pytest.raises(ModelFolderError, match=message):
        SVEBM.from_pretrained(folder)


def test_names_shapes_and_types_are_compared_before_networks_are_built(folder, unbuilt):
    tensors, _ = read_tensors(folder / "model.safetensors")
    for name in tensors:
        others = {other: tensor for other, tensor in tensors.items() if other != name}
        missing = () if name in ADDED and ".reference." not in name else (others,)  # which earlier builds had not
        for changed in (*missing, others | {name + "x": tensors[name]}, others | {name: tensors[name][None]},
                        others | {name: tensors[name].double()}):  # fmt: skip
            write_tensors(folder / "model.safetensors", changed, {})
            with pytest.raises(ModelFolderError, match=f"model.safetensors.*{name}"):
                SVEBM.from_pretrained(folder)


def test_a_reference_has_a_covariance(folder):
    tensors, _ = read_tensors(folder / "model.safetensors")
    name = "latent.prior.reference.spread"
    for diagonal, is_right in ((-0.999, True), (-1.0, False), (-2.5, False), (3.0, True)):
        spread = torch.zeros_like(tensors[name])
        spread[1, 1], spread[0, 1] = diagonal, 1e6  # above the diagonal nothing is read
        write_tensors(folder / "model.safetensors", tensors | {name: spread}, {})
        if is_right:
            assert SVEBM.from_pretrained(folder).generate(1)
            continue
        with pytest.raises(ModelFolderError, match=f"{name} is of no covariance: its root has .* on the diagonal"):
            SVEBM.from_pretrained(folder)


def test_bounds_hold_for_resuming_before_networks_are_built(folder, unbuilt):
    change(folder, "model", prior_hidden=[60_000, 60_000])
    with pytest.raises(ModelFolderError, match=r"last\.safetensors: .*latent\.prior"):
        train(read_run_config(folder), folder, resume=True)


# Text of JSON ---------------------------------------------------------------------------------------------------------

TEXTS = {
    "beyond float": lambda text: text.replace(": ", f': 1{"0" * 400}, "x": ', 1),
    "5,000 digits": lambda text: text.replace(": ", f': {"7" * 5000}, "x": ', 1),
    "infinity": lambda text: text.replace(": ", ': 1e999, "x": ', 1),
    "no number": lambda text: text.replace(": ", ': NaN, "x": ', 1),
    "deep": lambda text: text.replace(": ", f': {"[" * 900}{"]" * 900}, "x": ', 1),
    "very deep": lambda text: "[" * 1_000_000,
    "half a character": lambda text: text[:-2].encode() + "é".encode()[:1] + text[-2:].encode(),
    "half a pair": lambda text: text.replace(": ", ': "\\ud800", "x": ', 1),
    "cut": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "list": lambda text: f"[{text}]",
    "null": lambda text: "null",
}


@pytest.mark.parametrize("name", ["config.json", "vocab.json", "surface.json"])
@pytest.mark.parametrize("kind", TEXTS)
def test_json_that_cannot_be_of_this_package(folder, name, kind):
    changed = TEXTS[kind]((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    with pytest.raises(ModelFolderError, match=name) as error:
        SVEBM.from_pretrained(folder)
    assert len(str(error.value)) < 2000
    if name == "config.json":
        with pytest.raises(ModelFolderError, match=name):
            read_run_config(folder)


@pytest.mark.parametrize("kind", TEXTS)
def test_measures_that_evaluate_cannot_have_written(tmp_path, kind):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"nll": 1.0, "about": {"commit": "c"}}))
    assert read_document(path)["nll"] == 1.0
    changed = TEXTS[kind](path.read_text())
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    with pytest.raises(ModelFolderError, match=r"metrics\.json"):
        read_document(path)


@pytest.mark.parametrize("about", [None, [], "x", {"warnings": "x"}, {"warnings": [1]}, {"commit": 3}, {"summary": {}}])
def test_measures_of_another_layout(tmp_path, about):
    (tmp_path / "metrics.json").write_text(json.dumps({"nll": 1.0, "about": about}))
    with pytest.raises(ModelFolderError, match=r"metrics\.json.*about"):
        read_document(tmp_path / "metrics.json")


# What is no file ------------------------------------------------------------------------------------------------------


KINDS = ("missing", "folder", "fifo", "loop", "zero", "dangling", "socket", "large")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_something_else_in_the_place_of_a_file(folder, name, kind):
    if kind == "missing" and name == "surface.json":
        pytest.skip("words of older models are joined by spaces")
    put(kind, folder / name)
    with pytest.raises(ModelFolderError, match=name):
        SVEBM.from_pretrained(folder)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["config.json", "vocab.json", "checkpoints/last.safetensors", "metrics.jsonl"])
def test_something_else_in_a_run_that_is_resumed(folder, name, kind):
    put(kind, folder / name)
    if name in ("metrics.jsonl", "checkpoints/last.safetensors") and kind == "missing":
        train(read_run_config(folder), folder, resume=True)  # the log begins again; the best state is whole
        return
    with pytest.raises(ModelFolderError, match=name):
        train(read_run_config(folder), folder, resume=True)


def test_a_link_to_a_file_is_a_file(folder):
    for name in FILES:
        (folder / name).rename(folder / f"{name}.real")
        (folder / name).symlink_to(f"{name}.real")
    assert SVEBM.from_pretrained(folder).generate(2)


@pytest.mark.parametrize("names", [["a"] * 2, [f"n{i}" for i in range(7)], "x", [1], {"a": 1}])
def test_names_of_symbols(folder, names):
    description = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(description | {"label_names": names}))
    with pytest.raises(ModelFolderError, match="label_names"):
        SVEBM.from_pretrained(folder)


def test_a_configuration_that_is_right_is_taken_as_it_is(folder):
    assert to_dict(SVEBM.from_pretrained(folder).config) == json.loads((folder / "config.json").read_text())["config"]
