"""Loss of tokens and a decoder's likelihood on a GPU against torch in float64 on the CPU, and the memory of the loss.

The loss is made of torch operations there: what is tested is that their types and devices fit together."""

import copy

import pytest
import torch
import torch.nn.functional as F

from svebm_ext.data.batching import EncodedSplit, collate
from svebm_ext.errors import ConfigError
from svebm_ext.models.decoders import RecurrentDecoder
from svebm_ext.ops.token_loss import reference, token_loss

# n, H, V: one chunk, and several, the last of them smaller
SHAPES = [(1, 3, 5), (77, 33, 140), (2 * (reference.CHUNK_NUMBERS // 10_001) + 100, 64, 10_001)]


@pytest.fixture(autouse=True)
def no_tf32(monkeypatch):
    """cuDNN's recurrent networks round to 10 bits where nothing is said."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def make(device, n, H, V, bias=True):
    """Leaves whose logits have a deviation of about 2, and targets."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape, scale=1.0):
        return (scale * torch.randn(*shape, generator=generator)).to(device).requires_grad_()

    leaves = [normal(n, H), normal(V, H, scale=2.0 / H**0.5), *([normal(V)] if bias else [])]
    return leaves, torch.randint(0, V, (n,), generator=generator).to(device)


def exact(leaves, targets, upstream):
    """Loss and gradients in float64 on the CPU."""
    leaves = [leaf.detach().cpu().double().requires_grad_() for leaf in leaves]
    loss = F.cross_entropy(F.linear(*leaves), targets.cpu(), reduction="none")
    return [loss.detach(), *torch.autograd.grad(loss, leaves, upstream.cpu().double())]


def found(leaves, targets, upstream, autocast=None, **options):
    with torch.autocast(targets.device.type, dtype=autocast, enabled=autocast is not None):
        loss = token_loss(leaves[0], leaves[1], targets, *leaves[2:], **options)
    return [loss.detach(), *torch.autograd.grad(loss, leaves, upstream)]


def assert_near(results, expected, tolerance):
    """Distance of each result in units of the length of what is expected."""
    for result, other in zip(results, expected, strict=True):
        assert result.shape == other.shape and result.dtype == torch.float32
        assert float((result.cpu().double() - other).norm()) <= tolerance * float(other.norm())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("n", "H", "V"), SHAPES)
def test_loss_and_gradients(device, n, H, V, bias):
    """Of an upstream gradient that is the expected one, a multiple of it, and any."""
    leaves, targets = make(device, n, H, V, bias)
    for upstream in (torch.full((n,), 0.25), torch.full((n,), -3.0), torch.linspace(-1.0, 2.0, n)):
        upstream = upstream.to(device)
        results = found(leaves, targets, upstream, token_weight=0.25)
        assert all(result.device == leaves[0].device for result in results)
        assert_near(results, exact(leaves, targets, upstream), 1e-5)


@pytest.mark.parametrize(("autocast", "tolerance"), [(torch.bfloat16, 1e-2), (torch.float16, 2e-3)])
def test_autocast_costs_the_rounding_of_its_type(device, autocast, tolerance):
    """Weights of tokens as a batch of 128 sentences has them, whose products with probabilities are tiny."""
    n, H, V = SHAPES[-1]
    leaves, targets = make(device, n, H, V)
    upstream = torch.full((n,), 1.0 / 128.0, device=device)
    expected = exact(leaves, targets, upstream)
    assert_near(found(leaves, targets, upstream, autocast, token_weight=1.0 / 128.0), expected, tolerance)
    # states as the network before gives them under autocast
    rounded = [leaves[0].detach().to(autocast).requires_grad_(), *leaves[1:]]
    results = found(rounded, targets, upstream, autocast, token_weight=1.0 / 128.0)
    assert results[1].dtype == autocast
    results[1] = results[1].float()
    assert_near(results, expected, 2 * tolerance)


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_logits_are_never_stored_whole(device, autocast):
    n, H, V = 16_384, 32, 10_001
    leaves, targets = make(device, n, H, V)
    upstream = torch.ones(n, device=device)
    found(leaves, targets, upstream, autocast)  # workspaces of the libraries
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    found(leaves, targets, upstream, autocast)
    peak = torch.cuda.max_memory_allocated(device) - before
    assert 4 * reference.CHUNK_NUMBERS <= peak < 4 * n * V / 3


def test_targets_on_another_device_are_named(device):
    leaves, targets = make(device, 5, 4, 7)
    with pytest.raises(ConfigError, match="token_loss: targets is on cpu; expected cuda"):
        token_loss(leaves[0], leaves[1], targets.cpu())


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 3e-2)])
@pytest.mark.parametrize("tied", [True, False])
def test_the_likelihood_of_sentences(device, tied, precision, tolerance):
    """Mean -log p(x|z) of a batch, and its gradient by z and by every parameter."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([9, 3, 7, 1, 5])
    words = torch.randint(4, 60, (int(lengths.sum()),), generator=generator)
    split = EncodedSplit(words, torch.cat((torch.zeros(1, dtype=torch.int64), lengths.cumsum(0))), torch.full((5,), -1))
    batch = collate(split, torch.arange(5))
    torch.manual_seed(0)
    decoder = RecurrentDecoder(60, 4, 24, 24, tied=tied)
    z = torch.randn(5, 4, generator=generator)
    on_gpu = copy.deepcopy(decoder).to(device)

    def mean_nll(model, sentences, vectors, autocast):
        vectors = vectors.requires_grad_()
        with torch.autocast(vectors.device.type, dtype=torch.bfloat16, enabled=autocast):
            nll = model.nll(sentences, vectors)
        gradients = torch.autograd.grad(nll.mean(), [vectors, *model.parameters()])
        return [nll.detach(), *(g.to_dense() if g.is_sparse else g for g in gradients)]

    expected = mean_nll(decoder.double(), batch, z.double(), False)
    results = mean_nll(on_gpu, batch.to(device), z.to(device), precision == "bf16")
    assert_near(results, expected, tolerance)
