"""One update: which parameters each scheme moves, and with which gradient."""

import copy
import math

import pytest
import torch
from tiny_runs import tiny_config, tiny_training, write_corpus

from svebm_ext.data.batching import EncodedSplit, collate
from svebm_ext.objectives.elbo import kept_kl
from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.precision import cpu_multiplies_bf16
from svebm_ext.randomness import Draw
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.optimisers import Optimisers
from svebm_ext.training.run import train
from svebm_ext.training.update import Update


def tiny_update(tmp_path, **changes):
    config, runtime, networks, feed = tiny_training(tmp_path, **changes)
    return config, runtime, networks, feed.batch(0)


def loss_by_hand(networks, share, negatives, weight, config, prior_only=False):
    forward = networks(share.batch, Draw(config.seed, 0))
    z, posterior = forward.z, forward.posterior
    if prior_only:
        z = z.detach()
    prior = networks.latent.prior
    kl = posterior.terms(z)["kl"]
    contrast = prior.energy(negatives).mean() - prior.energy(z).mean()
    information = mutual_information(prior.log_posterior_symbol(z))[0]
    rest = forward.nll.mean() + weight * kept_kl(kl, 0.0).mean()
    return (0 if prior_only else rest) + weight * contrast - config.objective.mutual_information * information


def test_plateau_shrinks_the_step_once_for_each_validation_without_improvement(tmp_path, monkeypatch):
    from svebm_ext.training import loop, validation

    bounds = iter([5.0, 4.0, 4.5, 4.0, 3.0, 3.5])  # the third, fourth and sixth are no improvement
    monkeypatch.setattr(validation.Validator, "measure", lambda *_, **__: {"valid_bound": next(bounds)})
    rates = []
    original = loop.Trainer.iterate

    def iterate(self):
        outcome = original(self)
        rates.append(self.optimisers.groups["networks"][1].param_groups[0]["lr"])
        return outcome

    monkeypatch.setattr(loop.Trainer, "iterate", iterate)
    config = tiny_config(
        write_corpus(tmp_path),
        optimiser={"schedule": "plateau", "learning_rate": 1e-3},
        objective={"schedule": "linear", "zero_fraction": 0.0, "ramp_fraction": 0.5},
        training={"validate_every": 2},
    )
    train(config, tmp_path / "run")
    # w is below .9 of its largest up to the sixth iteration: nothing counts before, so the third validation does not
    expected = [1.0] * 8 + [0.8] * 4
    assert rates == pytest.approx([1e-3 * factor for factor in expected])
    _, state = load_checkpoint(tmp_path / "run" / loop.LAST)
    assert state["decay"] == pytest.approx(0.64)


@pytest.mark.parametrize(("scheme", "per_iteration"), [("joint", 0), ("joint", 20), ("alternating", 0)])
def test_parameters_move_by_one_adam_step_on_the_documented_gradient(tmp_path, scheme, per_iteration):
    config, runtime, networks, share = tiny_update(
        tmp_path,
        objective={"update": scheme, "mutual_information": 2.0},
        optimiser={"clip": 0.0, "prior_clip": 0.0},
        chains={"per_iteration": per_iteration},
    )
    negatives, weight = torch.randn(per_iteration or 8, 4), 0.7
    # The same two steps by autograd and torch's Adam on a copy.
    other = copy.deepcopy(networks)
    rates = config.optimiser
    prior = torch.optim.Adam(other.prior_parameters(), lr=rates.prior_learning_rate)
    rest = torch.optim.Adam(other.network_parameters(), lr=rates.learning_rate)
    if scheme == "alternating":
        loss_by_hand(other, share, negatives, weight, config, prior_only=True).backward()
        prior.step()
        other.zero_grad(set_to_none=True)
        loss_by_hand(other, share, negatives, weight, config).backward()
        rest.step()
    else:
        loss_by_hand(other, share, negatives, weight, config).backward()
        prior.step()
        rest.step()
    Update(networks, Optimisers(networks, rates), config, runtime)(share, negatives, weight, 0)
    for (name, mine), theirs in zip(networks.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=2e-6, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("clip", [0.0, 1e-3, 1e6])
def test_clipped_steps_are_those_of_torch(tmp_path, tied, clip):
    """Two steps, so that rows of an embedding that only the first one touched are seen to be clear in the second."""
    config, runtime, networks, share = tiny_update(
        tmp_path, optimiser={"clip": clip}, model={"tied": tied, "embedding_dim": 8, "decoder_hidden": 8}
    )
    other = copy.deepcopy(networks)
    plain = torch.optim.Adam(other.network_parameters(), lr=config.optimiser.learning_rate)
    optimisers = Optimisers(networks, config.optimiser)
    assert networks.encoder.embedding.sparse and not other.encoder.embedding.sparse
    batch = share.batch
    halves = [collate_rows(batch, slice(0, None, 2)), collate_rows(batch, slice(1, None, 2))]
    for step, half in enumerate(halves):
        draw = Draw(config.seed, step)
        for model in (networks, other):
            model(half, draw).nll.mean().backward()
        expected = torch.nn.utils.clip_grad_norm_(other.network_parameters(), clip or float("inf"))
        plain.step()
        plain.zero_grad()
        assert optimisers.apply("networks", runtime) == pytest.approx(float(expected), rel=1e-5)
    for (name, mine), theirs in zip(networks.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=2e-6, msg=lambda m, name=name: f"{name}: {m}")


def collate_rows(batch, rows):
    """Sentences of a packed batch as a batch of their own."""
    chosen = torch.arange(batch.n_sentences)[rows]
    words = [batch.targets[batch.rows == row] for row in chosen]
    lengths = torch.tensor([len(sentence) for sentence in words])
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)))
    split = EncodedSplit(torch.cat(words), offsets, torch.full((len(words),), -1))
    return collate(split, torch.arange(len(words)))


def test_a_gradient_that_is_not_finite_moves_nothing(tmp_path):
    config, runtime, networks, share = tiny_update(tmp_path)
    other = copy.deepcopy(networks)
    optimisers, of_other = Optimisers(networks, config.optimiser), Optimisers(other, config.optimiser)
    before = [p.clone() for p in networks.network_parameters()]
    (networks(share.batch, Draw(0, 0)).nll.mean() * float("nan")).backward()
    assert not math.isfinite(optimisers.apply("networks", runtime))
    assert all(torch.equal(a, b) for a, b in zip(before, networks.network_parameters(), strict=True))
    for model, used in ((networks, optimisers), (other, of_other)):  # nor the moments: as if it had not been there
        model(share.batch, Draw(0, 1)).nll.mean().backward()
        assert math.isfinite(used.apply("networks", runtime))
    assert all(torch.equal(a, b) for a, b in zip(networks.parameters(), other.parameters(), strict=True))


def test_reconstruction_phase_leaves_the_prior_alone_without_information(tmp_path):
    config, runtime, networks, share = tiny_update(tmp_path, objective={"mutual_information": 0.0})
    before = [p.clone() for p in networks.prior_parameters()]
    Update(networks, Optimisers(networks, config.optimiser), config, runtime)(share, None, 0.0, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, networks.prior_parameters(), strict=True))


def test_information_kept_off_the_encoder_moves_only_the_prior(tmp_path):
    gradients = []
    for reaches in (False, True):
        config, _, networks, share = tiny_update(
            tmp_path, objective={"mutual_information": 50.0, "mutual_information_encoder": reaches}
        )
        from svebm_ext.models.latent_variable import Forward
        from svebm_ext.objectives.elbo import Averager
        from svebm_ext.training.terms import terms_of

        passed = networks(share.batch, Draw(0, 0))
        passed = Forward(passed.nll.detach(), passed.posterior, passed.z)
        terms = terms_of(networks, passed, share, None, config, Averager(share.n_total), None)
        parameters = [networks.latent.to_mean.weight, networks.latent.prior.layers()[0][0]]
        gradients.append(torch.autograd.grad(terms.mutual_information, parameters, allow_unused=True))
    assert gradients[0][0] is None and gradients[0][1].abs().sum() > 0
    assert gradients[1][0].abs().sum() > 0


def test_in_bf16_trains_close_to_fp32(tmp_path):
    import json

    corpus = write_corpus(tmp_path)
    losses = {}
    for precision in ("fp32", "bf16"):
        config = tiny_config(corpus, training={"precision": precision, "max_steps": 30})
        train(config, tmp_path / precision)
        lines = (tmp_path / precision / "metrics.jsonl").read_text().splitlines()
        losses[precision] = [json.loads(line)["nll"] for line in lines if "nll" in json.loads(line)]
    assert (losses["fp32"] != losses["bf16"]) == cpu_multiplies_bf16()
    assert losses["bf16"][-1] == pytest.approx(losses["fp32"][-1], rel=0.03)
