"""The CUDA kernels of gru_decode against torch.nn.GRU in float64 on the CPU, and the ways in which torch calls them."""

import math

import pytest
import torch

from svebm_ext.errors import BackendUnavailableError
from svebm_ext.ops.backend import NativeFallbackWarning, forget_decisions
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode
from svebm_ext.ops.philox import Stream, philox_uniform

OP = "gru_decode"
BEGIN, END = 1, 2
EXCLUDED = [0, BEGIN]
PRECISIONS = ["fp32", "fast"]
KINDS = [{}, {"greedy": False}, {"greedy": False, "temperature": 0.7}]
# B, H, V: one kernel for the sequence (up to 64 sentences) and kernels of a step; tails of all tiles
SHAPES = [(1, 24, 90), (5, 33, 140), (16, 64, 256), (17, 40, 300), (64, 70, 333), (65, 31, 129), (200, 96, 700)]
LARGE = [(1, 512, 10_000), (5, 512, 10_000), (64, 512, 10_000), (65, 512, 10_000), (1024, 512, 10_000)]
WIDE = [(3, 1024, 20_000), (64, 1000, 9_999), (40, 1, 5), (300, 7, 70_000)]


def make(device, B, H, V, *, seed=0, spread=3.0, bias=True):
    """States [B, H], gate biases and weights, whose scores have a deviation of about `spread`; sentences end often."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    weights = GRUWeights(
        normal(V, 3 * H),
        normal(3 * H, H) / H**0.5,
        0.1 * normal(3 * H),
        normal(V, H) * 2 * spread / H**0.5,
        0.3 * normal(V) if bias else None,
    )
    if bias:
        weights.output_bias[END] += 2.0 * spread
    weights = GRUWeights(*(None if tensor is None else tensor.to(device) for tensor in weights))
    return normal(B, H).to(device), normal(B, 3 * H).to(device), weights


def decode(state, gate_bias, weights, **options):
    options = {"max_tokens": 8, "begin": BEGIN, "end": END, "excluded": EXCLUDED, "backend": "native"} | options
    return gru_decode(state, gate_bias, weights, **options)


def scores_along(state, gate_bias, weights, tokens):
    """Scores before each token, by torch.nn.GRU in float64 over the given sentences, where `state` is: [B, T, V]."""
    H = state.shape[1]
    network = torch.nn.GRU(3 * H, H, batch_first=True).double().to(state.device)
    with torch.no_grad():
        network.weight_ih_l0.copy_(torch.eye(3 * H))  # the inputs are the gates themselves
        network.bias_ih_l0.zero_()
        network.weight_hh_l0.copy_(weights.weight)
        network.bias_hh_l0.copy_(weights.bias)
        hidden, _ = network(inputs_of(gate_bias, weights, tokens), state[None].double())
        scores = hidden @ weights.output.double().t()
    return masked(scores, weights)


def rounded_scores_along(state, gate_bias, weights, tokens):
    """The same where products round their operands to half precision, as `fast` does, and all else is in float64."""

    def half(x):
        return x.half().double()

    h, weight, output, scores = state.double(), half(weights.weight), half(weights.output), []
    for x in inputs_of(gate_bias, weights, tokens).unbind(1):
        input_r, input_z, input_n = x.chunk(3, 1)
        # the kernel rounds a state of float32
        hidden_r, hidden_z, hidden_n = (half(h.float()) @ weight.t() + weights.bias.double()).chunk(3, 1)
        candidate = torch.tanh(input_n + torch.sigmoid(input_r + hidden_r) * hidden_n)
        h = candidate + torch.sigmoid(input_z + hidden_z) * (h - candidate)
        scores.append(half(h.float()) @ output.t())
    return masked(torch.stack(scores, 1), weights)


def inputs_of(gate_bias, weights, tokens):
    """W_i x + b_i of each position, from the word before it: [B, T, 3 H]."""
    begin = torch.full((tokens.shape[0], 1), BEGIN, device=tokens.device)
    return (weights.input_gates[torch.cat([begin, tokens[:, :-1]], dim=1)] + gate_bias[:, None]).double()


def masked(scores, weights):
    if weights.output_bias is not None:
        scores = scores + weights.output_bias.double()
    scores[:, :, EXCLUDED] = -math.inf
    return scores


def distances(scores, tokens, ids, options):
    """What each word's score lacks to the best; drawn: how far the uniform number is from the word's interval."""
    if options.get("greedy", True):
        return scores.max(-1).values - scores.gather(2, tokens[..., None])[..., 0]
    B, T = tokens.shape
    uniform = philox_uniform(options["seed"], ids.cpu(), dim=1, n_steps=T, stream=Stream.TOKEN, backend="reference")
    uniform = uniform.reshape(T, B).t().double().to(scores.device)
    share = torch.softmax(scores / options.get("temperature", 1.0), -1)
    cumulative = share.cumsum(-1)
    above = cumulative.gather(2, tokens[..., None])[..., 0]
    below = above - share.gather(2, tokens[..., None])[..., 0]
    return torch.maximum(below - uniform, uniform - above).clamp(min=0)


def log_probabilities(scores, tokens):
    return scores.gather(2, tokens[..., None])[..., 0] - scores.logsumexp(-1)


def check(state, gate_bias, weights, options, *, on_cpu=True):
    """Words, lengths and log probabilities of a call, against scores in float64 along the words that it chose."""
    B, fast = state.shape[0], options["precision"] == "fast"
    ids = torch.randperm(B, generator=torch.Generator().manual_seed(1)).to(state.device) * ((1 << 33) + 7)
    found = decode(state, gate_bias, weights, ids=ids, log_probabilities=True, **options)
    tokens, lengths = found.tokens, found.lengths
    assert bool(found.finite)
    assert int(tokens.min()) >= 0 and int(tokens.max()) < weights.output.shape[0]
    place = torch.device("cpu") if on_cpu else state.device
    moved = GRUWeights(*(None if tensor is None else tensor.to(place) for tensor in weights))
    tokens, lengths, logs = tokens.to(place), lengths.to(place), found.log_probabilities.to(place).double()
    real = torch.arange(tokens.shape[1], device=place)[None] < lengths[:, None]
    assert tokens[~real].eq(0).all() and logs[~real].eq(0).all()
    last = tokens.gather(1, lengths[:, None] - 1)[:, 0]
    assert ((last == END) | (lengths == tokens.shape[1])).all()
    compare = rounded_scores_along if fast else scores_along
    scores = compare(state.to(place), gate_bias.to(place), moved, tokens)
    far = distances(scores, tokens, ids, options)[real]
    assert float(far.max()) < (2e-3 if fast else 1e-4)
    assert float((logs - log_probabilities(scores, tokens))[real].abs().max()) < (5e-3 if fast else 1e-3)
    # a tie within rounding may go either way, which is rare
    assert float((far > 0).double().mean()) < (0.01 if fast else 0.002) + 3 / int(real.sum())
    if fast:  # what rounding to half precision costs
        exact = scores_along(state.to(place), gate_bias.to(place), moved, tokens)
        assert float(distances(exact, tokens, ids, options)[real].max()) < 0.1
        assert float((logs - log_probabilities(exact, tokens))[real].abs().max()) < 0.3
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", [KINDS[0], KINDS[2]])
@pytest.mark.parametrize(("B", "H", "V"), SHAPES)
def test_words_equal_the_reference(native_device, B, H, V, kind, precision):
    state, gate_bias, weights = make(native_device, B, H, V)
    check(state, gate_bias, weights, {"seed": 0xFEDCBA9876543210, "precision": precision, "max_tokens": 5, **kind})


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("B", "H", "V"), LARGE)
def test_large_shapes_agree_with_torch_gru(native_device, B, H, V, kind, precision):
    state, gate_bias, weights = make(native_device, B, H, V)
    options = {"seed": 5, "precision": precision, "max_tokens": 4, **kind}
    check(state, gate_bias, weights, options, on_cpu=False)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize(("B", "H", "V"), WIDE)
def test_wide_and_narrow_shapes_agree_with_torch_gru(native_device, B, H, V, kind, precision):
    state, gate_bias, weights = make(native_device, B, H, V, bias=V > 1000)
    options = {"seed": 5, "precision": precision, "max_tokens": 3, **kind}
    check(state, gate_bias, weights, options, on_cpu=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("B", [9, 150])
def test_the_words_of_the_torch_reference(native_device, B, kind):
    """The reference in float64 on the CPU; a draw or a tie that rounding decides may part two sentences."""
    state, gate_bias, weights = make(native_device, B, 48, 200)
    found = decode(state, gate_bias, weights, seed=7, log_probabilities=True, **kind)
    double = GRUWeights(*(tensor.double().cpu() for tensor in weights))
    options = {"seed": 7, "log_probabilities": True, "backend": "reference", **kind}
    expected = decode(state.double().cpu(), gate_bias.double().cpu(), double, **options)
    same = (found.tokens.cpu() == expected.tokens).all(1)
    assert int((~same).sum()) <= 1
    assert torch.equal(found.lengths.cpu()[same], expected.lengths[same])
    logs = found.log_probabilities.cpu().double()
    torch.testing.assert_close(logs[same], expected.log_probabilities[same], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("B", [12, 300])
def test_a_row_does_not_depend_on_its_batch(native_device, B, kind, precision):
    """To the last bit of its log probabilities, as long as both batches are of the same kind."""
    state, gate_bias, weights = make(native_device, B, 72, 500)
    ids = torch.randperm(B, generator=torch.Generator().manual_seed(0)).to(native_device)
    options = {"log_probabilities": True, "seed": 5, "precision": precision, **kind}
    whole = decode(state, gate_bias, weights, ids=ids, **options)
    assert len(set(whole.lengths.tolist())) > 2  # rows leave at different times
    for rows in ([7], [11, 3], [0, 5, 2, 9, 10, 4]) if B == 12 else (range(66), range(299, 100, -1)):
        part = decode(state[rows], gate_bias[rows], weights, ids=ids[rows], **options)
        assert torch.equal(part.tokens, whole.tokens[rows])
        assert torch.equal(part.lengths, whole.lengths[rows])
        assert torch.equal(part.log_probabilities, whole.log_probabilities[rows])
    again = decode(state, gate_bias, weights, ids=ids, **options)
    assert torch.equal(again.log_probabilities, whole.log_probabilities)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("B", [9, 100])
def test_equal_scores_give_the_lowest_word(native_device, B, precision):
    state, gate_bias, weights = make(native_device, B, 8, 150, bias=False)
    weights = weights._replace(output=weights.output[:50].repeat(3, 1))  # words w, w + 50 and w + 100 are equal
    found = decode(state, gate_bias, weights, end=149, excluded=[], begin=3, precision=precision)
    assert int(found.tokens.max()) < 50


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_frequencies_of_drawn_words_are_their_probabilities(native_device, temperature, precision):
    """The first word of 100,000 sentences of one state: within five deviations for each word."""
    n, V, H = 100_000, 60, 5
    state, gate_bias, weights = make(native_device, 1, H, V, spread=2.0)
    scores = scores_along(state, gate_bias, weights, torch.zeros(1, 1, dtype=torch.int64, device=native_device))
    share = torch.softmax(scores[0, 0] / temperature, 0)
    options = {"greedy": False, "temperature": temperature, "max_tokens": 1, "seed": 3, "precision": precision}
    found = decode(state.expand(n, H), gate_bias.expand(n, 3 * H), weights, **options)
    counts = torch.bincount(found.tokens[:, 0], minlength=V).double()
    slack = 5 * (n * share * (1 - share)).sqrt() + 3 + (0.01 * n * share if precision == "fast" else 0)
    assert ((counts - n * share).abs() <= slack).all()


def test_it_runs_on_the_current_stream(native_device):
    for B in (8, 200):
        state, gate_bias, weights = make(native_device, B, 64, 400)
        expected = decode(state, gate_bias, weights, seed=3)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            torch.cuda._sleep(10_000_000)
            late = state.clone()  # made on the side stream, after the pause: another stream would read it too early
            found = decode(late, gate_bias, weights, seed=3)
        side.synchronize()
        assert torch.equal(found.tokens, expected.tokens)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("B", [8, 200])
def test_a_captured_graph_reads_its_seed_at_each_replay(native_device, B, precision):
    state, gate_bias, weights = make(native_device, B, 64, 400)
    seed = torch.tensor(1, device=native_device)
    options = {"greedy": False, "precision": precision}
    decode(state, gate_bias, weights, seed=seed, **options)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = decode(state, gate_bias, weights, seed=seed, **options)
    for value in (1, 12345678901234567):
        seed.fill_(value)
        graph.replay()
        expected = decode(state, gate_bias, weights, seed=value, **options)
        assert torch.equal(captured.tokens, expected.tokens) and torch.equal(captured.lengths, expected.lengths)


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("B", [4, 100])
def test_a_state_that_is_not_finite_ends_its_sentence(native_device, B, greedy):
    state, gate_bias, weights = make(native_device, B, 6, 30)
    expected = decode(state, gate_bias, weights, greedy=greedy)
    assert bool(expected.finite)
    state[2, 1] = math.nan
    gate_bias[0, 0] = math.nan
    found = decode(state, gate_bias, weights, greedy=greedy, log_probabilities=True)
    assert not bool(found.finite)
    for row in (0, 2):
        assert int(found.lengths[row]) == 1 and int(found.tokens[row, 0]) == END
        assert bool(found.log_probabilities[row, 0].isnan())
    others = torch.tensor([row for row in range(B) if row not in (0, 2)], device=native_device)
    assert torch.equal(found.tokens[others], expected.tokens[others])


@pytest.mark.parametrize("B", [4, 100])
def test_a_weight_beyond_half_precision_is_reported(native_device, B):
    state, gate_bias, weights = make(native_device, B, 6, 30)
    weights.output[3, 2] = 1e6
    assert bool(decode(state, gate_bias, weights, precision="fp32").finite)
    assert not bool(decode(state, gate_bias, weights, precision="fast").finite)


def test_strided_and_misaligned_arguments(native_device):
    state, gate_bias, weights = make(native_device, 20, 64, 256)
    expected = decode(state, gate_bias, weights)
    storage = torch.empty(256 * 64 + 1, device=native_device)
    shifted = storage[1:].view(256, 64).copy_(weights.output)  # an address that is no multiple of 16
    strided = weights._replace(weight=weights.weight.t().contiguous().t(), output=shifted)
    assert torch.equal(decode(state, gate_bias, strided).tokens, expected.tokens)


def test_limited_draws_say_why_and_go_to_the_reference(native_device):
    state, gate_bias, weights = make(native_device, 5, 16, 60)
    options = {"greedy": False, "top_k": 3, "seed": 2}
    with pytest.raises(BackendUnavailableError, match="top_k and top_p"):
        decode(state, gate_bias, weights, **options)
    forget_decisions()
    with pytest.warns(NativeFallbackWarning, match="top_k and top_p"):
        found = decode(state, gate_bias, weights, backend="auto", **options)
    expected = decode(state, gate_bias, weights, backend="reference", **options)
    assert torch.equal(found.tokens, expected.tokens)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_the_second_gpu_is_served_while_the_first_is_current(native_device):
    for B in (8, 200):
        state, gate_bias, weights = make(torch.device("cuda:1"), B, 64, 400)
        check(state, gate_bias, weights, {"seed": 5, "precision": "fp32"})
    assert torch.cuda.current_device() == 0
