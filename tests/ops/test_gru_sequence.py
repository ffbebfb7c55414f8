"""The packed GRU against torch.nn.GRU, values and gradients, in float64."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from svebm_ext.models.encoders import run_recurrent
from svebm_ext.ops.gru_sequence.reference import packed_gru


def example(lengths, inputs=5, H=4, bidirectional=False):
    torch.manual_seed(len(lengths))
    network = nn.GRU(inputs, H, bidirectional=bidirectional).double()
    padded = torch.randn(max(lengths), len(lengths), inputs, dtype=torch.float64)
    packed = pack_padded_sequence(padded, torch.tensor(lengths))
    initial = torch.randn(len(lengths), H, dtype=torch.float64)
    return network, packed, initial


@pytest.mark.parametrize("lengths", [[1], [3], [7, 4, 4, 1], [2, 2, 2]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_equals_torch_gru_and_its_gradients(lengths, bidirectional):
    network, packed, initial = example(lengths, bidirectional=bidirectional)
    results = []
    for ours in (True, False):
        data = packed.data.clone().requires_grad_()
        h0 = initial.clone().requires_grad_()
        if ours:
            hidden, final = run_recurrent(network, data, packed.batch_sizes, (h0,))
        else:
            start = torch.stack([h0] * (2 if bidirectional else 1))
            output, state = network(packed._replace(data=data), start)
            hidden, final = output.data, tuple(state)
        loss = (hidden * torch.linspace(-1, 1, hidden.numel()).view_as(hidden)).sum() + sum(
            f.sin().sum() for f in final
        )
        gradients = torch.autograd.grad(loss, [data, h0, *network.parameters()])
        results.append((hidden, *final, *gradients))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_against_finite_differences(reverse):
    sizes = torch.tensor([3, 2, 2, 1])
    torch.manual_seed(0)
    arguments = [torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((8, 6), (3, 2), (6, 2), (6,))]

    def run(gates, initial, weight, bias):
        return packed_gru(gates, sizes, initial, weight, bias, reverse=reverse)

    assert torch.autograd.gradcheck(run, arguments)
