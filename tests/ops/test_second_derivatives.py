"""Derivatives of derivatives, and torch.func: right on both backends, alone and in a sum with other terms."""

import pytest
import torch
import torch.nn.functional as F
from op_calls import Numbers, whole
from torch_warnings import JIT

from svebm_ext.data.batching import EncodedSplit, collate
from svebm_ext.data.corpus import Split
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.decoders import RecurrentDecoder
from svebm_ext.ops.backend import unavailable_reason, use_backend
from svebm_ext.ops.gru_sequence import gru_sequence
from svebm_ext.ops.token_loss import token_loss
from svebm_ext.ops.token_loss.documents import document_loss

REASON = unavailable_reason("token_loss", "cpu")
BACKENDS = [pytest.param("native", marks=pytest.mark.skipif(bool(REASON), reason=REASON)), "reference"]
TARGETS, SIZES = whole(3, 0, 8, 8, 1, 2), whole(3, 2, 1)
WORDS, COUNTS, OFFSETS = whole(0, 3, 3, 8, 1), torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0]), whole(0, 2, 2, 5)


def other_terms(*tensors):
    return sum((x**3).sum() for x in tensors) / 10


def second(function, tensors, other):
    """Gradient of the squared norm of the gradient."""

    def total(*given):
        return function(*given) + (other_terms(*given) if other else 0.0)

    gradients = torch.autograd.grad(total(*tensors), tensors, create_graph=True)
    return torch.autograd.grad(sum((g**2).sum() for g in gradients), tensors)


def compare(function, exact, tensors, other):
    found = second(function, [x.detach().requires_grad_() for x in tensors], other)
    expected = second(exact, [x.detach().double().requires_grad_() for x in tensors], other)
    for value, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(value.double(), wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()) + 1e-9)
        assert wanted.abs().max() > 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("token_weight", [1.0, 0.25])
def test_token_loss(backend, other, token_weight):
    numbers = Numbers(0)
    upstream = numbers.normal(6)

    def found(h, w, b):
        return (token_loss(h, w, TARGETS, b, token_weight=token_weight, backend=backend) * upstream).sum()

    def exact(h, w, b):
        return (F.cross_entropy(F.linear(h, w, b), TARGETS, reduction="none") * upstream.double()).sum()

    compare(found, exact, [numbers.normal(6, 4), numbers.normal(9, 4), numbers.normal(9)], other)


@pytest.mark.parametrize("backend", BACKENDS)
def test_token_loss_where_only_one_operand_has_a_gradient(backend):
    numbers = Numbers(1)
    hidden, weight = numbers.normal(6, 4), numbers.normal(9, 4)
    for which in (0, 1):

        def pair(x, which=which, dtype=None):
            return (x, weight.to(x.dtype)) if which == 0 else (hidden.to(x.dtype), x)

        compare(
            lambda x: token_loss(*pair(x), TARGETS, backend=backend).sum(),
            lambda x: F.cross_entropy(F.linear(*pair(x)), TARGETS, reduction="sum"),
            [(hidden, weight)[which]],
            False,
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("other", [False, True])
def test_document_loss(backend, other):
    numbers = Numbers(0)

    def exact(h, w, b):
        rows = torch.tensor([0, 0, 2, 2, 2])
        log_p = F.linear(h, w, b).log_softmax(-1)
        return -(COUNTS.double() * log_p[rows, WORDS]).sum()

    def found(h, w, b):
        return document_loss(h, w, b, WORDS, COUNTS, OFFSETS, backend=backend).sum()

    compare(found, exact, [numbers.normal(3, 4), numbers.normal(9, 4), numbers.normal(9)], other)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("used", ["states", "final", "both"])
def test_gru_sequence(backend, other, directions, used):
    numbers, H, fan_in = Numbers(0), 4, 3
    shapes = [(3 * H, fan_in), (3 * H, H), (3 * H,), (3 * H,)] * directions
    of_states, of_final = numbers.normal(6, directions * H), numbers.normal(directions, 3, H)

    def total(states, final):
        states, final = (states * of_states.to(states.dtype)).sum(), (final * of_final.to(final.dtype)).sum()
        return states + final if used == "both" else states if used == "states" else final

    def exact(x, h, *parameters):
        layer = torch.nn.GRU(fan_in, H, bidirectional=directions == 2).double()
        named = dict(zip((name for name, _ in layer.named_parameters()), parameters, strict=True))
        states, final = torch.func.functional_call(layer, named, (torch.nn.utils.rnn.PackedSequence(x, SIZES), h))
        return total(states.data, final)

    tensors = [numbers.normal(6, fan_in), numbers.normal(directions, 3, H), *(numbers.normal(*s) for s in shapes)]
    compare(lambda x, h, *p: total(*gru_sequence(x, SIZES, h, p, backend=backend)), exact, tensors, other)


SENTENCES = [["a", "b", "c"], ["b"], ["c", "a", "a", "b", "c"], ["a", "a"]]


def decoder_nll(*, tied, sparse, dtype, cell="gru"):
    """A function of the parameters and z, with the parameters."""
    vocabulary = Vocabulary.build(SENTENCES)
    batch = collate(EncodedSplit.from_split(Split(SENTENCES), vocabulary), list(range(4)))
    torch.manual_seed(0)
    decoder = RecurrentDecoder(len(vocabulary), 3, 6, 6, tied=tied, cell=cell).to(dtype)
    decoder.embedding.sparse = sparse
    z = Numbers(2).normal(4, 3).to(dtype).requires_grad_()
    return lambda: decoder.nll(batch, z).mean(), [*decoder.parameters(), z]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize(("tied", "sparse"), [(True, False), (True, True), (False, False)])
def test_decoder_nll(backend, other, tied, sparse):
    """`sparse` is how training has the embedding."""
    results = []
    for kind, dtype in ((sparse, torch.float32), (False, torch.float64)):
        nll, tensors = decoder_nll(tied=tied, sparse=kind, dtype=dtype)
        with use_backend(backend if dtype == torch.float32 else "reference"):
            first = torch.autograd.grad(nll() + (other_terms(*tensors) if other else 0), tensors)
            results.append([*first, *second(lambda *_: nll(), tensors, other)])  # noqa: B023
    for found, expected in zip(*results, strict=True):
        found = found.to_dense() if found.is_sparse else found
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5 * float(expected.abs().max()) + 1e-9)


@JIT
@pytest.mark.parametrize("backend", BACKENDS)
def test_transforms_of_functions(backend):
    numbers = Numbers(3)
    hidden, weight = numbers.normal(6, 4), numbers.normal(9, 4)

    def loss(h, w, t=TARGETS):
        return token_loss(h, w, t, backend=backend).sum()

    leaves = [x.clone().requires_grad_() for x in (hidden, weight)]
    expected = torch.autograd.grad(F.cross_entropy(F.linear(*leaves), TARGETS, reduction="sum"), leaves)
    for found, wanted in zip(torch.func.grad(loss, argnums=(0, 1))(hidden, weight), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    each = torch.func.vmap(lambda h, t: torch.func.grad(loss)(h[None], weight, t[None])[0])(hidden, TARGETS)
    torch.testing.assert_close(each, expected[0])
    _, along = torch.func.jvp(lambda h: loss(h, weight), (hidden,), (torch.ones_like(hidden),))
    torch.testing.assert_close(along, expected[0].sum())


@pytest.mark.parametrize("backend", BACKENDS)
def test_transforms_of_layers_and_documents(backend):
    numbers = Numbers(4)
    x, parameters = numbers.normal(6, 3), [numbers.normal(*s) for s in ((12, 3), (12, 4), (12,), (12,))]

    def layer(x):
        return gru_sequence(x, SIZES, None, parameters, backend=backend)[0].sum()

    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(layer(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(layer)(x), expected)
    h, w, b = numbers.normal(3, 4), numbers.normal(9, 4), numbers.normal(9)

    def documents(h):
        return document_loss(h, w, b, WORDS, COUNTS, OFFSETS, backend=backend).sum()

    leaf = h.clone().requires_grad_()
    (expected,) = torch.autograd.grad(documents(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(documents)(h), expected)


@JIT
@pytest.mark.parametrize("backend", BACKENDS)
def test_forward_mode(backend):
    numbers = Numbers(5)
    hidden, weight, direction = numbers.normal(6, 4), numbers.normal(9, 4), numbers.normal(6, 4)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(hidden, direction)
        found = torch.autograd.forward_ad.unpack_dual(token_loss(dual, weight, TARGETS, backend=backend)).tangent
    _, expected = torch.func.jvp(
        lambda h: F.cross_entropy(F.linear(h, weight), TARGETS, reduction="none"), (hidden,), (direction,)
    )
    torch.testing.assert_close(found, expected)
