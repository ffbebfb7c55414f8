"""The table that is embedding and softmax at once: values and gradients against torch's own, in float64."""

import pytest
import torch
from torch.nn import functional as F

from svebm_ext.models.tied_embedding import tied_embedding

V, E, n = 7, 3, 5
WORDS = torch.tensor([2, 0, 2, 6, 2])  # a row several times, some never


def table():
    return torch.randn(V, E, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


def loss(rows, whole):
    """Depends on both outputs, nonlinearly, as the likelihood of words does."""
    return F.cross_entropy(rows.tanh() @ whole.T, WORDS.flip(0), reduction="sum")


def test_values_are_rows_and_table():
    given = table()
    rows, whole = tied_embedding(given, WORDS)
    assert torch.equal(rows, given[WORDS]) and torch.equal(whole, given)


@pytest.mark.parametrize("which", ["both", "rows", "whole"])
def test_gradient_is_that_of_an_embedding_and_a_matrix_apart(which):
    def of(rows, whole):
        return {"both": lambda: loss(rows, whole), "rows": rows.square().sum, "whole": whole.exp().sum}[which]()

    mine, theirs = table(), table()
    of(*tied_embedding(mine, WORDS)).backward()
    of(F.embedding(WORDS, theirs), theirs).backward()
    assert mine.grad.is_sparse == (which == "rows")  # nothing but rows is made where nothing else is needed
    torch.testing.assert_close(mine.grad.to_dense(), theirs.grad)
    assert (mine.grad.to_dense()[[1, 3, 4, 5]] == 0).all() == (which == "rows")


def test_gradients_are_those_of_finite_differences():
    assert torch.autograd.gradcheck(lambda given: loss(*tied_embedding(given, WORDS)), [table()])
    assert torch.autograd.gradgradcheck(lambda given: loss(*tied_embedding(given, WORDS)), [table()])


def test_two_passes_add_up():
    mine, theirs = table(), table()
    for _ in range(2):
        loss(*tied_embedding(mine, WORDS)).backward()
        loss(F.embedding(WORDS, theirs), theirs).backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
