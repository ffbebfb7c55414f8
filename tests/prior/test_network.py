"""The energy network against its equations written out in numpy."""

import numpy as np
import pytest
import torch
from scipy.special import erf, logsumexp

from svebm_ext.errors import ConfigError
from svebm_ext.prior.network import EnergyMLP

NUMPY_ACTIVATIONS = {
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.3 * x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def numpy_logits(model: EnergyMLP, z: np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
    hidden = z
    for index, (weight, layer_bias) in enumerate(model.layers()):
        if index:
            hidden = NUMPY_ACTIVATIONS[model.activation](hidden)
        hidden = hidden @ weight.detach().numpy().T + layer_bias.detach().numpy() + (bias if index == 0 else 0.0)
    return hidden


@pytest.mark.parametrize("activation", NUMPY_ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (7,), (6, 9)])
def test_logits_energy_and_posterior_follow_the_equations(activation, hidden):
    torch.manual_seed(0)
    model = EnergyMLP(3, 5, hidden, activation, negative_slope=0.3).double()
    z = 3 * torch.randn(2, 4, 3, dtype=torch.float64)
    bias = torch.randn(2, 4, hidden[0] if hidden else 5, dtype=torch.float64)
    for added in (None, bias):
        expected = numpy_logits(model, z.numpy(), 0.0 if added is None else added.numpy())
        energy = logsumexp(expected, axis=-1)
        with torch.no_grad():
            np.testing.assert_allclose(model.logits(z, added), expected, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(model.energy(z, added), energy, rtol=1e-12)
            np.testing.assert_allclose(model.log_posterior_symbol(z, added), expected - energy[..., None], atol=1e-12)


def test_energy_is_finite_for_logits_beyond_the_range_of_exp():
    model = EnergyMLP(1, 2, ())
    with torch.no_grad():
        model.linears[0].weight.copy_(torch.tensor([[1.0], [-1.0]]))
        model.linears[0].bias.zero_()
        np.testing.assert_allclose(model.energy(torch.tensor([[500.0]])), [500.0])


def test_state_dict_round_trip():
    torch.manual_seed(0)
    first, second = EnergyMLP(4, 3), EnergyMLP(4, 3)
    second.load_state_dict(first.state_dict())
    z = torch.randn(5, 4)
    assert torch.equal(first(z), second(z))


@pytest.mark.parametrize(
    "arguments",
    [
        {"latent_dim": 0, "n_categories": 2},
        {"latent_dim": 2, "n_categories": 0},
        {"latent_dim": 2, "n_categories": 2, "hidden": (4, 4, 4)},
        {"latent_dim": 2, "n_categories": 2, "activation": "relu6"},
    ],
)
def test_options_out_of_range_are_named(arguments):
    with pytest.raises(ConfigError, match="expected"):
        EnergyMLP(**arguments)


def test_prior_has_vector_and_context_as_one_input():
    """f(z, c) by the first layer on [z, c] written out."""
    torch.manual_seed(1)
    prior, z, c = EnergyMLP(3, 4, (8,), context_dim=5), torch.randn(6, 3), torch.randn(6, 5)
    first, last = prior.linears
    joined = torch.cat((first.weight, prior.context.weight), dim=1)
    hidden = torch.nn.functional.gelu(torch.cat((z, c), dim=1) @ joined.T + first.bias)
    torch.testing.assert_close(prior.logits(z, prior.context_shift(c)), last(hidden))
    with pytest.raises(ConfigError, match="built without one"):
        EnergyMLP(3, 4, (8,)).context_shift(c)
