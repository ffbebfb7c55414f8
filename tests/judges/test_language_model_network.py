import math

import pytest
import torch
import torch.nn.functional as F
from tiny_languages import CPU, DROPOUT, random_words, settings

from svebm_ext.judges.language_model.network import AWDLSTM, Masks
from svebm_ext.judges.language_model.stream import NO_TARGET
from svebm_ext.randomness import Draw


def loss_by_torch(network, words, targets):
    """Mean loss of a network without dropout by torch's own LSTM and linear layers, which share its parameters."""
    x = F.embedding(words, network.embedding)
    for layer in network.layers:
        lstm = torch.nn.LSTM(layer.weight_ih.shape[1], layer.weight_hh.shape[1], dtype=torch.double)
        names = {f"{name}_l0": parameter for name, parameter in layer.named_parameters()}
        x, _ = torch.func.functional_call(lstm, names, (x,))
    logits = F.linear(x.flatten(0, 1), network.embedding, network.bias)
    return F.cross_entropy(logits, targets.flatten(), ignore_index=NO_TARGET)


def test_without_dropout_the_network_is_torchs_lstm_with_a_tied_softmax():
    network = AWDLSTM(11, settings(), seed=3).double()
    words, targets = random_words(9, 4), random_words(9, 4, seed=1)
    targets[6:, 3] = NO_TARGET
    with torch.no_grad():
        network.bias.normal_(generator=torch.Generator().manual_seed(0))
    found = network.window_loss(words, targets, network.initial_states(4), None)
    expected = loss_by_torch(network, words, targets)
    assert found.nll.item() == pytest.approx(expected.item(), rel=1e-12)
    assert found.regularisation.item() == 0.0
    parameters = list(network.parameters())
    assert len(parameters) == 2 + 3 * 4
    gradients = torch.autograd.grad(found.nll, parameters), torch.autograd.grad(expected, parameters)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-14)


def test_initial_weights():
    network = AWDLSTM(2000, settings(embedding_dim=40, hidden=100, n_layers=2, input_gain=10.0), seed=1)
    first, last = network.layers
    reaches = {network.embedding: 0.1, first.weight_ih: 1.0, first.weight_hh: 0.1, last.weight_hh: 1 / math.sqrt(40)}
    for parameter, reach in reaches.items():
        assert 0.99 * reach < parameter.abs().max().item() <= reach
        assert parameter.std().item() == pytest.approx(reach / math.sqrt(3), rel=0.03)
    assert not network.bias.any()
    network.start_at_frequencies(torch.tensor([5, 5, 7]))
    assert network.bias.exp().sum().item() == pytest.approx(1, rel=1e-4)
    assert network.bias[[5, 7, 8]].exp().tolist() == pytest.approx([3 / 2003, 2 / 2003, 1 / 2003], rel=1e-4)


def test_masks_have_the_share_of_zeros_and_the_expectation_that_they_should():
    masks = Masks(Draw(seed=0, step=0), CPU)
    for probability in (0.05, 0.5, 0.9):
        mask = masks.mask(3, 400, 100, probability)
        share = float((mask == 0).double().mean())
        deviation = math.sqrt(probability * (1 - probability) / mask.numel())
        assert abs(share - probability) < 4 * deviation
        assert mask.unique().tolist() == pytest.approx([0, 1 / (1 - probability)])
        assert abs(float(mask.double().mean()) - 1) < 4 * deviation / (1 - probability)
    first, other, later = (
        Masks(Draw(seed, step), CPU).mask(number, 50, 20, 0.5)
        for seed, step, number in [(0, 0, 3), (0, 0, 4), (0, 1, 3)]
    )
    assert torch.equal(first, masks.mask(3, 50, 20, 0.5))
    for mask in (other, later):  # independent: they agree at about half of the places
        assert float((first == mask).double().mean()) == pytest.approx(0.5, abs=0.08)


def test_all_masks_are_the_same_at_all_time_steps():
    """A window in one call, and step by step with the states handed on, under masks of the same address."""
    network = AWDLSTM(11, settings(**DROPOUT)).double()
    words, masks = random_words(9, 4), Masks(Draw(seed=5, step=2), CPU)
    whole, raw, final = network(words, network.initial_states(4), masks)
    states, steps = network.initial_states(4), []
    for row in words:
        output, _, states = network(row[None], states, Masks(Draw(seed=5, step=2), CPU))
        steps.append(output)
    torch.testing.assert_close(torch.cat(steps), whole)
    torch.testing.assert_close(states, final)
    ratio = whole / raw
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
    assert set(ratio.unique().round(decimals=6).tolist()) == {0.0, 2.0}
    assert not torch.allclose(ratio[0, 0], ratio[0, 1])  # columns have masks of their own
    another, *_ = network(words, network.initial_states(4), Masks(Draw(seed=5, step=3), CPU))
    assert not torch.allclose(whole, another)


@pytest.mark.parametrize("name", DROPOUT)
def test_each_dropout_acts_alone_where_it_should(name):
    """Every kind of dropout is the network without it, applied to parameters or values masked by hand."""
    network, masks = AWDLSTM(11, settings(**{name: 0.5})).double(), Masks(Draw(seed=1, step=0), CPU)
    words = random_words(6, 4)
    output, raw, _ = network(words, network.initial_states(4), masks)
    numbers = {"embedding_dropout": 0, "input_dropout": 1, "hidden_dropout": (3, 5), "output_dropout": 7}
    plain = AWDLSTM(11, settings()).double()
    if name == "weight_drop":
        with torch.no_grad():
            for i, layer in enumerate(plain.layers):
                layer.weight_hh.mul_(masks.mask(2 + 2 * i, *layer.weight_hh.shape, 0.5))
        expected = plain(words, plain.initial_states(4))[0]
    else:
        x = F.embedding(words, plain.embedding)
        if name == "embedding_dropout":
            x = x * masks.mask(numbers[name], 11, 1, 0.5)[words]
        if name == "input_dropout":
            x = x * masks.mask(numbers[name], 4, 5, 0.5)
        for i, layer in enumerate(plain.layers):
            x, _ = layer(x, plain.initial_states(4)[i], None)
            if (name == "hidden_dropout" and i < 2) or (name == "output_dropout" and i == 2):
                x = x * masks.mask(3 + 2 * i, 4, x.shape[2], 0.5)
        expected = x
    torch.testing.assert_close(output, expected)
    assert torch.equal(raw, output) == (name != "output_dropout")
    assert not torch.allclose(output, plain(words, plain.initial_states(4))[0]) or name == "weight_drop"


def test_gradients_of_dropped_weights_reach_the_raw_weights():
    network, masks = AWDLSTM(11, settings(weight_drop=0.5)).double(), Masks(Draw(seed=1, step=0), CPU)
    words, targets = random_words(9, 4), random_words(9, 4, seed=1)
    network.window_loss(words, targets, network.initial_states(4), masks).nll.backward()
    weight = network.layers[1].weight_hh
    mask = masks.mask(2 + 2, *weight.shape, 0.5)
    assert torch.equal(weight.grad == 0, mask == 0)
    # Along the gradient, the loss changes as it says: the raw weight is the parameter.
    slope, step = float(weight.grad.norm()), 1e-3
    losses = []
    for sign in (1, -1):
        moved = AWDLSTM(11, settings(weight_drop=0.5)).double()
        with torch.no_grad():
            moved.layers[1].weight_hh.add_(weight.grad, alpha=sign * step / slope)
            losses.append(float(moved.window_loss(words, targets, moved.initial_states(4), masks).nll))
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope, rel=1e-5)


def test_activation_regularisation_by_its_formulas():
    network = AWDLSTM(11, settings(**DROPOUT, alpha=2.0, beta=3.0)).double()
    words, targets, draw = random_words(9, 4), random_words(9, 4, seed=1), Draw(seed=2, step=0)
    found = network.window_loss(words, targets, network.initial_states(4), Masks(draw, CPU))
    with torch.no_grad():
        dropped, raw, _ = network(words, network.initial_states(4), Masks(draw, CPU))
    ar, tar = 0.0, 0.0
    for b in range(4):
        for t in range(9):
            ar += sum(float(x) ** 2 for x in dropped[t, b]) / (9 * 4 * 5)
            if t > 0:
                tar += sum(float(x) ** 2 for x in raw[t, b] - raw[t - 1, b]) / (8 * 4 * 5)
    assert found.regularisation.item() == pytest.approx(2 * ar + 3 * tar, rel=1e-5)
    one_step = network.window_loss(words[:1], targets[:1], network.initial_states(4), None)
    assert math.isfinite(one_step.regularisation.item())
