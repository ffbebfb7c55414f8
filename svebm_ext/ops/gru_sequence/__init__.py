"""A GRU layer over a packed batch: all time steps of one or both directions in one call, with its gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import (
    Arguments,
    are_plain,
    bf16_operands,
    derivatives_of_derivatives,
    is_transformed,
    shown,
)
from svebm_ext.ops.backend import fall_back, resolve
from svebm_ext.ops.gru_sequence import cuda, native, reference
from svebm_ext.ops.gru_sequence.options import (
    GruSequenceBackwardInputs,
    GruSequenceGradients,
    GruSequenceInputs,
    GruSequenceOutputs,
)
from svebm_ext.ops.schema import Op

__all__ = ["check_arguments", "gru_sequence", "prefers_torch"]

CHECKS = Arguments("gru_sequence")
CUDA_ROWS = 128
"""Rows up to which the CUDA kernel is taken where there is a choice: of the sizes measured on an H200 the largest
at which it is ahead of cuDNN's. With 512 its products, plain sums, fall behind."""


def gru_sequence(
    inputs: Float[Tensor, "n I"],
    batch_sizes: Int[Tensor, " T"],
    initial: Float[Tensor, "directions B H"] | None,
    parameters: Sequence[Tensor],
    *,
    backend: str | None = None,
) -> tuple[Float[Tensor, "n directions_H"], Float[Tensor, "directions B H"]]:
    """Hidden state at every packed position, and after the last position of every row.

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))     h' = (1 - z) * n + z * h

    Args:
        inputs: x of every packed position (time-major, rows by decreasing length).
        batch_sizes: rows running at each time step, on the CPU; not increasing.
        initial: h before the first position of each row; None is zero.
        parameters: W_i [3H, I], W_h [3H, H], b_i [3H], b_h [3H] of each direction, gates r, z, n stacked; the second
            direction runs from each row's last position to its first.
        backend: "auto", "native" or "reference"; None leaves it to `use_backend` and SVEBM_BACKEND.

    Returns:
        States in packed order, the directions' beside each other, and each direction's final state of each row. Under
        autocast to bfloat16 the products round their operands to it; those of the CUDA kernel remain in float32.

    A derivative of the gradient, and the transforms of torch.func, are right as well: they take plain torch.

    Raises:
        ConfigError: an argument has a wrong shape, type, device or value.
        BackendUnavailableError: `backend` is "native" and the native library cannot serve the call.

    Source: Cho et al. 2014; gates as in torch.nn.GRU.
    """
    parameters = check_arguments(inputs, batch_sizes, initial, parameters)
    backend = CHECKS.backend(backend)
    if is_transformed():
        return reference.by_autograd(inputs, batch_sizes, initial, parameters)
    if torch.compiler.is_compiling():  # a graph holds the kernel; one of the reference would break at each time step
        return GRU_SEQUENCE.call(inputs, batch_sizes, initial, parameters, bf16_operands(inputs.device))[:2]
    chosen = resolve("gru_sequence", inputs.device, backend)
    if chosen == "native" and inputs.dtype != torch.float32:
        reason = f"the kernels compute in float32, and the inputs are {inputs.dtype}"
        chosen = fall_back("gru_sequence", inputs.device, reason, backend, quiet=True)
    if chosen == "native" and inputs.device.type == "cuda" and inputs.shape[0] > 0:
        reason = cuda.reason(inputs.device, batch_sizes, parameters[1].shape[1], len(parameters) // 4)
        if reason:
            chosen = fall_back("gru_sequence", inputs.device, reason, backend, quiet=False)
    if chosen == "reference" or inputs.shape[0] == 0:
        return reference.gru_sequence(inputs, batch_sizes, initial, parameters)
    fast = bf16_operands(inputs.device)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (inputs, initial, *parameters)):
        return _GruSequence.apply(inputs, batch_sizes, initial, fast, *parameters)
    return GRU_SEQUENCE.of(GruSequenceInputs(inputs, batch_sizes, initial, parameters, fast))[:2]


def prefers_torch(inputs: Tensor, batch_sizes: Tensor, hidden: int, n_directions: int) -> bool:
    """Whether torch's own layer serves a call better than `gru_sequence`, whose reference is for the CPU.

    So it is away from a CPU where no kernel serves the call, for large batches, and while a graph is compiled.
    """
    if inputs.device.type == "cpu":
        return False
    if inputs.device.type != "cuda" or inputs.dtype != torch.float32 or torch.compiler.is_compiling():
        return True
    if inputs.shape[0] == 0 or int(batch_sizes[0]) > CUDA_ROWS or resolve("gru_sequence", inputs.device) == "reference":
        return True
    return bool(cuda.reason(inputs.device, batch_sizes, hidden, n_directions))


def check_arguments(
    inputs: Tensor, batch_sizes: Tensor, initial: Tensor | None, parameters: Sequence[Tensor]
) -> list[Tensor]:
    """The parameters as a list, when all arguments of `gru_sequence` are of the types and shapes that it takes.

    Raises:
        ConfigError: one is not.
    """
    listed = _check_types(inputs, batch_sizes, initial, parameters)
    _check(inputs, batch_sizes, initial, listed)
    return listed


def _check_types(inputs: object, batch_sizes: object, initial: object, parameters: object) -> list[Tensor]:
    if isinstance(parameters, (str, bytes, Tensor)) or not isinstance(parameters, Iterable):
        CHECKS.fail("parameters", shown(parameters), "a list of W_i, W_h, b_i and b_h of one or two directions")
    parameters = list(parameters)
    if are_plain(
        [inputs, batch_sizes, *parameters] if initial is None else [inputs, batch_sizes, initial, *parameters]
    ):
        return parameters
    CHECKS.tensors(
        {
            "inputs": (inputs, "[n, I]"),
            "batch_sizes": (batch_sizes, "torch.int64 of 1 dimension on the CPU"),
            "initial": (initial, "[directions, B, H], or None"),
            **{f"parameters[{i}]": (parameter, "of the layer") for i, parameter in enumerate(parameters)},
        }
    )
    return parameters


def _check(inputs: Tensor, batch_sizes: Tensor, initial: Tensor | None, parameters: list[Tensor]) -> None:
    if inputs.dim() != 2:
        CHECKS.fail("inputs", f"of shape {list(inputs.shape)}", "[n, I]")
    if len(parameters) not in (4, 8) or parameters[1].dim() != 2:
        CHECKS.fail("parameters", f"a list of {len(parameters)}", "W_i, W_h, b_i and b_h of one or two directions")
    if not inputs.is_floating_point() or inputs.dtype.itemsize < 2:
        CHECKS.fail("inputs", inputs.dtype, "a floating type")
    n, H = inputs.shape[0], parameters[1].shape[1]
    if H < 1 or inputs.shape[1] < 1:
        CHECKS.fail("parameters", f"of {inputs.shape[1]} inputs and {H} states", "at least one of each")
    shapes = [(3 * H, inputs.shape[1]), (3 * H, H), (3 * H,), (3 * H,)] * (len(parameters) // 4)
    for i, (parameter, shape) in enumerate(zip(parameters, shapes, strict=True)):
        if parameter.shape != shape or parameter.dtype != inputs.dtype or parameter.device != inputs.device:
            given = f"{parameter.dtype} of shape {list(parameter.shape)} on {parameter.device}"
            CHECKS.fail(f"parameters[{i}]", given, f"{inputs.dtype} of shape {list(shape)} on {inputs.device}")
    if batch_sizes.dim() != 1 or batch_sizes.dtype != torch.int64 or batch_sizes.device.type != "cpu":
        given = f"{batch_sizes.dtype} of {batch_sizes.dim()} dimensions on {batch_sizes.device}"
        CHECKS.fail("batch_sizes", given, "torch.int64 of 1 dimension on the CPU")
    if torch.compiler.is_compiling():
        return  # a graph knows no values
    sizes = reference.sizes_of(batch_sizes)
    if sum(sizes) != n or any(b < 1 or b > a for a, b in zip(sizes, sizes[1:] or sizes[:1], strict=False)):
        CHECKS.fail("batch_sizes", sizes, f"numbers above 0 that do not increase and add up to {n}")
    B = sizes[0] if sizes else 0
    if initial is not None:
        alike = (initial.dtype, initial.device) == (inputs.dtype, inputs.device)
        if initial.shape != (len(parameters) // 4, B, H) or not alike:
            given = f"{initial.dtype} of shape {list(initial.shape)} on {initial.device}"
            CHECKS.fail("initial", given, f"{inputs.dtype} of shape {[len(parameters) // 4, B, H]} on {inputs.device}")


def _gru_sequence(inputs: GruSequenceInputs) -> GruSequenceOutputs:
    x = inputs.inputs
    resolve("gru_sequence", x.device, "native")  # raises where it cannot serve the call
    if x.dtype != torch.float32:
        CHECKS.fail("inputs", x.dtype, "torch.float32 in a compiled graph")
    return (cuda if x.device.type == "cuda" else native).forward(inputs)


def _gru_sequence_backward(inputs: GruSequenceBackwardInputs) -> GruSequenceGradients:
    return (cuda if inputs.inputs.device.type == "cuda" else native).backward(inputs)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, batch_sizes, initial, parameters, fast = inputs
    ctx.fast, ctx.has_initial = fast, initial is not None
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, batch_sizes, initial, *output[2:], *parameters)


def _backward(ctx: Any, grad_states: Tensor | None, grad_final: Tensor | None, *_: Tensor | None) -> tuple[Any, ...]:
    x, batch_sizes, initial, gates, recurrent, before, *parameters = ctx.saved_tensors
    nothing_saved = all(saved is None for saved in (grad_states, grad_final))
    if not nothing_saved and derivatives_of_derivatives(grad_states, grad_final, x, initial, *parameters):
        gradients = reference.differentiable_gradients(x, batch_sizes, initial, parameters, grad_states, grad_final)
        return gradients[0], None, gradients[1], gradients[2:], None
    arguments = (x, batch_sizes, initial, parameters, gates, recurrent, before, ctx.fast)
    given = GruSequenceBackwardInputs(grad_states, grad_final, *arguments)
    of_inputs, of_initial, of_parameters = GRU_SEQUENCE_BACKWARD.of(given)
    return of_inputs, None, of_initial if ctx.has_initial else None, of_parameters, None


class _GruSequence(torch.autograd.Function):
    """The op with its gradient, sooner than the function that torch makes of the registered one for graphs."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, batch_sizes: Tensor, initial: Tensor | None, fast: bool, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        output = GRU_SEQUENCE.of(GruSequenceInputs(x, batch_sizes, initial, list(parameters), fast))
        _setup_context(ctx, (x, batch_sizes, initial, parameters, fast), output)
        return output[0], output[1]

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        of_inputs, _, of_initial, of_parameters, _ = _backward(ctx, *upstream)
        return of_inputs, None, of_initial, None, *of_parameters


GRU_SEQUENCE = Op(
    "gru_sequence",
    GruSequenceInputs,
    GruSequenceOutputs,
    compute=_gru_sequence,
    shapes=GruSequenceInputs.shapes,
)
GRU_SEQUENCE_BACKWARD = Op(
    "gru_sequence_backward",
    GruSequenceBackwardInputs,
    GruSequenceGradients,
    compute=_gru_sequence_backward,
    shapes=GruSequenceBackwardInputs.shapes,
)
GRU_SEQUENCE.register_autograd(_backward, _setup_context)
