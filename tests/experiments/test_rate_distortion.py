"""Rate against distortion: rows, the rate in closed form, energies beside mixtures, and runs from command to report."""

import json
import math
from dataclasses import replace

import pytest
import torch
from tiny_runs import write_ptb

from svebm_ext import experiments
from svebm_ext.baselines.fitted_priors import FittedLatent, fit_gaussians
from svebm_ext.config import to_dict, validate
from svebm_ext.experiments import rate_distortion_priors, rate_distortion_report, rate_distortion_rows
from svebm_ext.experiments.rate_distortion import RATE_DISTORTION
from svebm_ext.experiments.rate_distortion_priors import rate_of
from svebm_ext.experiments.rate_distortion_rows import (
    DGM,
    FAMILIES,
    SETTINGS,
    VAE,
    WEIGHTS,
    kept_priors,
    make_row,
    plain,
)
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior

ALL = [family for group in FAMILIES.values() for family in group]


# Rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", RATE_DISTORTION.budgets)
def test_rows_differ_by_w_and_by_what_their_networks_are(budget):
    configs = {name: to_dict(make_row(name, budget).config) for name in RATE_DISTORTION.names}
    assert len(configs) == 10 and list(configs)[:3] == ["vae-w-0.5", "vae-w-0.25", "vae-w-0.05"]
    for name, config in configs.items():
        validate(make_row(name, budget).config)
        assert config["objective"].pop("kl_weight") == float(name.rsplit("-", 1)[1])
        assert config.pop("preset") == f"ptb-{name}"
        assert config["objective"]["schedule"] == "linear"
    for networks in FAMILIES:
        of = [configs[f"{networks}-w-{w}"] for w in WEIGHTS]
        assert all(config == of[0] for config in of)
    vae, dgm = configs["vae-w-1"], configs["dgm-vae-i-w-1"]
    assert vae["training"] == dgm["training"] and vae["evaluation"] == dgm["evaluation"]
    assert vae["optimiser"] == dgm["optimiser"]
    differing = {name for name in vae["model"] if vae["model"][name] != dgm["model"][name]}
    assert differing == {"latent"}


def test_budgets_have_the_sizes_that_the_notes_name():
    cpu, long = (make_row("vae-w-0.5", budget).config for budget in ("cpu", "long"))
    assert (cpu.training.batch_size, cpu.training.max_steps) == (60, 3 * 702)  # 42,068 sentences
    assert {cpu.model.embedding_dim, cpu.model.encoder_hidden, cpu.model.decoder_hidden} == {256}
    assert long.model.decoder_hidden == 512 and long.training.max_steps == 12 * 1403
    assert "256 units, 2,106 iterations" in rate_distortion_report.notes("cpu")[0]
    assert "16,836 iterations in batches of 30 (12 epochs)" in rate_distortion_report.notes("long")[0]


def test_priors_of_other_settings_are_made_again(tmp_path):
    settings = SETTINGS["smoke"]
    assert kept_priors(tmp_path, settings) == {}
    document = json.loads(json.dumps({"settings": plain(settings), "priors": {"vae": {"nll": 1.0}}}))
    (tmp_path / rate_distortion_rows.PRIORS).write_text(json.dumps(document))
    assert kept_priors(tmp_path, settings) == {"vae": {"nll": 1.0}}
    assert kept_priors(tmp_path, replace(settings, samples=settings.samples + 1)) == {}


# Rate ----------------------------------------------------------------------------------------------------------


def posterior_and_samples(n_samples):
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(6, 3, generator=generator), torch.randn(6, 3, generator=generator) - 1.0
    posterior = GaussianPosterior(mean, log_variance)
    return posterior, posterior.importance_samples(n_samples, seed=1, ids=torch.arange(6))


def divergence(first, second):
    """KL of two Gaussians with full covariances, by torch."""
    return torch.distributions.kl_divergence(first, second)


def test_the_rate_to_the_standard_normal_is_exact():
    posterior, z = posterior_and_samples(2)
    mean, variance = posterior.mean.double(), posterior.log_variance.double().exp()
    q = torch.distributions.MultivariateNormal(mean, torch.diag_embed(variance))
    p = torch.distributions.MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    rate = rate_of(*posterior.moments, z, GaussianLatent(4, 3).log_prior(z.double()))
    torch.testing.assert_close(rate, divergence(q, p), atol=1e-6, rtol=0)


def test_the_rate_to_a_fitted_gaussian_is_that_of_the_closed_form():
    posterior, z = posterior_and_samples(40_000)
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(2)) @ torch.tensor(
        [[1.5, 0.4, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.1]]
    )
    prior = fit_gaussians(points + 0.5, 1)
    q = torch.distributions.MultivariateNormal(
        posterior.mean.double(), torch.diag_embed(posterior.log_variance.double().exp())
    )
    p = torch.distributions.MultivariateNormal(
        torch.from_numpy(prior.mixture.means_[0]), torch.from_numpy(prior.mixture.covariances_[0])
    )
    latent = FittedLatent(GaussianLatent(4, 3), prior)
    rate = rate_of(*posterior.moments, z, latent.log_prior(z))
    torch.testing.assert_close(rate, divergence(q, p), atol=0.03, rtol=0)
    # A prior that is known up to log Z = 2 has the same rate.
    torch.testing.assert_close(rate_of(*posterior.moments, z, latent.log_prior(z) + 2.0, 2.0), rate)


# Energies beside mixtures --------------------------------------------------------------------------------------


def row(family, weight, values, seed=0, log_z_error=None):
    return {
        "row": f"{family}-w-{weight}", "family": family, "weight": float(weight), "seed": seed, "rate": 10.0 * seed,
        "annealed_by_sentence": values, "log_z_error": log_z_error, "bleu": 5.0,
    }  # fmt: skip


def test_differences_are_paired_by_sentence_and_carry_the_error_of_log_z():
    rows = [row("vae-gmm", "0.5", [100.0, 50.0, 75.0, 20.0]), row("svebm-ib", "0.5", [99.0, 49.5, 74.0, 19.5])]
    (plain_error,) = rate_distortion_report.compared(rows, "svebm-ib", "vae-gmm")
    differences = torch.tensor([-1.0, -0.5, -1.0, -0.5], dtype=torch.float64)
    error = float(differences.std()) / 2
    assert plain_error.difference == pytest.approx(-0.75) and plain_error.error == pytest.approx(error)
    assert plain_error.verdict == "ahead" and plain_error.cell == "-0.75 ± 0.14"
    rows[1]["log_z_error"] = 0.5
    (with_log_z,) = rate_distortion_report.compared(rows, "svebm-ib", "vae-gmm")
    assert with_log_z.error == pytest.approx(math.hypot(error, 0.5)) and with_log_z.verdict == "level"
    # Of two seeds, sentence by sentence; a seed that only one of both has is left out.
    rows += [
        row("vae-gmm", "0.5", [100.0, 50.0, 75.0, 20.0], 1),
        row("svebm-ib", "0.5", [103.0, 53.0, 78.0, 23.0], 1, 0.0),
        row("svebm-ib", "0.5", [0.0, 0.0, 0.0, 0.0], 2, 0.0),
    ]
    (two,) = rate_distortion_report.compared(rows, "svebm-ib", "vae-gmm")
    assert (two.difference == pytest.approx((-0.75 + 3.0) / 2) and two.verdict == "ahead") or two.verdict == "behind"
    means = torch.tensor([1.0, 1.25, 1.0, 1.25], dtype=torch.float64)
    assert two.error == pytest.approx(math.hypot(float(means.std()) / 2, 0.25))


def test_the_sentence_is_decided_by_figures():
    Comparison = rate_distortion_report.Comparison
    told = [
        Comparison(1.0, 0.1, 0.1),
        Comparison(0.5, -0.5, 0.1),
        Comparison(0.25, 0.9, 0.2),
        Comparison(0.1, -3.0, 1.0),
    ]
    assert rate_distortion_report.verdict(told, "svebm-ib", "vae-gmm") == (
        "Beside vae-gmm the energy svebm-ib is ahead at w = 0.5, 0.1; level at w = 1; behind at w = 0.25."
    )
    assert "not both measured" in rate_distortion_report.verdict([], "svebm-ib", "vae-gmm")


def test_lines_of_the_pictures_are_means_of_seeds_with_w_beside_two_families():
    rows = [row("vae", "1", [1.0]), row("vae", "1", [1.0], 1), row("svebm", "1", [1.0]), row("vae", "0.5", [1.0])]
    lines = rate_distortion_report.lines_of(rows, "bleu")
    assert lines["vae"] == [(5.0, 5.0, "1"), (0.0, 5.0, "0.5")] and lines["svebm"] == [(0.0, 5.0, "")]
    assert rate_distortion_report.lines_of(rows, "rppl") == {}


# From the command to the report --------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path):
    write_ptb(tmp_path)
    out = tmp_path / "out"
    rest = ["--budget", "smoke", "--data.root", str(tmp_path), "--out", str(out), "--device", "cpu"]
    return out, ["rate-distortion", *rest, "--rows", "vae-w-0.5", "dgm-vae-i-w-0.5"]


def test_two_trainings_give_six_rows(command, monkeypatch, capsys):
    out, arguments = command
    measured = rate_distortion_priors.Priors.measured

    def interrupted(self, family):
        if family == "svebm":
            raise KeyboardInterrupt
        return measured(self, family)

    # Twenty iterations make no energy that would be kept.
    monkeypatch.setattr(rate_distortion_priors.Priors, "gain", lambda self, latent, log_z: 1.0)
    monkeypatch.setattr(rate_distortion_priors.Priors, "measured", interrupted)
    with pytest.raises(experiments.Interrupted):
        experiments.main(arguments)
    path = out / "vae-w-0.5-seed0" / rate_distortion_rows.PRIORS
    before = json.loads(path.read_text())["priors"]
    assert list(before) == ["vae", "vae-gaussian", "vae-gmm"]
    monkeypatch.setattr(rate_distortion_priors.Priors, "measured", measured)
    experiments.main(arguments)
    after = json.loads(path.read_text())["priors"]
    assert {family: after[family] for family in before} == before  # what was finished is kept

    rows = {r["row"]: r for r in json.loads((out / "report.json").read_text())}
    assert list(rows) == [f"{family}-w-0.5" for family in ALL]
    vae = rows["vae-w-0.5"]
    metrics = json.loads((out / "vae-w-0.5-seed0" / "metrics.json").read_text())
    # N(0, I) is the VAE's own prior: the same sentences by the same samples.
    assert vae["nll"] == pytest.approx(metrics["nll"], rel=1e-5) and vae["rate"] == pytest.approx(
        metrics["kl"], rel=1e-3
    )
    assert vae["elbo"] == pytest.approx(metrics["elbo"], abs=0.5)
    for name, r in rows.items():
        assert r["bleu"] == (rows["dgm-vae-i-w-0.5"] if r["family"] == DGM else vae)["bleu"]
        assert r["nll"] <= -r["elbo"] + 0.5, name
        assert len(r["annealed_by_sentence"]) == 6
        assert sum(r["annealed_by_sentence"]) / 6 == pytest.approx(r["nll_annealed"])
    for name in ("vae-w-0.5", "svebm-w-0.5", "dgm-vae-i-w-0.5"):  # 120 z are few for a Gaussian in 40 dimensions
        assert rows[name]["nll_annealed"] == pytest.approx(rows[name]["nll_of_annealed"], abs=0.5), name
    assert rows["svebm-w-0.5"]["log_z_upper"] is not None and vae["log_z_upper"] is None
    assert rows["vae-gmm-w-0.5"]["components"] in (2, 3) and rows["vae-gaussian-w-0.5"]["components"] == 1
    text = (out / "report.md").read_text()
    assert "![](plots/distortion.png)" in text and "Energy less mixture" in text and "| svebm-ib-w-0.5 |" in text
    assert (out / "plots/samples.png").exists()

    capsys.readouterr()
    experiments.main(arguments)
    assert "2 of 2 rows are finished and kept" in capsys.readouterr().out


def test_an_energy_behind_the_standard_normal_is_not_kept(command, monkeypatch, capsys):
    out, arguments = command
    gain = rate_distortion_priors.Priors.gain

    def behind(self, latent, log_z):
        return -5.0 if isinstance(latent, EnergyLatent) else gain(self, latent, log_z)

    monkeypatch.setattr(rate_distortion_priors.Priors, "gain", behind)
    experiments.main(arguments[:-1])
    told = "svebm: behind N(0, I) on validation data by 5 nats: a second stage does not keep it"
    assert told in capsys.readouterr().err
    rows = {r["row"]: r for r in json.loads((out / "report.json").read_text())}
    assert rows["svebm-w-0.5"]["nll"] is None and rows["svebm-w-0.5"]["bleu"] == rows["vae-w-0.5"]["bleu"]
    assert "is not kept" in rows["svebm-w-0.5"]["null_reasons"]["nll_annealed"]
    assert rows["vae-w-0.5"]["nll"] is not None and told in (out / "report.md").read_text()
    text = (out / "report.md").read_text()
    assert "The energy svebm-ib and vae-gmm are not both measured yet." in text


def test_families_are_those_of_their_networks():
    assert FAMILIES == {VAE: ("vae", "vae-gaussian", "vae-gmm", "svebm", "svebm-ib"), DGM: ("dgm-vae-i",)}
    assert rate_distortion_rows.INFORMATION == {"svebm": 0.0, "svebm-ib": 5.0}
