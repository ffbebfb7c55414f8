"""Runs that go wrong stop with what to change, and keep the last good state."""

import json
import math
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import BagModel, Config, PointModel
from svebm_ext.errors import ConfigError, TrainingDivergedError
from svebm_ext.models.svebm import SVEBM
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.guards import COLLAPSE_AFTER, MAX_SKIPPED, Guards, cure
from svebm_ext.training.loop import Trainer
from svebm_ext.training.run import train
from svebm_ext.training.update import Outcome
from svebm_ext.training.validation import Validator, symbol_use


def outcome(loss=1.0, norm=1.0, **terms):
    return Outcome(loss, {"nll": 1.0, "kl": 3.0, **terms}, norm, 1.0, None)


def test_loss_that_is_not_finite():
    with pytest.raises(TrainingDivergedError, match=r"iteration 7: kl is not finite.*learning-rate"):
        Guards(Config(), print).check(7, outcome(kl=math.nan), 1.0)


def test_gradients_that_stay_not_finite():
    said = []
    guards = Guards(Config(), said.append)
    for step in range(MAX_SKIPPED - 1):
        guards.check(step, outcome(norm=math.inf), 1.0)
    assert len(said) == 1 and "skipped" in said[0]
    with pytest.raises(TrainingDivergedError, match="gradients"):
        guards.check(99, outcome(norm=math.nan), 1.0)


def test_a_finite_gradient_resets_the_count():
    guards = Guards(Config(), lambda _: None)
    for step in range(5 * MAX_SKIPPED):
        guards.check(step, outcome(norm=math.inf if step % 2 else 1.0), 1.0)


@pytest.mark.parametrize("name", ["energy_positive", "energy_negative"])
def test_diverged_energy(name):
    with pytest.raises(TrainingDivergedError, match=r"max-energy.*--training.prior-stage second.*energy-penalty 0.02"):
        Guards(Config(), print).check(3, outcome(**{name: -2e4}), 1.0)


def test_collapsed_posterior_warns_once():
    said = []
    guards = Guards(Config(), said.append)
    guards.check(1, outcome(kl=0.01), 1.0)
    guards.check(1000, outcome(kl=0.01), 0.5)
    assert not said
    guards.check(1001, outcome(kl=0.01), 1.0)
    guards.check(1002, outcome(kl=0.01), 1.0)
    assert len(said) == 1 and "collapsed" in said[0]


@pytest.mark.parametrize(
    ("gap", "n", "warns"), [(40.0, 99, False), (40.0, 101, True), (10.0, 2000, False), (-90.0, 500, False)]
)
def test_chains_left_behind_warn_once(gap, n, warns):
    """A gap that lasts; one iteration of a batch's long sentences is none."""
    said = []
    guards = Guards(Config(), said.append)
    guards.check(1, outcome(energy_positive=200.0, energy_negative=0.0), 1.0)
    for step in range(2, 1 + n):
        guards.check(step, outcome(energy_positive=20.0 + gap, energy_negative=20.0), 1.0)
    assert len(said) == warns
    assert not warns or ("--training.prior-stage second" in said[0] and "step-size" not in said[0])


def check_all(guards, n, weight=1.0, begin=1, **terms):
    for step in range(begin, begin + n):
        guards.check(step, outcome(**terms), weight)


def test_energies_that_rise_together_stop_the_run():
    """No gap tells of it, and no single value is beyond training.max-energy."""
    guards = Guards(Config(), print)
    # The mean of n values 400 is 400 (1 - 0.99^n): above 200 from n = 69 on.
    check_all(guards, 68, energy_positive=400.0, energy_negative=401.0)
    with pytest.raises(
        TrainingDivergedError, match=r"iteration 69: .*run away together.*--training.prior-stage second"
    ):
        check_all(guards, 1, begin=69, energy_positive=400.0, energy_negative=401.0)
    with pytest.raises(TrainingDivergedError, match="run away together"):
        check_all(Guards(Config(), print), 200, energy_positive=-400.0, energy_negative=-300.0)


@pytest.mark.parametrize(("positive", "negative"), [(60.0, 60.0), (-400.0, 400.0), (190.0, 900.0)])
def test_energies_that_do_not_rise_together_go_on(positive, negative):
    check_all(Guards(Config(), lambda _: None), 1000, energy_positive=positive, energy_negative=negative)


def test_advice_is_what_the_configuration_allows():
    """The prior of documents, or one with plain labels, cannot be learnt in a second stage."""
    config = Config()
    for changed in (
        replace(config, model=BagModel()),
        replace(config, objective=replace(config.objective, label_weight=1.0)),
        replace(config, objective=replace(config.objective, regroup_at=0.5)),
    ):
        assert "prior-stage" not in cure(changed) and "energy-penalty 0.02" in cure(changed)
    words = {"label_weight": 1.0, "pseudo_label_weight": 1.0, "pseudo_labels": "words"}
    assert "--training.prior-stage second" in cure(replace(config, objective=replace(config.objective, **words)))


def informed(**changes):
    config = Config()
    return replace(config, objective=replace(config.objective, mutual_information=1.0), **changes)


def test_symbols_without_information_warn_once():
    said = []
    guards = Guards(informed(), said.append)
    check_all(guards, COLLAPSE_AFTER - 1, mi=0.0)  # the beginning says nothing
    check_all(guards, 300, weight=0.5, begin=COLLAPSE_AFTER, mi=0.0)  # w is still rising
    assert not said
    check_all(guards, 300, begin=1000, mi=0.04)
    assert len(said) == 1 and "I(z, y) 0.040 nats" in said[0] and "--training.prior-stage second" in said[0]


def test_symbols_with_information_or_that_nobody_asked_for_do_not_warn():
    said = []
    check_all(Guards(informed(), said.append), 2000, mi=0.06)
    check_all(Guards(Config(), said.append), 2000, mi=0.0)
    one = informed(model=replace(Config().model, n_categories=1))
    check_all(Guards(one, said.append), 2000, mi=0.0)
    assert not said


def test_bound_below_zero_is_no_valid_state():
    said = []
    guards = Guards(Config(), said.append)
    assert guards.accept(10, {"valid_bound": 0.1}, 1.0)
    assert not guards.accept(20, {"valid_bound": -172.0}, 1.0)
    assert not guards.accept(30, {"valid_bound": -172.0}, 1.0)
    assert len(said) == 1 and "iteration 20: the validation bound is -172.0" in said[0] and "prior-stage" in said[0]


def test_densities_of_points_may_have_a_negative_bound():
    said = []
    config = replace(Config(), model=PointModel())
    assert Guards(config, said.append).accept(20, {"valid_bound": -3.0}, 1.0) and not said


def test_a_state_half_way_to_a_runaway_is_not_accepted():
    guards = Guards(Config(), print)
    check_all(guards, 28, energy_positive=400.0, energy_negative=400.0)  # 400 (1 - 0.99^28) = 98
    assert guards.accept(28, {"valid_bound": 50.0}, 1.0)
    check_all(guards, 1, begin=29, energy_positive=400.0, energy_negative=400.0)
    assert not guards.accept(29, {"valid_bound": 50.0}, 1.0)


def use(used, share):
    return {"valid_bound": 50.0, "valid_symbols_used": used, "valid_largest_symbol": share}


def test_use_of_symbols_warns_once():
    said = []
    config = replace(Config(), model=replace(Config().model, n_categories=20))
    guards = Guards(config, said.append)
    options = {"n_texts": 500, "largest_class": 0.0}
    assert guards.accept(COLLAPSE_AFTER - 1, use(1, 1.0), 1.0, **options)  # too early to tell
    assert guards.accept(2000, use(1, 1.0), 0.5, **options)  # w is still rising
    assert guards.accept(2000, use(10, 0.5), 1.0, **options)
    assert not said
    for step in (3000, 4000):
        guards.accept(step, use(9, 0.51), 1.0, **options)
    assert len(said) == 2
    assert "one symbol has 51% of the validation texts" in said[0] and "9 of 20 symbols are in use" in said[1]


def test_symbols_may_be_as_few_as_texts_and_as_large_as_classes():
    said = []
    config = replace(Config(), model=replace(Config().model, n_categories=20))
    guards = Guards(config, said.append)
    guards.accept(2000, use(4, 0.5), 1.0, n_texts=8, largest_class=0.0)
    guards.accept(3000, use(20, 0.8), 1.0, n_texts=500, largest_class=0.75)
    assert not said


def test_state_of_the_guards_goes_on_where_it_was():
    said = []
    first, second = Guards(informed(), said.append), Guards(informed(), said.append)
    check_all(first, 60, begin=600, mi=0.0, energy_positive=400.0, energy_negative=380.0)
    second.load(json.loads(json.dumps(first.state())))
    assert second.state() == first.state()
    for guards in (first, second):
        with pytest.raises(TrainingDivergedError, match=r"iteration 674: .*run away"):
            check_all(guards, 100, begin=660, mi=0.0, energy_positive=400.0, energy_negative=380.0)


def test_use_of_symbols_counts_answers():
    """Three of four texts have symbol 2, surely: H = h(1/4), and nothing is left of it given z."""
    answers = torch.full((4, 1, 5), -math.inf)
    answers[:3, 0, 2] = answers[3, 0, 0] = 0.0
    found = symbol_use(answers)
    assert found["valid_symbols_used"] == 2 and found["valid_largest_symbol"] == 0.75
    assert found["valid_mi"] == pytest.approx(math.log(4) - 0.75 * math.log(3))
    assert symbol_use(answers.expand(4, 2, 5)) == {} == symbol_use(torch.zeros(4, 1, 1))


@pytest.mark.parametrize("invalid_from", [7, 1])
def test_invalid_states_are_never_the_best(tmp_path, monkeypatch, invalid_from):
    """A bound below zero is the lowest of all; what comes before it stays the best."""
    original = Validator.measure

    def measure(self, model, **options):
        found = original(self, model, **options)
        steps.append(6 * (len(steps) + 1))
        return found | ({"valid_bound": -172.0} if steps[-1] >= invalid_from else {})

    steps = []
    monkeypatch.setattr(Validator, "measure", measure)
    train(tiny_config(write_corpus(tmp_path)), tmp_path / "out")
    best = tmp_path / "out/checkpoints/best.safetensors"
    assert steps == [6, 12] and best.exists() == (invalid_from == 7)
    if best.exists():
        _, state = load_checkpoint(best)
        assert state["step"] == 6 and state["best"] > 0


def test_validation_tells_the_use_of_symbols(tmp_path):
    train(tiny_config(write_corpus(tmp_path)), tmp_path / "out")
    records = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text().splitlines()]
    found = [record for record in records if "valid_bound" in record]
    assert len(found) == 2
    for record in found:
        assert 1 <= record["valid_symbols_used"] <= 6 and 1 / 6 <= record["valid_largest_symbol"] <= 1
        assert 0 <= record["valid_mi"] <= math.log(6)


def test_diverging_run_keeps_its_last_good_checkpoint(tmp_path):
    config = tiny_config(
        write_corpus(tmp_path),
        optimiser={"prior_learning_rate": 50.0, "prior_clip": 0.0},
        training={"max_steps": 400, "checkpoint_every": 1, "max_energy": 500.0, "recoveries": 0},
    )
    with pytest.raises(TrainingDivergedError, match=r"Last good state: .*last.safetensors"):
        train(config, tmp_path / "out")
    tensors, state = load_checkpoint(tmp_path / "out/checkpoints/last.safetensors")
    assert 1 <= state["step"] < 400
    assert all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point())


def diverge_at(monkeypatch, step):
    """Let updates from this iteration on report an energy beyond all bounds."""
    original = Trainer.iterate

    def iterate(self):
        outcome, *rest = original(self)
        if self.step >= step:
            outcome.terms["energy_positive"] = 1e9
        return outcome, *rest

    monkeypatch.setattr(Trainer, "iterate", iterate)


def test_diverged_run_leaves_a_model_of_its_best_state(tmp_path, monkeypatch):
    diverge_at(monkeypatch, 9)
    out = tmp_path / "out"
    with pytest.raises(TrainingDivergedError, match=rf"last.safetensors; the best valid model is in {out}$"):
        train(tiny_config(write_corpus(tmp_path)), out)
    best, state = load_checkpoint(out / "checkpoints/best.safetensors")
    assert state["step"] == 6
    model = SVEBM.from_pretrained(out)
    for name, value in model.networks.state_dict().items():
        assert torch.equal(value, best[f"model.{name}"]), name
    assert len(model.generate(2, seed=0)) == 2


def test_run_that_diverges_before_its_first_validation_leaves_no_model(tmp_path, monkeypatch):
    diverge_at(monkeypatch, 3)
    with pytest.raises(TrainingDivergedError, match=r"none was saved yet$"):
        train(tiny_config(write_corpus(tmp_path), training={"recoveries": 0}), tmp_path / "out")
    assert not (tmp_path / "out/model.safetensors").exists()


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    train(config, tmp_path / "out")
    with pytest.raises(ConfigError, match="already holds a run"):
        train(config, tmp_path / "out")
    with pytest.raises(ConfigError, match="max-steps"):
        train(replace(config, training=replace(config.training, max_steps=5)), tmp_path / "out", resume=True)
