"""The sparse multinomial likelihood against a dense one in float64."""

import pytest
import torch

from svebm_ext.errors import ConfigError
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.token_loss.documents import document_loss


def case(dtype=torch.float64, B=7, H=5, V=23, seed=0):
    g = torch.Generator().manual_seed(seed)
    dense = torch.poisson(torch.full((B, V), 0.6, dtype=torch.float64), generator=g)
    dense[2] = 0  # a document without a word
    rows, words = dense.nonzero(as_tuple=True)
    offsets = torch.cat((torch.zeros(1), (dense > 0).sum(1).cumsum(0))).long()
    hidden, weight, bias = (
        torch.randn(shape, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in ((B, H), (V, H), (V,))
    )
    return dense, (hidden, weight, bias), (words, dense[rows, words].to(dtype), offsets)


def dense_loss(dense, hidden, weight, bias):
    return -((hidden.double() @ weight.double().T + bias.double()).log_softmax(-1) * dense).sum(-1)


@pytest.mark.parametrize("upstream", ["expected", "equal", "different"])
@pytest.mark.parametrize("backend", ["reference", "native"])
def test_value_and_gradients_are_those_of_the_dense_formulation(backend, upstream):
    if backend == "native" and native_module() is None:
        pytest.skip("no native library")
    dtype = torch.float64 if backend == "reference" else torch.float32
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 2e-5, "atol": 2e-5}
    dense, parameters, bags = case(dtype)
    given = {"expected": torch.full((7,), 0.25), "equal": torch.full((7,), 1.5), "different": torch.arange(7.0) - 2}
    given = given[upstream].to(dtype)
    found = document_loss(*parameters, *bags, document_weight=0.25, backend=backend)
    gradients = torch.autograd.grad(found, parameters, given)
    expected = dense_loss(dense, *parameters)
    wanted = torch.autograd.grad(expected, parameters, given.double())
    torch.testing.assert_close(found.double(), expected, **tolerance)
    assert found[2] == 0.0
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("score", [-1e4, -1e9, -3e38, -float("inf")])
@pytest.mark.parametrize("backend", ["reference", "native"])
def test_a_word_that_never_comes_may_have_any_score(backend, score):
    if backend == "native" and native_module() is None:
        pytest.skip("no native library")
    for word in (0, 5, 22):
        dense, (hidden, weight, bias), (words, counts, offsets) = case(torch.float32)
        dense[:, word] = 0.0
        kept = words != word  # as a mask of words is used: it is in no document
        rows = torch.arange(7).repeat_interleave(offsets[1:] - offsets[:-1])[kept]
        offsets = torch.cat((torch.zeros(1), torch.bincount(rows, minlength=7).cumsum(0))).long()
        bias = bias.detach().clone().index_fill(0, torch.tensor(word), score).requires_grad_()
        found = document_loss(hidden, weight, bias, words[kept], counts[kept], offsets, backend=backend)
        gradients = torch.autograd.grad(found.sum(), (hidden, weight, bias))
        logs = (hidden.double() @ weight.double().T + bias.double()).log_softmax(-1)
        expected = -(logs * dense).where(dense > 0, 0.0).sum(-1)
        wanted = torch.autograd.grad(expected.sum(), (hidden, weight, bias))
        torch.testing.assert_close(found.double(), expected, rtol=2e-5, atol=2e-5)
        for one, other in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=2e-5, atol=2e-5)


def test_backward_may_be_asked_twice():
    _, parameters, bags = case()
    found = document_loss(*parameters, *bags).sum()
    first = torch.autograd.grad(found, parameters, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(found, parameters), strict=True):
        torch.testing.assert_close(one, other)


def test_shapes_are_checked():
    _, parameters, (words, counts, offsets) = case()
    with pytest.raises(ConfigError, match=r"document_loss: .*offsets is of shape .*expected of shape \[8\]"):
        document_loss(*parameters, words, counts, offsets[:-1])
    with pytest.raises(ConfigError, match="document_loss: bias"):
        document_loss(*parameters[:2], parameters[2].float(), words, counts, offsets)
