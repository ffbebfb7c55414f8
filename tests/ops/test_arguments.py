"""Arguments of a wrong Python type or out of range: an error of ours that names op, argument, value and expectation.

Both backends refuse the same. What stands for a number (numpy's, a tensor of one number) is one.
"""

import fractions
import math

import jaxtyping
import numpy as np
import pytest
import torch
from op_calls import Numbers, whole

from svebm_ext.errors import ConfigError
from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.checksum import checksum
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode, pack_gru
from svebm_ext.ops.gru_sequence import gru_sequence
from svebm_ext.ops.langevin import langevin, langevin_autograd
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform
from svebm_ext.ops.token_loss import token_loss
from svebm_ext.ops.token_loss.documents import document_loss

REASON = unavailable_reason("philox", "cpu")
BACKENDS = [pytest.param("native", marks=pytest.mark.skipif(bool(REASON), reason=REASON)), "reference"]
NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def no_annotations():
    """The package as its users have it, whose annotations check nothing."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def numbers(*shape):
    return Numbers(0).normal(*shape)


def gru_weights(H=5, V=11):
    return GRUWeights(numbers(V, 3 * H), numbers(3 * H, H), numbers(3 * H), numbers(V, H), numbers(V))


OPS = {
    "philox_normal": (philox_normal, "philox"),
    "philox_uniform": (philox_uniform, "philox"),
    "token_loss": (token_loss, "token_loss"),
    "document_loss": (document_loss, "document_loss"),
    "gru_sequence": (gru_sequence, "gru_sequence"),
    "gru_decode": (gru_decode, "gru_decode"),
    "pack_gru": (pack_gru, "gru_decode"),
    "langevin": (langevin, "langevin"),
    "langevin_autograd": (langevin_autograd, "langevin"),
    "checksum": (checksum, "checksum"),
}


def right_arguments(name):
    """Arguments of a call that is right."""
    parameters = [numbers(*s) for s in ((15, 3), (15, 5), (15,), (15,))]
    layers = [(numbers(6, 3), numbers(6)), (numbers(4, 6), numbers(4))]
    philox = {"seed": 1, "chain_ids": whole(0, 1), "dim": 3, "first_step": 0, "n_steps": 2, "stream": Stream.TOKEN}
    dynamics = {
        "z": numbers(5, 3), "n_steps": 2, "step_size": 0.1, "seed": 1, "reference_precision": 1.0, "noise_scale": 1.0,
        "temper": torch.tensor([0.5, 1.0]), "initial_temper": 0.0, "metropolis": False, "first_step": 0,
        "chain_ids": whole(0, 1, 2, 3, 4), "diagnostics": False,
    }  # fmt: skip
    return {
        "philox_normal": philox,
        "philox_uniform": philox,
        "token_loss": {
            "hidden": numbers(7, 5), "weight": numbers(9, 5), "targets": whole(0, 8, 1, 2, 3, 4, 5), "bias": numbers(9),
            "token_weight": 1.0,
        },
        "document_loss": {
            "hidden": numbers(3, 5), "weight": numbers(9, 5), "bias": numbers(9), "words": whole(0, 8, 1),
            "counts": torch.tensor([1.0, 2.0, 1.0]), "offsets": whole(0, 1, 1, 3), "document_weight": 1.0,
        },
        "gru_sequence": {
            "inputs": numbers(6, 3), "batch_sizes": whole(3, 2, 1), "initial": numbers(1, 3, 5),
            "parameters": parameters,
        },
        "gru_decode": {
            "state": numbers(4, 5), "gate_bias": numbers(4, 15), "weights": gru_weights(), "max_tokens": 3, "begin": 2,
            "end": 3, "pad": 0, "excluded": [0, 2], "greedy": False, "temperature": 1.0, "top_k": 3, "top_p": 0.9,
            "seed": 1, "ids": whole(0, 1, 2, 3), "log_probabilities": True, "precision": "fp32", "packed": None,
        },
        "pack_gru": {"weights": gru_weights(), "precision": "fp32"},
        "langevin": {
            **dynamics, "layers": layers, "activation": "gelu", "negative_slope": 0.2, "precision": "fp32",
            "labels": whole(0, 1, 2, 3, 0), "context_shift": numbers(5, 6), "temperature": 1.0,
        },
        "langevin_autograd": {**dynamics, "log_density": lambda z: -(z**4).sum(1)},
        "checksum": {"tensors": [numbers(3)]},
    }[name]  # fmt: skip


STRANGE = [
    None, "x", b"x", [1], {}, object(), np.zeros(3), 1 + 2j, NAN, INF, -INF, 1e300, -1, 1 << 31, 1 << 63, 1 << 70,
    True, 1.5, torch.tensor([[1.0]]), torch.zeros(2, 2, dtype=torch.bool), torch.zeros(3).to_sparse(),
    fractions.Fraction(1, 3), torch.Tensor, torch.float32, 10**400, -(10**5000),
    torch.tensor(1.0), torch.tensor(True),
]  # fmt: skip
"""Values of every kind that can come by mistake."""

NUMBERS = {"token_weight", "document_weight", "step_size", "reference_precision", "noise_scale", "initial_temper",
           "temperature", "negative_slope", "top_p"}  # fmt: skip
WHOLE = {"seed", "dim", "first_step", "n_steps", "stream", "max_tokens", "begin", "end", "pad", "top_k"}
OPTIONAL = {"bias", "context_shift", "initial", "chain_ids", "labels", "temper", "ids", "packed"}


def may_be_right(op, argument, value):
    """Whether a strange value is no mistake in this place."""
    if argument in OPTIONAL and value is None and (op, argument) != ("document_loss", "bias"):
        return not (op.startswith("philox") and argument == "chain_ids")
    is_number = isinstance(value, (int, float, fractions.Fraction)) and not isinstance(value, bool)
    is_number |= isinstance(value, torch.Tensor) and value.dim() == 0 and value.is_floating_point()
    if argument in NUMBERS:
        return is_number
    if argument in WHOLE:
        return isinstance(value, int) and not isinstance(value, bool)
    if argument in ("greedy", "log_probabilities", "metropolis", "diagnostics"):
        return isinstance(value, bool)
    if argument == "excluded":
        return isinstance(value, (list, dict))
    return argument == "tensors" and isinstance(value, dict)


def call(name, backend, **changes):
    function, _ = OPS[name]
    if name != "langevin_autograd":
        changes["backend"] = backend
    return function(**{**right_arguments(name), **changes})


PLACES = [(name, argument) for name in OPS for argument in right_arguments(name)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OPS)
def test_the_arguments_are_right_to_begin_with(name, backend):
    call(name, backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "argument"), PLACES)
def test_a_strange_value_is_refused_by_name(name, argument, backend):
    for value in STRANGE:
        if argument in ("max_tokens", "n_steps", "dim") and isinstance(value, int) and value == 1 << 31:
            continue  # possible, where there is the memory
        try:
            call(name, backend, **{argument: value})
        except ConfigError as error:
            message = str(error)
            assert message.startswith(f"{OPS[name][1]}: ") and "expected" in message, (value, message)
            # a tensor of another shape may as well be what the others do not fit
            blamed = right_arguments(name) if isinstance(value, torch.Tensor) else [argument]
            assert any(f"{one}{mark}" in message for one in blamed for mark in " [.("), message
        else:
            assert may_be_right(name, argument, value), value


def on_meta(value):
    """A value for each tensor in it: with that one on the device "meta", which has shapes and no numbers."""
    if isinstance(value, torch.Tensor):
        yield value.to("meta")
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            for changed in on_meta(item):
                parts = [*value[:place], changed, *value[place + 1 :]]
                yield GRUWeights(*parts) if isinstance(value, GRUWeights) else type(value)(parts)


TENSORS = {
    "philox_normal": {"seed": whole(1)[0]},
    "philox_uniform": {"seed": whole(1)[0]},
    "gru_decode": {"seed": whole(1)[0], "packed": torch.zeros(64, dtype=torch.uint8)},
    "langevin": {"seed": whole(1)[0], "step_size": torch.tensor([0.1, 0.2])},
    "langevin_autograd": {"seed": whole(1)[0], "step_size": torch.tensor([0.1, 0.2])},
}
"""Arguments that may be tensors, and are none in `right_arguments`."""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", OPS)
def test_one_tensor_without_storage_is_refused(name, backend):
    """torch takes such a call for a question about shapes, and returns memory as it is."""
    n_changed = 0
    for argument, value in {**right_arguments(name), **TENSORS.get(name, {})}.items():
        if argument in ("z", "hidden", "inputs", "state") or (argument == "chain_ids" and "philox" in name):
            continue  # the others are what does not fit then
        for changed in on_meta(value):
            n_changed += 1
            with pytest.raises(ConfigError, match=f"^{OPS[name][1]}: .*expected"):
                call(name, backend, **{argument: changed})
    assert n_changed > 0


def test_a_call_without_storage_asks_for_shapes():
    arguments = right_arguments("langevin")
    for name in ("z", "context_shift", "labels", "chain_ids"):
        arguments[name] = arguments[name].to("meta")
    arguments["layers"] = [(weight.to("meta"), bias.to("meta")) for weight, bias in arguments["layers"]]
    assert langevin(**arguments).z.shape == (5, 3)


@pytest.mark.parametrize("name", [name for name in OPS if name != "langevin_autograd"])
@pytest.mark.parametrize("backend", [1, b"native", True, ["native"], "cuda"])
def test_a_backend_that_is_none(name, backend):
    with pytest.raises(ConfigError, match="backend"):
        call(name, backend)


OUT_OF_RANGE = [
    ("philox_normal", {"chain_ids": whole(0, -1)}, "chain_ids is from -1 to 0"),
    ("philox_normal", {"chain_ids": whole(0, 1 << 56)}, r"2\^56"),
    ("philox_normal", {"chain_ids": torch.zeros(2)}, "float32"),
    ("philox_normal", {"first_step": 1 << 32}, "4294967296"),
    ("philox_normal", {"seed": torch.tensor(1.0)}, "seed is torch.float32"),
    ("philox_normal", {"seed": -1}, "seed is -1"),
    ("philox_normal", {"stream": 256}, "stream is 256"),
    ("philox_uniform", {"dim": 0}, "dim is 0"),
    ("token_loss", {"targets": whole(0, 9, 0, 0, 0, 0, 0)}, "targets is from 0 to 9"),
    ("token_loss", {"targets": whole(0, -100, 0, 0, 0, 0, 0)}, "targets is from -100 to 0"),
    ("token_loss", {"token_weight": NAN}, "token_weight is nan"),
    ("token_loss", {"weight": numbers(9, 0), "hidden": numbers(7, 0)}, "weight"),
    ("document_loss", {"words": whole(0, 9, 1)}, "words is from 0 to 9"),
    ("document_loss", {"offsets": whole(0, 2, 1, 3)}, "offsets"),
    ("document_loss", {"offsets": whole(0, 1, 1, 4)}, "offsets"),
    ("gru_sequence", {"batch_sizes": whole(2, 3, 1)}, "batch_sizes"),
    (
        "gru_sequence",
        {"parameters": [numbers(0, 3), numbers(0, 0), numbers(0), numbers(0)], "initial": None},
        "0 states",
    ),
    ("gru_decode", {"pad": 1 << 31}, "pad is 2147483648"),
    ("gru_decode", {"pad": -(1 << 31)}, "pad is -2147483648"),
    ("gru_decode", {"max_tokens": 1 << 31}, "max_tokens is 2147483648"),
    ("gru_decode", {"max_tokens": 0}, "max_tokens is 0"),
    ("gru_decode", {"begin": 11}, "begin is 11"),
    ("gru_decode", {"end": 1 << 40}, "end is"),
    ("gru_decode", {"excluded": [11]}, "excluded"),
    ("gru_decode", {"excluded": list(range(11))}, "excluded"),
    ("gru_decode", {"temperature": 1e300}, r"temperature is 1e\+300"),
    ("gru_decode", {"temperature": 1e-300}, "temperature is 1e-300"),
    ("gru_decode", {"temperature": NAN}, "temperature is nan"),
    ("gru_decode", {"top_p": 0.0}, "top_p is 0.0"),
    ("gru_decode", {"top_k": -1}, "top_k is -1"),
    ("gru_decode", {"ids": whole(0, 1, 2, -3)}, "ids"),
    ("gru_decode", {"ids": whole(0, 1, 2, 1 << 60)}, "ids"),
    ("langevin", {"chain_ids": whole(0, 1, 2, 3, -1)}, "chain_ids is from -1 to 3"),
    ("langevin", {"temper": torch.tensor([0.5, NAN])}, "temper"),
    ("langevin", {"temper": torch.tensor([0.5, INF])}, "temper"),
    ("langevin", {"temper": torch.tensor([1, 2])}, "temper is of type torch.int64"),
    ("langevin", {"step_size": torch.tensor([0.1, NAN])}, "step_size"),
    ("langevin", {"step_size": 1e300}, "step_size"),
    ("langevin", {"negative_slope": NAN}, "negative_slope is nan"),
    ("langevin", {"negative_slope": INF}, "negative_slope is inf"),
    ("langevin", {"initial_temper": NAN}, "initial_temper is nan"),
    ("langevin", {"temperature": 1e300}, "temperature"),
    ("langevin", {"labels": whole(0, 1, 2, 3, 4)}, "labels"),
    ("langevin", {"layers": []}, "layers"),
    ("langevin", {"z": torch.tensor(1.0), "bank_indices": whole(0, 1, 2, 3, 4)}, r"z is of shape \(\)"),
    ("langevin", {"bank_indices": whole(0)[0]}, "bank_indices is"),
    ("langevin", {"layers": [numbers(4, 3)]}, r"layers\[0\]"),
    ("langevin", {"layers": [(numbers(4, 3), None)]}, r"layers\[0\]"),
    ("langevin_autograd", {"log_density": 3}, "log_density is 3"),
    ("langevin_autograd", {"log_density": lambda z: 3}, r"log_density\(z\) is 3"),
    ("langevin_autograd", {"log_density": lambda z: z.sum(1).detach()}, r"log_density\(z\) is .*depends on z"),
    ("langevin_autograd", {"log_density": lambda z: z}, r"log_density\(z\) is of shape \(5, 3\)"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "changes", "message"), OUT_OF_RANGE)
def test_what_is_out_of_range_is_refused_by_name(name, changes, message, backend):
    with pytest.raises(ConfigError, match=f"^{OPS[name][1]}: .*{message}"):
        call(name, backend, **changes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_stands_for_a_number_is_one(backend):
    expected = call("langevin", backend)
    for step_size in (np.float64(0.1), torch.tensor(0.1, dtype=torch.float64), fractions.Fraction(1, 10)):
        found = call("langevin", backend, step_size=step_size, n_steps=np.int64(2), seed=np.uint64(1))
        assert torch.equal(found.z, expected.z)
    found = call("gru_decode", backend, excluded=np.array([0, 2]), top_k=np.int32(3), temperature=np.float32(1))
    assert torch.equal(found.tokens, call("gru_decode", backend).tokens)


@pytest.mark.parametrize("backend", BACKENDS)
def test_top_k_of_more_than_all_words_is_all(backend):
    expected = call("gru_decode", backend, top_k=0)
    for top_k in (11, 1 << 31, (1 << 63) - 1):
        assert torch.equal(call("gru_decode", backend, top_k=top_k).tokens, expected.tokens)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_word_one_category_one_unit(backend):
    loss = token_loss(numbers(3, 1), numbers(1, 1), whole(0, 0, 0), backend=backend)
    assert torch.equal(loss, torch.zeros(3))
    found = gru_decode(
        numbers(2, 1), numbers(2, 3), gru_weights(1, 1), max_tokens=3, begin=0, end=0, log_probabilities=True,
        backend=backend,
    )  # fmt: skip
    assert found.tokens.tolist() == [[0, 0, 0]] * 2 and found.lengths.tolist() == [1, 1]
    assert float(found.log_probabilities.abs().max()) < 1e-6
    one = langevin(
        numbers(2, 1), [(numbers(1, 1), numbers(1))], n_steps=1, step_size=0.1, seed=1, noise_scale=0.0, backend=backend
    )
    # with one category G is linear: the step is z (1 - s) + s w
    torch.testing.assert_close(one.z, 0.9 * numbers(2, 1) + 0.1 * numbers(1, 1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_batches(backend):
    empty = torch.zeros(0, dtype=torch.int64)
    assert philox_normal(1, empty, dim=3, stream=Stream.TOKEN, backend=backend).shape == (1, 0, 3)
    hidden, weight = numbers(0, 5).requires_grad_(), numbers(9, 5).requires_grad_()
    loss = token_loss(hidden, weight, empty, backend=backend)
    of_hidden, of_weight = torch.autograd.grad(loss.sum(), [hidden, weight])
    assert loss.shape == (0,) and of_hidden.shape == (0, 5) and torch.equal(of_weight, torch.zeros(9, 5))
    documents = document_loss(
        numbers(0, 5), weight, numbers(9), empty, torch.zeros(0), whole(0), backend=backend
    )  # fmt: skip
    assert documents.shape == (0,)
    parameters = right_arguments("gru_sequence")["parameters"]
    states, final = gru_sequence(numbers(0, 3), empty, None, parameters, backend=backend)
    assert states.shape == (0, 5) and final.shape == (1, 0, 5)
    found = gru_decode(numbers(0, 5), numbers(0, 15), gru_weights(), max_tokens=3, begin=2, end=3, backend=backend)
    assert found.tokens.shape == (0, 3) and found.lengths.shape == (0,) and bool(found.finite)
    layers = right_arguments("langevin")["layers"]
    chains = langevin(numbers(0, 3), layers, n_steps=2, step_size=0.1, seed=1, backend=backend)
    assert chains.z.shape == (0, 3) and bool(chains.finite)


def test_packed_weights_that_were_moved_or_cut_are_refused():
    packed = pack_gru(gru_weights())
    if packed is None:
        pytest.skip(REASON)
    call("gru_decode", "native", packed=packed)
    room = torch.zeros(packed.numel() + 72, dtype=torch.uint8)
    start = -room.data_ptr() % 64 + 8
    moved = room[start : start + packed.numel()].copy_(packed)
    for wrong in (packed[:64].clone(), moved, packed.float(), packed[::2], torch.cat((packed, packed))):
        with pytest.raises(ConfigError, match=r"^gru_decode: packed is .*expected"):
            call("gru_decode", "native", packed=wrong)
