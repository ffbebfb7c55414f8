"""The language model on a GPU: the numbers of the CPU, and no complaint of cuDNN about where weights lie."""

import dataclasses
import warnings

import pytest
import torch

from svebm_ext.data import Vocabulary
from svebm_ext.judges.language_model import PAPER, reverse_perplexity
from svebm_ext.judges.language_model.network import AWDLSTM, Masks
from svebm_ext.randomness import Draw

SETTINGS = dataclasses.replace(PAPER, embedding_dim=24, hidden=40, batch_size=8, bptt=12, epochs=2)


def losses_and_gradients(device):
    network = AWDLSTM(50, SETTINGS, seed=1).to(device)
    words = torch.randint(0, 50, (12, 8), generator=torch.Generator().manual_seed(0)).to(device)
    masks = Masks(Draw(seed=1, step=3), torch.device(device))
    found = network.window_loss(words, words.roll(-1, 0), network.initial_states(8), masks)
    (found.nll + found.regularisation).backward()
    return found.nll.item(), found.regularisation.item(), [p.grad.cpu() for p in network.parameters()]


def test_the_same_as_on_the_cpu(device):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nll, regularisation, gradients = losses_and_gradients(device.type)
    expected = losses_and_gradients("cpu")
    assert (nll, regularisation) == pytest.approx(expected[:2], rel=1e-4)
    for mine, theirs in zip(gradients, expected[2], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_reverse_perplexity_is_that_of_the_cpu(device, precision):
    words = [f"w{i}" for i in range(20)]
    generator = torch.Generator().manual_seed(0)
    sentences = [[words[i] for i in torch.randint(0, 20, (9,), generator=generator).tolist()] for _ in range(200)]
    settings = dataclasses.replace(SETTINGS, precision=precision)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, expected = (
            reverse_perplexity(sentences, sentences, settings, vocabulary=Vocabulary(words), n_valid=20, device=where)
            for where in (device.type, "cpu")
        )
    # cuDNN rounds more of the recurrence to bfloat16 than the CPU does
    assert found.perplexity == pytest.approx(expected.perplexity, rel=1e-4 if precision == "fp32" else 5e-2)
