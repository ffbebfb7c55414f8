"""The declaration of an op's inputs, and what is derived from it: schema, order, fake kernel, fields of the binding."""

import concurrent.futures
import contextlib
import dataclasses
import types
from typing import NamedTuple

import pytest
import torch
from op_calls import CALLS
from torch import Tensor

from svebm_ext.ops import native_call
from svebm_ext.ops.arguments import are_plain, watched
from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.langevin import LANGEVIN, LANGEVIN_BANK, langevin
from svebm_ext.ops.langevin.options import LangevinInputs
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.schema import Op
from svebm_ext.ops.token_loss import TOKEN_LOSS
from svebm_ext.ops.token_loss.options import TokenLossInputs

REASON = unavailable_reason("langevin", "cpu")
needs_native = pytest.mark.skipif(bool(REASON), reason=REASON)


@dataclasses.dataclass
class Scaled:
    numbers: Tensor
    others: list[Tensor]
    places: list[int]
    scale: float
    name: str
    twice: bool = False
    shift: Tensor | None = None


class Sums(NamedTuple):
    total: Tensor
    each: list[Tensor]


def computed(inputs):
    factor = inputs.scale * (2 if inputs.twice else 1)
    return Sums(inputs.numbers * factor, [other + len(inputs.places) for other in inputs.others])


def shaped(inputs):
    return Sums(inputs.numbers.new_empty(inputs.numbers.shape), [other.new_empty(3) for other in inputs.others])


@pytest.fixture(scope="module")
def scaled():
    return Op("scaled_for_tests", Scaled, Sums, compute=computed, shapes=shaped, without=("shift",))


def test_the_schema_is_that_of_the_dataclass(scaled):
    expected = (
        "scaled_for_tests(Tensor numbers, Tensor[] others, int[] places, float scale, str name, bool twice)"
        " -> (Tensor total, Tensor[] each)"
    )
    assert scaled.schema == expected
    registered = str(torch.ops.svebm.scaled_for_tests.default._schema)
    assert registered == f"svebm::{expected}"


def test_a_call_by_name_gets_its_arguments_in_order(scaled):
    given = {"twice": True, "name": "x", "scale": 1.5, "places": [1, 2], "others": [torch.zeros(3)]}
    total, each = scaled(numbers=torch.ones(2), **given)
    assert total.tolist() == [3.0, 3.0] and each[0].tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(KeyError, match="numbers"):
        scaled(**given)


def test_the_fake_kernel_has_the_shapes(scaled):
    with torch._subclasses.FakeTensorMode():
        total, each = scaled(
            numbers=torch.ones(5, 2), others=[torch.zeros(3)], places=[], scale=1.0, name="", twice=False
        )
    assert total.shape == (5, 2) and each[0].shape == (3,)
    arguments = scaled.arguments(
        numbers=torch.ones(5, 2), others=[torch.zeros(3)], places=[], scale=1.0, name="", twice=False
    )
    torch.library.opcheck(torch.ops.svebm.scaled_for_tests.default, arguments)


def test_a_type_that_torch_does_not_know_is_refused():
    wrong = dataclasses.make_dataclass("Wrong", [("numbers", Tensor), ("table", dict)])
    with pytest.raises(TypeError, match="dict"):
        Op("wrong_for_tests", wrong, Tensor, compute=computed, shapes=shaped)


def test_a_mutated_field_is_declared_so():
    assert LANGEVIN_BANK.schema.startswith("langevin_bank(Tensor(a!) states, ")
    assert LANGEVIN_BANK.schema.replace("(a!)", "").replace(", Tensor? bank_indices", "") == LANGEVIN.schema.replace(
        "langevin(", "langevin_bank("
    )


def fields_of_a_call(z, weights, biases):
    from svebm_ext.ops.langevin import native

    n_chains = z.shape[0]
    inputs = LangevinInputs(z, torch.arange(n_chains), n_steps=1, step_size=0.1, seed=0, weights=weights, biases=biases)
    return {**vars(inputs), **native._memory(inputs)._asdict(), **native._derived(inputs)}


def run_fields(fields):
    """Plan and run; the states that come out."""
    plan = native_module().plan_langevin_cpu(fields, 1)
    native_call.NativeCall(plan, torch.device("cpu"), fields).run()
    return fields["z"]


@needs_native
def test_tensors_with_gaps_are_replaced_by_copies_that_the_dictionary_keeps():
    generator = torch.Generator().manual_seed(0)
    z, first, second = (torch.randn(size, generator=generator) for size in ((4, 3), (5, 3), (2, 5)))
    biases = [torch.randn(5, generator=generator), torch.randn(2, generator=generator)]
    expected = run_fields(fields_of_a_call(z, [first, second], biases))
    views = [torch.stack([weight, weight], dim=-1)[..., 0] for weight in (first, second)]
    given = list(views)
    fields = fields_of_a_call(torch.stack([z, z], dim=-1)[..., 0], given, biases)
    assert not fields["states"].is_contiguous() and not any(view.is_contiguous() for view in views)
    assert torch.equal(run_fields(fields), expected)
    assert fields["states"].is_contiguous() and torch.equal(fields["states"], z)
    assert all(
        copy.is_contiguous() and torch.equal(copy, view) for copy, view in zip(fields["weights"], views, strict=True)
    )
    assert given[0] is views[0] and given[1] is views[1] and fields["biases"] is biases  # lists are the caller's


@needs_native
def test_an_address_stands_for_an_array():
    z, weights, biases = torch.ones(4, 3), [torch.ones(2, 3)], [torch.ones(2)]
    expected = run_fields(fields_of_a_call(z, weights, biases))
    fields = fields_of_a_call(z, weights, biases)
    assert torch.equal(run_fields({**fields, "states": z.data_ptr(), "weights": [weights[0].data_ptr()]}), expected)


@needs_native
@pytest.mark.parametrize("wrong", [None, 0.5, "z"])
def test_what_is_no_array_is_refused(wrong):
    fields = fields_of_a_call(torch.ones(4, 3), [torch.ones(2, 3)], [torch.ones(2)])
    with pytest.raises(AttributeError, match="is_contiguous"):
        native_module().plan_langevin_cpu({**fields, "states": wrong}, 1)


@needs_native
def test_every_field_of_the_binding_is_one_that_the_call_has():
    """A field that the dictionary lacks is an error that names it, for each of the numbers and arrays."""
    fields = fields_of_a_call(torch.zeros(4, 3), [torch.zeros(2, 3)], [torch.zeros(2)])
    assert native_module().plan_langevin_cpu(fields, 1).workspace_bytes > 0
    for name in ("states", "z", "chain_ids", "n_steps", "weights", "widths", "non_finite", "temperature", "fast"):
        with pytest.raises(KeyError, match=name):
            native_module().plan_langevin_cpu({k: v for k, v in fields.items() if k != name}, 1)
    for name in ("weights", "states"):
        wrong = [1] if name == "weights" else 1
        with pytest.raises(ValueError, match=f"{name} is not aligned"):
            native_module().plan_langevin_cpu({**fields, name: wrong}, 1)


# ---- one question to the backend, one plan


class Counted:
    """The native module, whose functions that plan are counted."""

    def __init__(self, module):
        self.module, self.plans = module, []

    def __getattr__(self, name):
        if name.startswith("plan_"):
            self.plans.append(name)
        return getattr(self.module, name)


@needs_native
@pytest.mark.parametrize("name", [name for name in CALLS if name.startswith(("langevin-", "gru_decode", "philox"))])
def test_a_call_is_planned_once(name, monkeypatch):
    call = CALLS[name]
    tensors = call.tensors(0, torch.float32)
    counted = Counted(native_module())
    monkeypatch.setattr("svebm_ext.ops.native_call.native_module", lambda: counted)
    call.run(tensors, "native")
    assert counted.plans == [f"plan_{name.split('-')[0].removesuffix('_normal').removesuffix('_uniform')}_cpu"]


# ---- a call that torch's dispatcher need not see


def chains():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5, 3, generator=generator)
    return z, [(torch.randn(4, 3, generator=generator), torch.randn(4, generator=generator))]


@pytest.mark.parametrize("backend", [pytest.param("native", marks=needs_native), "reference"])
@pytest.mark.parametrize("name", CALLS)
def test_the_bits_are_the_same_with_the_dispatcher_and_without(name, backend, monkeypatch):
    call = CALLS[name]
    direct = call.run(call.tensors(0, torch.float32), backend)
    for module in ("schema", "langevin"):
        monkeypatch.setattr(f"svebm_ext.ops.{module}.watched", lambda: True)
    through = call.run(call.tensors(0, torch.float32), backend)
    assert through.keys() == direct.keys()
    for key, value in through.items():
        assert value.dtype == direct[key].dtype and torch.equal(value, direct[key]), key


@pytest.mark.parametrize("backend", [pytest.param("native", marks=needs_native), "reference"])
def test_a_number_whose_sign_is_yet_to_be_turned_is_read_right(backend):
    """The imaginary part of a conjugate: its memory holds the number of the other sign."""
    z, (layer,) = chains()
    turned = torch.complex(torch.zeros(1), torch.tensor([0.7])).conj().imag
    assert turned.is_neg() and turned.is_contiguous()
    one_output = [(layer[0][:1], turned)]
    options = {"n_steps": 2, "step_size": 0.1, "seed": 1, "backend": backend, "diagnostics": True}
    expected = langevin(z, [(layer[0][:1], torch.tensor([-0.7]))], **options)
    found = langevin(z, one_output, **options)
    assert torch.equal(found.mean_energy, expected.mean_energy) and torch.equal(found.z, expected.z)


@needs_native
def test_threads_share_no_workspace():
    """Small calls of several threads at a time, whose kernels run without the interpreter's lock."""
    calls = [CALLS[name] for name in CALLS if name.startswith(("langevin-", "gru_decode"))]
    expected = [call.run(call.tensors(0, torch.float32), "native") for call in calls]

    def again(_):
        return [call.run(call.tensors(0, torch.float32), "native") for call in calls]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(again, range(20)):
            for results, right in zip(found, expected, strict=True):
                assert all(torch.equal(results[key], value) for key, value in right.items())


def dispatched(tensors):
    return watched() or not are_plain(tensors)


def test_the_dispatcher_sees_what_it_must():
    z, parameter = torch.zeros(3), torch.nn.Parameter(torch.zeros(2))
    assert not dispatched([z, parameter])
    assert dispatched([torch.zeros(2, device="meta")])
    with torch._subclasses.FakeTensorMode() as mode:
        assert dispatched([])
    assert dispatched([mode.from_tensor(z)])  # after the mode has ended
    with torch.profiler.profile():
        assert dispatched([z])
    assert torch.func.vmap(lambda x: x + float(dispatched([])))(z).tolist() == [1.0] * 3


def test_what_is_not_plain():
    turned = torch.complex(torch.zeros(1), torch.ones(1)).conj().imag
    assert are_plain([torch.zeros(2), torch.nn.Parameter(torch.zeros(2)), torch.arange(6).view(2, 3).t()])
    for other in (None, 3, [torch.zeros(2)], torch.eye(2).to_sparse(), torch.zeros(2, device="meta"), turned):
        assert not are_plain([torch.zeros(2), other])


def test_a_gradient_goes_through_the_dispatcher():
    """Of an op with a registered gradient; `gru_sequence` and `token_loss` record theirs themselves."""
    weight = torch.zeros(2, 3, requires_grad=True)
    inputs = TokenLossInputs(torch.ones(4, 3), weight, None, torch.zeros(4, dtype=torch.int64), 1.0, True, False, "")
    assert TOKEN_LOSS.of(inputs)[0].grad_fn is not None
    with torch.no_grad():
        assert TOKEN_LOSS.of(inputs)[0].grad_fn is None


def test_a_profiler_names_the_op():
    z, layers = chains()
    with torch.profiler.profile() as profile:
        langevin(z, layers, n_steps=1, step_size=0.1, seed=1)
    assert "svebm::langevin" in {event.key for event in profile.key_averages()}


# ---- a call on CUDA, without a device


class Plan:
    workspace_bytes = 100

    def __init__(self, fields, device, reason):
        self.asked, self.reason, self.ran = (fields, device), reason, []

    def run(self, workspace, queue):
        self.ran.append((workspace, queue))


@pytest.mark.parametrize("reason", ["", "too large"])
def test_a_call_on_cuda_runs_what_was_planned(reason, monkeypatch):
    plans, memory = [], torch.zeros(100, dtype=torch.uint8)

    def plan(fields, device):
        plans.append(Plan(fields, device, reason))
        return plans[-1]

    monkeypatch.setattr(native_call, "native_module", lambda: types.SimpleNamespace(plan_thing_cuda=plan))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: types.SimpleNamespace(cuda_stream=77))
    monkeypatch.setattr(native_call.torch, "empty", lambda n_bytes, dtype, device: memory[:n_bytes])
    numbers = torch.ones(4)
    call = native_call.plan_native("thing", torch.device("cuda", 3), {"numbers": numbers, "n": 4})
    (asked,) = [plan.asked for plan in plans]
    assert asked[0]["numbers"] is numbers and asked[0]["n"] == 4 and asked[1] == 3
    if reason:
        assert call == native_call.Unsupported(reason)
        return
    call.run()
    assert len(plans) == 1 and plans[0].ran == [(memory.data_ptr(), 77)]
