"""The loss against hand-made sums, and its mutual information against closed forms."""

import math

import pytest
import torch

from svebm_ext.config import ObjectiveConfig
from svebm_ext.objectives.elbo import Averager, collect_terms, kept_kl, total_loss
from svebm_ext.objectives.mutual_information import entropy, mutual_information
from svebm_ext.objectives.schedules import kl_weight


def log_softmax_example(B=7, K=5):
    torch.manual_seed(0)
    return torch.randn(B, K, dtype=torch.float64).log_softmax(-1)


def test_mutual_information_of_independent_and_of_determined_symbols():
    same = log_softmax_example(1).expand(9, 5)
    assert float(mutual_information(same)[0]) == pytest.approx(0.0, abs=1e-12)
    certain = torch.log(torch.eye(4, dtype=torch.float64).clamp_min(1e-300)).repeat(3, 1)
    assert float(mutual_information(certain)[0]) == pytest.approx(math.log(4))


def test_mutual_information_equals_mean_divergence_from_the_marginal():
    log_symbol = log_softmax_example()
    marginal = log_symbol.exp().mean(0)
    expected = (log_symbol.exp() * (log_symbol - marginal.log())).sum(-1).mean()
    value, used = mutual_information(log_symbol)
    assert float(value) == pytest.approx(float(expected), rel=1e-12)
    torch.testing.assert_close(used, marginal)


def test_running_marginal_keeps_the_minibatch_gradient_where_it_equals_the_minibatch():
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    plain, marginal = mutual_information(logits.log_softmax(-1))
    expected = torch.autograd.grad(plain, logits)[0]
    mixed, _ = mutual_information(logits.log_softmax(-1), running_marginal=marginal, momentum=0.9)
    assert mixed.item() == pytest.approx(plain.item())
    torch.testing.assert_close(torch.autograd.grad(mixed, logits)[0], expected)


def test_running_marginal_is_the_mixture():
    log_symbol = log_softmax_example()
    running = torch.full((5,), 0.2, dtype=torch.float64)
    value, used = mutual_information(log_symbol, running_marginal=running, momentum=0.75)
    expected = 0.75 * running + 0.25 * log_symbol.exp().mean(0)
    torch.testing.assert_close(used, expected)
    assert float(value) == pytest.approx(float(entropy(expected) - entropy(log_symbol.exp()).mean()))


def test_free_bits_drop_value_and_gradient():
    kl = torch.tensor([[0.4, 2.0], [1.0, 1.5]], requires_grad=True)
    kept = kept_kl(kl, 1.0)
    assert kept.tolist() == [2.0, 1.5]
    kept.sum().backward()
    assert kl.grad.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    torch.testing.assert_close(kept_kl(kl.detach(), 0.0), torch.tensor([2.4, 2.5]))


def example_terms(config, scale=1.0):
    torch.manual_seed(2)
    B, K = 6, 4
    terms = {
        "kl": torch.rand(B, 3),
        "energy_positive": torch.randn(B),
        "log_symbol": torch.randn(B, K).log_softmax(-1),
        "bag_of_words": torch.rand(B),
    }
    nll, negative, logits = torch.rand(B) * 9, torch.randn(B), torch.randn(B, K)
    labels = torch.tensor([0, -1, 3, -1, -1, 2])
    return nll, terms, negative, logits, labels


def test_loss_is_the_documented_sum():
    config = ObjectiveConfig(
        mutual_information=3.0, label_weight=2.0, energy_penalty=0.1, bag_of_words=0.5, kl_weight=1.0
    )
    nll, terms, negative, logits, labels = example_terms(config)
    found = collect_terms(
        nll, terms, config, Averager(6), energy_negative=negative, label_logits=logits, labels=labels, n_labelled=3
    )
    w = 0.3
    labelled = [0, 2, 5]
    expected = (
        nll.mean()
        + w * (terms["kl"].sum(-1).mean() - terms["energy_positive"].mean() + negative.mean())
        - 3.0 * mutual_information(terms["log_symbol"])[0]
        + 0.1 * (terms["energy_positive"].square().mean() + negative.square().mean())
        + 0.5 * (1 - w) * terms["bag_of_words"].mean()
        + 2.0 * -logits.log_softmax(-1)[labelled, labels[labelled]].mean()
    )
    torch.testing.assert_close(total_loss(found, w, config), expected)


def test_shares_of_two_processes_add_up_to_the_whole():
    config = ObjectiveConfig(kl_weight=1.0)
    nll, terms, negative, _, _ = example_terms(config)
    del terms["log_symbol"]
    whole = total_loss(collect_terms(nll, terms, config, Averager(6), energy_negative=negative), 0.7, config)
    parts = [
        total_loss(
            collect_terms(
                nll[r::2],
                {k: v[r::2] for k, v in terms.items()},
                config,
                Averager(6, world_size=2),
                energy_negative=negative[r::2],
            ),
            0.7,
            config,
            2,
        )
        for r in range(2)
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_reconstruction_phase_has_no_divergence_and_keeps_information_only_where_asked():
    config = ObjectiveConfig(mutual_information=3.0)
    nll, terms, _, _, _ = example_terms(config)
    del terms["bag_of_words"]
    found = collect_terms(nll, terms, config, Averager(6))
    information = mutual_information(terms["log_symbol"])[0]
    torch.testing.assert_close(total_loss(found, 0.0, config), nll.mean() - 3.0 * information)
    off = ObjectiveConfig(mutual_information=3.0, mutual_information_always=False)
    torch.testing.assert_close(total_loss(found, 0.0, off), nll.mean())


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.0), (49, 0.0), (50, 0.0), (75, 0.25), (100, 0.5), (199, 0.5), (200, 0.0), (275, 0.25)]
)
def test_cyclical_schedule(step, expected):
    config = ObjectiveConfig(schedule="cyclical", n_cycles=5, zero_fraction=0.25, ramp_fraction=0.25, kl_weight=0.5)
    assert kl_weight(step, 1000, config) == pytest.approx(expected)


def test_other_schedules():
    assert kl_weight(7, 10, ObjectiveConfig(kl_weight=0.8)) == 0.8
    assert kl_weight(2500, 9999, ObjectiveConfig(schedule="sigmoid")) == pytest.approx(0.5)
    linear = ObjectiveConfig(schedule="linear", zero_fraction=0.2, ramp_fraction=0.4)
    assert [kl_weight(s, 100, linear) for s in (0, 19, 40, 60, 99)] == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])
    none = ObjectiveConfig(schedule="linear", zero_fraction=0.5, ramp_fraction=0.0)
    assert kl_weight(50, 100, none) == 1.0


def test_a_symbol_that_no_example_has_leaves_gradients_finite():
    """exp(-200) is 0 in float32, and its logarithm's slope is not a number; float64 has it."""
    logits = torch.tensor([[0.0, 1.0, -200.0], [0.5, -1.0, -300.0], [2.0, 0.0, -200.0]], requires_grad=True)
    exact = logits.detach().double().requires_grad_()
    for value in (logits, exact):
        information, _ = mutual_information(value.log_softmax(-1))
        (information + entropy(value.softmax(-1)).sum()).backward()
    assert float(logits.detach().softmax(-1)[:, 2].sum()) == 0.0
    torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=1e-5, atol=1e-7)
