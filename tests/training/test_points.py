"""2-D models: a run from configuration to folder, its measures against numerical integration, and Figure 2."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from svebm_ext import experiments
from svebm_ext.config import to_dict
from svebm_ext.data.synthetic import MODES, log_density, sample_points
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.evaluation.evaluate_points import MAX_TRUE_NLL, TEST_STEP, PointEvaluator, sample_prior, true_nll
from svebm_ext.experiments import figure2 as figure2_experiment
from svebm_ext.experiments.rows import read_rows
from svebm_ext.measures.two_sample import two_sample_test
from svebm_ext.models.networks import build_networks
from svebm_ext.models.tensor_files import read_tensors
from svebm_ext.presets import preset
from svebm_ext.training import loop, points
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.points import evaluate_points, load_densities, load_points, model_name, train_points

LAST = "checkpoints/last.safetensors"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny(name="gaussians8", **changes):
    base = preset(name)
    sizes = {
        "model": {"prior_hidden": (16,), "prior_scale": 1.0, "points_hidden": 16},
        "chains": {"n_chains": 40, "n_steps": 2},
        "training": {"batch_size": 20, "max_steps": 12, "checkpoint_every": 5, "log_every": 1, "device": "cpu"},
        "evaluation": {
            "importance_samples": 4,
            "frequency_samples": 300,
            "log_z_chains": 32,
            "log_z_temperatures": 10,
        },
    }
    for section, options in changes.items():
        sizes[section] = {**sizes.get(section, {}), **options}
    return replace(base, **{name: replace(getattr(base, name), **options) for name, options in sizes.items()})


def log(out):
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("tokens_per_second", "seconds")} for r in records]


@pytest.fixture
def undrawn(monkeypatch):
    """Without the pictures of single runs, which take longer than tiny runs; empty files in their place."""

    def draw(run, *_):
        (run / "plots").mkdir(exist_ok=True)
        for name in ("figure2.png", "learning_curves.png"):
            (run / "plots" / name).write_bytes(b"")

    monkeypatch.setattr(points, "_draw", draw)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished tiny run, and what training returned."""
    out = tmp_path_factory.mktemp("points") / "run"
    return out, train_points(tiny(), out)


def test_run_folder_is_complete(run):
    out, document = run
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {
        "config.json", "model.safetensors", "metrics.json", "report.md", "metrics.jsonl", "env.json",
        "samples.safetensors", LAST, "plots/figure2.png", "plots/learning_curves.png",
    } <= files  # fmt: skip
    assert json.loads((out / "metrics.json").read_text()) == document
    for key in ("nll", "elbo", "log_z_lower", "log_z_upper", "mi", "kl", "modes_found", "share_at_modes",
                "energy_distance", "energy_distance_p_value", "mmd", "true_nll", "true_entropy"):  # fmt: skip
        assert isinstance(document[key], (int, float)), key
    assert set(document["homogeneity"]) == {"mode"}
    assert document["null_reasons"]["bleu"] == "points of the plane have no words"
    assert document["about"]["sample_counts"]["test points"] == 300
    # An untrained model does not pass for the data.
    assert document["energy_distance_p_value"] < 0.02
    assert document["nll"] > document["true_entropy"] + 1


def test_evaluating_again_gives_the_same_numbers(run, undrawn):
    out, document = run
    other = evaluate_points(out, seed=1, evaluation=replace(tiny().evaluation, frequency_samples=200))
    again = evaluate_points(out)  # last: it leaves the folder as it was
    for key in ("nll", "mi", "true_nll", "energy_distance"):
        assert again[key] == pytest.approx(document[key], rel=1e-6)
        assert other[key] != document[key]
    assert other["about"]["seed"] == 1 and other["about"]["sample_counts"]["test points"] == 200


@pytest.mark.parametrize(
    "changes", [{}, {"chains": {"mode": "short_run", "metropolis": False}}], ids=["persistent", "short-run"]
)
def test_resumed_run_equals_uninterrupted_run(tmp_path, monkeypatch, changes):
    config = tiny("pinwheel", **changes)
    train_points(config, tmp_path / "whole", evaluate=False)

    class Stop(Exception):
        pass

    original = loop.Trainer.iterate

    def iterate(self):
        if self.step == 8:
            raise Stop
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "iterate", iterate)
        with pytest.raises(Stop):
            train_points(config, tmp_path / "parts", evaluate=False)
    assert load_checkpoint(tmp_path / "parts" / LAST)[1]["step"] == 5
    assert train_points(config, tmp_path / "parts", resume=True, evaluate=False) is None
    first, second = (read_tensors(tmp_path / name / LAST)[0] for name in ("whole", "parts"))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert log(tmp_path / "whole") == log(tmp_path / "parts")


def test_likelihood_against_numerical_integration():
    """NLL by importance sampling equals -log of the integral of p(x|z) p(z) over a grid of the plane of z."""
    config = tiny(
        evaluation={
            "importance_samples": 2000,
            "frequency_samples": 30,
            "log_z_chains": 600,
            "log_z_temperatures": 40,
        }
    )
    torch.manual_seed(3)
    model = build_networks(config.model, 0, config.chains.step_size)
    with torch.no_grad():
        model.latent.prior.layers()[-1][0].mul_(3)  # a prior that is clearly not normal
        model.decoder.network[-1].weight.mul_(10)
        model.latent.to_log_variance.weight.zero_()  # a wide q(z|x), so that the importance weights are tame
        model.latent.to_mean.weight.mul_(0.1)
        model.decoder.std = 8.0
    evaluator = PointEvaluator(model, config)
    test = evaluator.samples().test
    evaluator.normaliser()
    evaluator.likelihoods(test)
    axis = torch.linspace(-6, 6, 241)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_prior = model.latent.log_prior(grid).double()
        log_prior -= torch.logsumexp(log_prior, 0)
        error = (test.points[:, None] - model.decoder.network(grid)) / 8.0
    log_likelihood = -0.5 * error.double().square().sum(-1) - math.log(2 * math.pi * 64.0)
    exact = -float(torch.logsumexp(log_likelihood + log_prior, 1).mean())
    found = evaluator.evaluation.metrics
    assert found["nll"] == pytest.approx(exact, abs=0.05)
    assert -found["elbo"] > exact + 0.03
    assert found["log_z_upper"] == pytest.approx(found["log_z_lower"], abs=0.1)
    assert found["true_entropy"] == pytest.approx(-float(log_density("gaussians8", test.points).mean()))


def test_prior_samples_follow_the_prior():
    """Langevin samples of an energy that pulls everything to one side, against the mean on a grid."""
    config = tiny()
    torch.manual_seed(0)
    model = build_networks(config.model, 0, 0.02)
    with torch.no_grad():
        model.latent.prior.layers()[-1][0].mul_(10)
        axis = torch.linspace(-6, 6, 301)
        grid = torch.cartesian_prod(axis, axis)
        weights = model.latent.log_prior(grid).softmax(0)
    mean = (weights[:, None] * grid).sum(0)
    assert mean.norm() > 0.3
    z = sample_prior(model.latent, 1500, seed=0)
    assert (z.mean(0) - mean).norm() < 0.15
    assert not torch.equal(z, sample_prior(model.latent, 1500, seed=1))


def test_perfect_samples_are_judged_perfect():
    """A stand-in for a model that draws from the data's own density passes every comparison."""
    config = tiny("pinwheel", evaluation={"frequency_samples": 1500})
    evaluator = PointEvaluator(build_networks(config.model, 0), config)
    samples = evaluator.samples()
    perfect = sample_points("pinwheel", 1500, seed=0, step=TEST_STEP + 1).points
    evaluator.distances(replace(samples, prior_x=perfect))
    found = evaluator.evaluation.metrics
    assert found["modes_found"] == MODES["pinwheel"]
    assert found["share_at_modes"] == pytest.approx(0.95, abs=0.02)
    assert found["energy_distance_p_value"] > 0.02 and found["mmd"] < 0.06
    one_arm = sample_points("pinwheel", 9000, seed=0, step=TEST_STEP + 2)
    evaluator.distances(replace(samples, prior_x=one_arm.points[one_arm.labels == 2][:1500]))
    assert found["modes_found"] == 1 and found["energy_distance_p_value"] < 0.02


def test_stray_points_do_not_make_the_mean_infinite():
    far = torch.tensor([[500.0, 0.0]])
    assert true_nll("pinwheel", far) == MAX_TRUE_NLL
    near = sample_points("pinwheel", 3, seed=0).points
    assert true_nll("pinwheel", torch.cat([near, far])) == pytest.approx(
        (MAX_TRUE_NLL + 3 * true_nll("pinwheel", near)) / 4
    )


def test_gaussian_prior_has_no_symbols(tmp_path, undrawn):
    config = tiny(model={"latent": "gaussian"}, objective={"mutual_information": 0.0, "energy_penalty": 0.0})
    document = train_points(config, tmp_path / "run")
    assert model_name(config) == "VAE"
    assert document["log_z_upper"] == 0.0 and document["mi"] is None
    assert "no symbols" in document["null_reasons"]["homogeneity"]


def test_mixture_of_points(tmp_path, undrawn):
    """DGM-VAE + I: components are symbols, samples are exact, the likelihood is that of numerical integration."""
    config = preset("gaussians8-dgm-vae-i")
    sizes = tiny(evaluation={"importance_samples": 1000, "max_sentences": 20})
    model_options = replace(config.model, points_hidden=16)
    config = replace(config, model=model_options, training=sizes.training, evaluation=sizes.evaluation)
    document = train_points(config, tmp_path / "run")
    assert model_name(config) == "DGM-VAE + I"
    assert document["log_z_upper"] == 0.0
    assert 0.0 <= document["mi"] <= math.log(8) and 1 <= document["symbols_used"] <= 8
    _, model = load_points(tmp_path / "run")
    with torch.no_grad():
        model.latent.vector.to_log_variance.bias.add_(2.0)  # a wide q(z|x), so that the importance weights are tame
        model.decoder.std = 8.0
        evaluator = PointEvaluator(model, config)
        test = evaluator.samples().test
        evaluator.normaliser()
        evaluator.likelihoods(test)
        axis = torch.linspace(-8, 8, 321)
        grid = torch.cartesian_prod(axis, axis)
        log_prior = model.latent.log_prior(grid).double() + 2 * math.log(16 / 320)
        assert float(log_prior.logsumexp(0)) == pytest.approx(0.0, abs=1e-3)  # a density
        error = (test.points[:20, None] - model.decoder.network(grid)) / 8.0
    log_likelihood = -0.5 * error.double().square().sum(-1) - math.log(2 * math.pi * 64.0)
    exact = -float(torch.logsumexp(log_likelihood + log_prior, 1).mean())
    assert evaluator.evaluation.metrics["nll"] == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        ({"dispersion": 1.0, "category_information": True}, "GM-VAE"),
        ({"dispersion": 1.0, "category_information": False}, "GM-VAE + I"),
        ({"dispersion": 0.2, "category_information": True}, "DGM-VAE"),
    ],
)
def test_mixtures_have_the_names_of_the_paper(objective, name):
    config = preset("pinwheel-dgm-vae-i")
    assert model_name(replace(config, objective=replace(config.objective, **objective))) == name


def test_errors_say_what_to_do(run, tmp_path):
    out, _ = run
    with pytest.raises(ConfigError, match="already holds a run"):
        train_points(tiny(), out)
    with pytest.raises(ModelFolderError, match="no checkpoint"):
        train_points(tiny(), tmp_path / "none", resume=True)
    with pytest.raises(ConfigError, match=r"model\.kind: sentences"):
        train_points(preset("ptb"), tmp_path / "text")
    with pytest.raises(ConfigError, match="no prior"):
        train_points(
            tiny(model={"latent": "deterministic"}, objective={"mutual_information": 0.0, "energy_penalty": 0.0}),
            tmp_path / "ae",
        )
    with pytest.raises(ConfigError, match=r"latent-dim: 3"):
        train_points(tiny(model={"latent_dim": 3}), tmp_path / "three")
    with pytest.raises(ModelFolderError, match=r"no such run folder"):
        evaluate_points(tmp_path / "nothing")
    with pytest.raises(ModelFolderError, match=r"samples\.safetensors: missing"):
        load_densities(tmp_path / "nothing")


def test_damaged_folders_are_refused(run, tmp_path):
    out, _ = run

    def copy(config=None, weights=None):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "config.json").write_text(config or (out / "config.json").read_text())
        (folder / "model.safetensors").write_bytes(weights or (out / "model.safetensors").read_bytes())
        return folder

    assert load_points(copy())[0] == tiny()
    with pytest.raises(ModelFolderError, match="truncated"):
        load_points(copy(weights=(out / "model.safetensors").read_bytes()[:-10]))
    huge = to_dict(tiny(model={"points_hidden": 60_000}))
    with pytest.raises(ModelFolderError, match=r"asks for \(60000,"):
        load_points(copy(json.dumps({"format": 1, "config": huge})))
    with pytest.raises(ConfigError, match="model of sentences"):
        load_points(copy(json.dumps({"format": 1, "config": to_dict(preset("ptb"))})))


def test_figure2_experiment(tmp_path, monkeypatch, undrawn):
    """Six rows, one picture, one table; rows that are done are not done again."""
    sized = figure2_experiment._sized

    def tiny_rows(config, budget):
        small = tiny(config.data.corpus)
        model = replace(config.model, prior_hidden=(16,), points_hidden=16)
        changed = {section: getattr(small, section) for section in ("chains", "training", "evaluation")}
        return replace(sized(config, budget), model=model, **changed)

    monkeypatch.setattr(figure2_experiment, "_sized", tiny_rows)
    command = ["figure2", "--out", str(tmp_path), "--budget", "smoke", "--device", "cpu"]
    experiments.main(command)
    assert (tmp_path / "figure2.png").read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "figure2.md").read_text()
    names = [f"{name}-{system}" for name in ("gaussians8", "pinwheel") for system in ("dgm-vae-i", "svebm", "svebm-ib")]
    assert [name for name in re.findall(r"^\| (\S+) \| \d", table, re.MULTILINE) if name in names][:6] == names
    folders = [tmp_path / f"{name}-seed0" for name in names]
    document = json.loads((folders[0] / "metrics.json").read_text())
    gap = document["nll"] - document["true_entropy"]
    assert f"| {document['nll']:.3f} | {gap:.3f} |" in table
    report = json.loads((tmp_path / "report.json").read_text())
    assert [len(row["energy_distance_p_of_parts"]) for row in report] == [1] * 6  # of 300 points
    densities = load_densities(folders[0])
    tested = two_sample_test(*map(torch.from_numpy, (densities.prior_x, densities.true_x)), seed=0)
    assert report[0]["energy_distance_p_mean"] == tested.p_value
    lines = read_rows(tmp_path)
    assert [line["row"] for line in lines] == names and lines[0]["measures"] == document
    times = [(folder / LAST).stat().st_mtime_ns for folder in folders]
    (folders[5] / "metrics.json").unlink()  # as if the last row had been killed while it was measured
    experiments.main(command)
    assert times == [(folder / LAST).stat().st_mtime_ns for folder in folders]
    assert (tmp_path / "figure2.md").read_text() == table
    with pytest.raises(ConfigError, match="another configuration"):
        experiments.main(["paper" if word == "smoke" else word for word in command])
    experiments.main([*command, "--seed", "1", "--rows", names[5]])
    documents = [json.loads((tmp_path / f"{names[5]}-seed{seed}/metrics.json").read_text()) for seed in (0, 1)]
    values = ", ".join(f"{document['energy_distance_p_value']:.2f}" for document in documents)
    assert f"| {names[5]} | {values} | " in (tmp_path / "figure2.md").read_text()
    with pytest.raises(ConfigError, match="'figure9' given"):
        experiments.main(["figure9"])


def test_rows_are_the_presets_and_paper_is_the_released_setting():
    figure2_rows = figure2_experiment.figure2_rows
    assert figure2_rows("cpu")["pinwheel-svebm-ib"] == preset("pinwheel")
    for row, config in figure2_rows("cpu").items():
        assert (config.objective.mutual_information > 0.0) == row.endswith("-svebm-ib")
        assert (config.model.latent == "mixture") == row.endswith("-dgm-vae-i")
        assert config == preset(row.removesuffix("-svebm-ib"))
    for name in MODES:  # SVEBM is SVEBM-IB without the mutual information, and nothing else
        with_ib, without = preset(name), preset(f"{name}-svebm")
        objective = replace(with_ib.objective, mutual_information=0.0)
        assert without == replace(with_ib, preset=f"{name}-svebm", objective=objective)

    rows = figure2_rows("paper")
    eight, pinwheel = rows["gaussians8-svebm-ib"], rows["pinwheel-svebm-ib"]
    objective = replace(eight.objective, mutual_information=0.0)
    assert rows["gaussians8-svebm"] == replace(eight, preset="gaussians8-svebm", objective=objective)
    for config, n_categories, n_iterations in ((eight, 8, 25_000), (pinwheel, 5, 12_000)):
        assert config.model.n_categories == n_categories and config.training.max_steps == n_iterations
        assert (config.chains.n_steps, config.chains.step_size, config.training.batch_size) == (100, 0.08, 500)
        assert not config.chains.metropolis
        assert (config.optimiser.learning_rate, config.optimiser.prior_learning_rate) == (1e-3, 1e-4)
        assert config.optimiser.clip == config.optimiser.prior_clip == 0.0
        assert config.objective.mutual_information == 15.0


def test_densities_are_those_that_were_measured(run):
    out, document = run
    densities = load_densities(out)
    assert densities.true_x.shape == densities.prior_z.shape == (300, 2)
    assert true_nll("gaussians8", torch.from_numpy(densities.prior_x)) == pytest.approx(document["true_nll"])
    np.testing.assert_array_equal(densities.true_x, sample_points("gaussians8", 300, seed=0, step=TEST_STEP).points)
