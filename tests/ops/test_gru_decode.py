"""Decoding against torch.nn.GRU, exact distributions and the reference, on every instruction set of this processor."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import BackendUnavailableError, ConfigError
from svebm_ext.models.decoders import RecurrentDecoder
from svebm_ext.ops import backend
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode, options, pack_gru

REASON = backend.unavailable_reason("gru_decode", "cpu")
needs_native = pytest.mark.skipif(bool(REASON), reason=REASON)
BACKENDS = ["reference", pytest.param("native", marks=needs_native)]
BEGIN, END = 1, 2


def make_weights(V, H, *, seed=0, spread=3.0, bias=True, dtype=torch.float32):
    """Scores of a standard deviation of about `spread`, so that words differ much in probability."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    return GRUWeights(
        normal(V, 3 * H),
        normal(3 * H, H) / H**0.5,
        0.1 * normal(3 * H),
        normal(V, H) * 2 * spread / H**0.5,
        0.3 * normal(V) if bias else None,
    )


def ending_often(weights):
    bias = weights.output_bias.clone()
    bias[END] += 3.0
    return weights._replace(output_bias=bias)


def make_rows(B, H, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    state, gate_bias = torch.randn(B, H, generator=generator), torch.randn(B, 3 * H, generator=generator)
    return state.to(dtype), gate_bias.to(dtype)


def decode(state, gate_bias, weights, **options):
    options = {"max_tokens": 12, "begin": BEGIN, "end": END, "excluded": [0, BEGIN]} | options
    return gru_decode(state, gate_bias, weights, **options)


def scores_along(state, gate_bias, weights, tokens):
    """Scores before each token, by torch.nn.GRU in float64 over the given sentences: [B, T, V]."""
    H, B = state.shape[1], tokens.shape[0]
    network = torch.nn.GRU(3 * H, H, batch_first=True).double()
    with torch.no_grad():
        network.weight_ih_l0.copy_(torch.eye(3 * H))  # the inputs are the gates themselves
        network.bias_ih_l0.zero_()
        network.weight_hh_l0.copy_(weights.weight)
        network.bias_hh_l0.copy_(weights.bias)
        words = torch.cat([torch.full((B, 1), BEGIN), tokens[:, :-1]], dim=1)
        inputs = weights.input_gates[words] + gate_bias[:, None]
        hidden, _ = network(inputs.double(), state[None].double())
        scores = hidden @ weights.output.double().t()
    if weights.output_bias is not None:
        scores += weights.output_bias.double()
    scores[:, :, [0, BEGIN]] = -math.inf
    return scores


def within(lengths, T):
    return torch.arange(T)[None] < lengths[:, None]


@pytest.mark.parametrize("chosen", BACKENDS)
def test_greedy_is_the_best_word_of_torch_gru_in_ten_thousand_sentences(chosen):
    B, H, V = 10_000, 24, 90
    (state, gate_bias), weights = make_rows(B, H), ending_often(make_weights(V, H, spread=1.0))
    found = decode(state, gate_bias, weights, backend=chosen, log_probabilities=True)
    scores = scores_along(state, gate_bias, weights, found.tokens)
    real = within(found.lengths, found.tokens.shape[1])
    best, expected = scores.max(-1)
    chosen_score = scores.gather(2, found.tokens[..., None])[..., 0]
    different = (expected != found.tokens) & real
    # a tie within rounding may go either way; anything else is an error
    assert (best - chosen_score)[different].le(1e-4).all()
    assert int(different.sum()) <= 5, f"{int(different.sum())} ties among {int(real.sum())} tokens"
    logs = chosen_score - scores.logsumexp(-1)
    assert (found.log_probabilities.double() - logs)[real].abs().max() < 1e-4
    assert found.log_probabilities[~real].abs().max() == 0 and int(real.sum()) > 25_000
    ended = found.tokens.gather(1, found.lengths[:, None] - 1)[:, 0] == END
    assert (ended | (found.lengths == 12)).all() and 0.2 < float(ended.double().mean()) < 1


def test_equal_scores_give_the_lowest_word(variant):
    H, V = 8, 150
    weights = make_weights(V, H, bias=False)
    weights = weights._replace(output=weights.output[:50].repeat(3, 1))  # words w, w + 50 and w + 100 are equal
    state, gate_bias = make_rows(40, H)
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found = gru_decode(state, gate_bias, weights, max_tokens=5, begin=3, end=149, backend="native")
        torch.set_num_threads(1)
        assert int(found.tokens.max()) < 50


@needs_native
@settings(max_examples=120)
@given(
    V=st.integers(4, 200),
    H=st.integers(1, 70),
    B=st.integers(0, 40),
    seed=st.integers(0, 10_000),
    kind=st.sampled_from([{}, {"greedy": False}, {"greedy": False, "top_k": 3}, {"greedy": False, "top_p": 0.7}]),
    temperature=st.sampled_from([1.0, 0.6, 1.7]),
    strided=st.booleans(),
    bias=st.booleans(),
)
def test_any_call_equals_float64(V, H, B, seed, kind, temperature, strided, bias):
    state, gate_bias = make_rows(B, H, seed)
    weights = make_weights(V, H, seed=seed, bias=bias)
    if strided:
        state = torch.stack([state, state], 2)[..., 0]
        weights = weights._replace(weight=weights.weight.t().contiguous().t(), output=weights.output[:, None][:, 0])
    options = {"temperature": temperature, "seed": seed << 40, "ids": torch.arange(B) + (seed << 33), **kind}
    options["log_probabilities"] = True
    found = decode(state, gate_bias, weights, backend="native" if B else None, **options)
    double = GRUWeights(*(None if tensor is None else tensor.double() for tensor in weights))
    exact = decode(state.double(), gate_bias.double(), double, **options)
    same = (found.tokens == exact.tokens).all(1)
    assert int((~same).sum()) <= 1  # rounding decides one draw in some hundred thousand
    torch.testing.assert_close(
        found.log_probabilities[same].double(), exact.log_probabilities[same], rtol=1e-4, atol=1e-4
    )
    assert torch.equal(found.lengths[same], exact.lengths[same]) and bool(found.finite)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
@pytest.mark.parametrize("kind", [{}, {"greedy": False}, {"greedy": False, "top_k": 4, "top_p": 0.9}])
def test_a_row_does_not_depend_on_its_batch_nor_on_threads(variant, kind, precision):
    """To the last bit of its log probabilities."""
    (state, gate_bias), weights = make_rows(61, 33), ending_often(make_weights(140, 33))
    ids = torch.randperm(61, generator=torch.Generator().manual_seed(0))
    options = {"log_probabilities": True, "seed": 5, "precision": precision, "backend": "native", **kind}
    whole = decode(state, gate_bias, weights, ids=ids, **options)
    assert len(set(whole.lengths.tolist())) > 2  # rows leave at different times
    for threads in (2, 5):
        torch.set_num_threads(threads)
        again = decode(state, gate_bias, weights, ids=ids, **options)
        torch.set_num_threads(1)
        for field in ("tokens", "lengths", "log_probabilities"):
            assert torch.equal(getattr(again, field), getattr(whole, field))
    for rows in (torch.tensor([7]), torch.tensor([60, 3]), torch.arange(10, 23)):
        part = decode(state[rows], gate_bias[rows], weights, ids=ids[rows], **options)
        assert torch.equal(part.tokens, whole.tokens[rows])
        assert torch.equal(part.log_probabilities, whole.log_probabilities[rows])


@pytest.mark.parametrize("chosen", BACKENDS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_frequencies_of_drawn_words_are_their_probabilities(chosen, temperature):
    """The first word of 200,000 sentences of one state: chi-square over all words, and each rare word by itself."""
    n, V, H = 200_000, 60, 5
    weights = make_weights(V, H, spread=4.0, seed=4)
    state, gate_bias = make_rows(1, H)
    scores = scores_along(state, gate_bias, weights, torch.zeros(1, 1, dtype=torch.int64))[0, 0]
    expected = torch.softmax(scores / temperature, 0) * n
    options = {"greedy": False, "temperature": temperature, "max_tokens": 1, "seed": 3, "backend": chosen}
    found = decode(state.expand(n, H), gate_bias.expand(n, 3 * H), weights, **options)
    counts = torch.bincount(found.tokens[:, 0], minlength=V).double()
    assert counts[expected == 0].sum() == 0
    often, seldom = expected > 5, (expected > 0) & (expected <= 5)
    observed = torch.cat([counts[often], counts[seldom].sum()[None]])
    wanted = torch.cat([expected[often], expected[seldom].sum()[None]])
    assert int(seldom.sum()) > 3
    assert stats.chisquare(observed, wanted * (n / wanted.sum())).pvalue > 1e-3
    rare = ((expected > 0.5) & (expected < 200)).nonzero()[:, 0].tolist()
    assert len(rare) > 8
    for word in rare:
        tail = stats.binomtest(int(counts[word]), n, float(expected[word] / n)).pvalue
        assert tail > 1e-3 / len(rare), (word, counts[word], expected[word])


@needs_native
def test_later_words_are_drawn_independently_of_earlier_ones():
    """Word pairs of a model without memory: its state is pinned to zero, so that steps are independent draws."""
    n, V, H = 60_000, 6, 3
    weights = make_weights(V, H)
    gates = torch.zeros(V, 3 * H)
    gates[:, H : 2 * H] = -30.0  # the update gate lets nothing of the old state through; the candidate is tanh(0)
    zero = torch.zeros(3 * H, H)
    bias = torch.tensor([0.0, 0.0, 0.0, 0.5, 0.2, -0.4])
    weights = weights._replace(input_gates=gates, weight=zero, bias=torch.zeros(3 * H), output_bias=bias)
    options = {"begin": 1, "end": 0, "excluded": [0, 1], "greedy": False, "max_tokens": 2, "backend": "native"}
    found = gru_decode(torch.zeros(n, H), torch.zeros(n, 3 * H), weights, **options)
    table = torch.zeros(V, V).index_put_((found.tokens[:, 0], found.tokens[:, 1]), torch.ones(n), accumulate=True)
    share = torch.softmax(bias[2:].double(), 0)
    expected = (share[:, None] * share * n).flatten()
    assert stats.chisquare(table[2:, 2:].flatten().double(), expected).pvalue > 1e-3


@needs_native
def test_rounded_weights_choose_nearly_the_best_word(variant):
    (state, gate_bias), weights = make_rows(300, 64), make_weights(200, 64)
    single = decode(state, gate_bias, weights, backend="native")
    fast = decode(state, gate_bias, weights, backend="native", precision="fast")
    if variant != "avx512bf16":
        assert torch.equal(single.tokens, fast.tokens)
        return
    scores = scores_along(state, gate_bias, weights, fast.tokens)
    lost = scores.max(-1).values - scores.gather(2, fast.tokens[..., None])[..., 0]
    real = within(fast.lengths, 12)
    assert float(lost[real].max()) < 0.35 and float(lost[real].mean()) < 2e-3  # scores have a deviation of six


@needs_native
def test_packed_weights_save_packing_and_must_fit():
    (state, gate_bias), weights = make_rows(5, 16), make_weights(40, 16)
    packed = pack_gru(weights)
    expected = decode(state, gate_bias, weights, backend="native")
    assert torch.equal(decode(state, gate_bias, weights, packed=packed, backend="native").tokens, expected.tokens)
    with pytest.raises(ValueError, match=r"packed (weights are of other sizes|is [0-9,]+ bytes)"):
        decode(state, gate_bias, make_weights(41, 16), packed=packed, backend="native")
    assert pack_gru(make_weights(40, 16, dtype=torch.float64)) is None
    assert pack_gru(weights, backend="reference") is None


def moved(packed, n_bytes):
    """The same bytes at an address that is n_bytes beyond an aligned one."""
    memory = torch.zeros(len(packed) + 128, dtype=torch.uint8)
    start = -memory.data_ptr() % 64 + n_bytes
    memory[start : start + len(packed)] = packed
    return memory[start : start + len(packed)]


@needs_native
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:64].clone(), "64 bytes"),
        (lambda p: p[:0], "0 bytes"),
        (lambda p: torch.cat((p, p[:1])), "bytes"),
        (lambda p: moved(p, 8), "aligned"),
        (lambda p: moved(p, 1), "aligned"),
        (lambda p: torch.stack((p, p), dim=1)[:, 0], "without gaps"),
        (lambda p: p.to("meta"), "CPU"),
        (lambda p: p[:1].expand(len(p)), "without gaps"),
    ],
)
def test_a_packed_buffer_that_pack_gru_cannot_have_made_is_refused(change, message):
    """The kernel reads it by its address alone: a wrong one would be a segmentation fault, or another's memory."""
    weights = make_weights(40, 16)
    packed, (state, gate_bias) = pack_gru(weights), make_rows(5, 16)
    with pytest.raises(ConfigError, match=f"gru_decode: packed is .*{message}"):
        decode(state, gate_bias, weights, packed=change(packed), backend="native")
    with pytest.raises(ConfigError, match=message):
        options.check_packed(change(packed), len(packed), 64)
    expected = decode(state, gate_bias, weights, backend="native").tokens
    assert torch.equal(decode(state, gate_bias, weights, packed=moved(packed, 64), backend="native").tokens, expected)


@pytest.mark.parametrize(
    "change", [lambda p: p.float(), lambda p: p.view(torch.int8), lambda p: p[None], lambda p: p[0]]
)
def test_a_packed_buffer_of_another_type_is_refused(change):
    """Not through `gru_decode`, whose annotations are checked in tests."""
    with pytest.raises(ConfigError, match=r"gru_decode: packed is .*(uint8|one row)"):
        options.check_packed(change(torch.zeros(640, dtype=torch.uint8)))


@pytest.mark.parametrize("chosen", BACKENDS)
@pytest.mark.parametrize("greedy", [True, False])
def test_a_state_that_is_not_finite_ends_its_sentence(chosen, greedy):
    (state, gate_bias), weights = make_rows(4, 6), make_weights(30, 6)
    expected = decode(state, gate_bias, weights, greedy=greedy, backend=chosen)
    state[2, 1] = math.nan
    gate_bias[0, 0] = math.nan
    found = decode(state, gate_bias, weights, greedy=greedy, backend=chosen, log_probabilities=True)
    assert not bool(found.finite) and bool(expected.finite)
    for row in (0, 2):
        assert found.lengths[row] == 1 and found.tokens[row, 0] == END and found.log_probabilities[row, 0].isnan()
    for row in (1, 3):
        assert torch.equal(found.tokens[row], expected.tokens[row])


WRONG = {
    "max_tokens": {"max_tokens": 0},
    "begin": {"begin": 30},
    "end": {"end": -1},
    "excluded": {"excluded": [30]},
    "excluded is all": {"excluded": list(range(30))},
    "temperature": {"temperature": 0.0},
    "temperature ": {"temperature": math.nan},
    "top_k": {"top_k": -1},
    "top_p": {"top_p": 0.0},
    "top_p ": {"top_p": 1.5},
    "seed": {"seed": -1},
    "seed is torch": {"seed": torch.tensor(1, dtype=torch.int32)},
    "precision": {"precision": "bf16"},
    "ids": {"ids": torch.zeros(4, dtype=torch.int32)},
    "state is of type": {"state": torch.zeros(4, 6, dtype=torch.float16)},
    "gate_bias": {"gate_bias": torch.zeros(4, 18, dtype=torch.float64)},
    "weights.weight": {"weights": make_weights(30, 6)._replace(weight=torch.zeros(18, 6, dtype=torch.float64))},
    "weights.output_bias": {"weights": make_weights(30, 6)._replace(output_bias=torch.zeros(29))},
    "weights.input_gates": {"weights": make_weights(30, 6)._replace(input_gates=torch.zeros(29, 18))},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name):
    (state, gate_bias), weights = make_rows(4, 6), make_weights(30, 6)
    arguments = {"state": state, "gate_bias": gate_bias, "weights": weights, "max_tokens": 3, "begin": 1, "end": 2}
    with pytest.raises(ConfigError, match=f"gru_decode: {name.strip()}.*expected"):
        gru_decode(**(arguments | WRONG[name]))


@needs_native
def test_float64_is_left_to_the_reference():
    state, gate_bias = make_rows(3, 5, dtype=torch.float64)
    weights = make_weights(12, 5, dtype=torch.float64)
    assert decode(state, gate_bias, weights).tokens.shape == (3, 12)
    with pytest.raises(BackendUnavailableError, match=r"gru_decode.*float32.*float64"):
        decode(state, gate_bias, weights, backend="native")


@needs_native
def test_opcheck():
    (state, gate_bias), weights = make_rows(6, 5), make_weights(20, 5)
    for logs in (False, True):
        choice = ([0, 1], 4, 1, 2, 0, False, 0.9, 0, 1.0, 5, None, logs, "fp32", "native")
        arguments = (state, gate_bias, *weights, pack_gru(weights), torch.arange(6), *choice)
        torch.library.opcheck(torch.ops.svebm.gru_decode.default, arguments)


@needs_native
@pytest.mark.slow
def test_compiled_without_graph_breaks():
    code = """
import torch
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode
weights = GRUWeights(torch.randn(20, 15), torch.randn(15, 5), torch.randn(15), torch.randn(20, 5))

def sentences(state, gate_bias):
    found = gru_decode(state, gate_bias * 2, weights, max_tokens=7, begin=1, end=2, greedy=False, backend="native")
    return found.tokens + 1, found.lengths

state, gate_bias = torch.randn(6, 5), torch.randn(6, 15)
for found, expected in zip(torch.compile(sentences, fullgraph=True)(state, gate_bias), sentences(state, gate_bias)):
    assert torch.equal(found, expected)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def make_decoder(tied=True, cell="gru"):
    torch.manual_seed(3)
    decoder = RecurrentDecoder(60, 4, 16, 16, tied=tied, cell=cell)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(3)
    return decoder.eval()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("options", [{}, {"greedy": False, "temperature": 0.8, "seed": 3}])
def test_a_decoder_writes_the_same_on_every_backend(tied, options):
    decoder, z = make_decoder(tied), torch.randn(30, 4)
    with backend.use_backend("reference"):
        expected = decoder.decode(z, max_tokens=10, **options)
    assert decoder.decode(z, max_tokens=10, **options) == expected
    assert len({tuple(sentence) for sentence in expected}) > 10


def test_what_a_decoder_prepared_follows_its_weights():
    decoder, z = make_decoder(), torch.randn(20, 4)
    before = decoder.decode(z, max_tokens=10)
    assert decoder.decode(z, max_tokens=10) == before
    prepared = decoder._prepared
    assert prepared is not None
    with torch.no_grad():
        decoder.embedding.weight[7:20] += 1.0
    changed = decoder.decode(z, max_tokens=10)
    assert changed != before and decoder._prepared is not prepared
    fresh = make_decoder()
    fresh.load_state_dict(decoder.state_dict())
    assert fresh.decode(z, max_tokens=10) == changed
    decoder.train()
    assert decoder._prepared is None


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_top_k_of_one_is_greedy_and_limits_hold(cell):
    decoder, z = make_decoder(cell=cell), torch.randn(25, 4)
    greedy = decoder.decode(z, max_tokens=8)
    assert decoder.decode(z, max_tokens=8, greedy=False, top_k=1) == greedy
    assert decoder.decode(z, max_tokens=8, greedy=False, top_p=1e-9) == greedy
    assert decoder.decode(z, max_tokens=8, greedy=False, top_k=60) == decoder.decode(z, max_tokens=8, greedy=False)
    with pytest.raises(ConfigError, match="top_k"):
        decoder.decode(z, max_tokens=8, greedy=False, top_k=-3)
    for sentence in decoder.decode(z, max_tokens=8, greedy=False, temperature=5.0):
        assert not {Vocabulary.PAD, Vocabulary.BEGIN, Vocabulary.END} & set(sentence)


@pytest.mark.skipif(bool(backend.unavailable_reason("gru_decode", "cpu")), reason="needs the native library")
def test_a_limit_that_words_reach_exactly_is_the_same_on_both_backends():
    """Ten words of probability 0.1 each: whether one has 0.1 together depends on how exact that number is."""
    V, H, B = 11, 2, 40
    weights = GRUWeights(*(torch.zeros(s) for s in ((V, 3 * H), (3 * H, H), (3 * H,), (V, H))))
    options = {"max_tokens": 1, "begin": 0, "end": 1, "excluded": [0], "greedy": False, "top_p": 0.1, "seed": 5}
    found = [
        gru_decode(torch.zeros(B, H), torch.zeros(B, 3 * H), weights, backend=name, **options).tokens
        for name in ("native", "reference")
    ]
    assert torch.equal(*found)
