"""Small calls of every op, by name: what tests that hold for all ops are parametrised over.

A call has its tensors by the name of the argument, and a function of these and a backend to results by name, gradients
included. A new op, or a new way through one, is one more entry of `CALLS`.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from svebm_ext.ops.gru_decode import GRUWeights, gru_decode, pack_gru
from svebm_ext.ops.gru_sequence import gru_sequence
from svebm_ext.ops.langevin import langevin, langevin_autograd
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform
from svebm_ext.ops.token_loss import token_loss
from svebm_ext.ops.token_loss.documents import document_loss

Results = dict[str, Tensor]


@dataclass(frozen=True)
class Call:
    """A call of an op: its tensors, made for a seed and a floating type, what computes, and what has a gradient."""

    tensors: Callable[[int, torch.dtype], dict[str, Tensor]]
    compute: Callable[[dict[str, Tensor], str], Results]
    leaves: tuple[str, ...] = ()

    def run(self, given: dict[str, Tensor], backend: str) -> Results:
        """Results, and the gradients of a fixed combination of them where the op has gradients."""
        leaves = {name: given[name].detach().requires_grad_() for name in self.leaves if name in given}
        results = self.compute({**given, **leaves}, backend)
        if not leaves:
            return results
        total = sum((value * weights(value)).sum() for value in results.values())
        gradients = torch.autograd.grad(total, list(leaves.values()))
        return {**results, **{f"grad_{name}": g for name, g in zip(leaves, gradients, strict=True)}}


class Numbers:
    """Normal numbers and whole numbers from a seed, on the CPU whatever torch's defaults are."""

    def __init__(self, seed, dtype=torch.float32):
        self.generator, self.dtype = torch.Generator("cpu").manual_seed(seed), dtype

    def normal(self, *shape, scale=1.0):
        numbers = torch.randn(shape, generator=self.generator, dtype=torch.float64, device="cpu")
        return (scale * numbers).to(self.dtype)

    def below(self, high, *shape):
        return torch.randint(high, shape, generator=self.generator, dtype=torch.int64, device="cpu")


def whole(*numbers):
    return torch.tensor(numbers, dtype=torch.int64, device="cpu")


def weights(value):
    """Fixed weights, other for each number: 1, 1/2, 1/3, ..."""
    places = torch.arange(1, value.numel() + 1, dtype=value.dtype, device="cpu")
    return places.reciprocal().view(value.shape)


def token_loss_call(*, bias, equal=False):
    def tensors(seed, dtype):
        numbers = Numbers(seed, dtype)
        made = {"hidden": numbers.normal(7, 5), "weight": numbers.normal(9, 5), "targets": numbers.below(9, 7)}
        return {**made, "bias": numbers.normal(9)} if bias else made

    def compute(given, backend):
        found = token_loss(given["hidden"], given["weight"], given["targets"], given.get("bias"), backend=backend)
        return {"loss": found.sum()[None] if equal else found}

    return Call(tensors, compute, ("hidden", "weight", "bias"))


def document_loss_call():
    def tensors(seed, dtype):
        numbers = Numbers(seed, dtype)
        return {
            "hidden": numbers.normal(3, 5),
            "weight": numbers.normal(9, 5),
            "bias": numbers.normal(9),
            "words": numbers.below(9, 6),
            "counts": numbers.below(3, 6).to(dtype) + 1,
            "offsets": whole(0, 2, 2, 6),
        }

    def compute(given, backend):
        order = ("hidden", "weight", "bias", "words", "counts", "offsets")
        return {"loss": document_loss(*(given[name] for name in order), backend=backend)}

    return Call(tensors, compute, ("hidden", "weight", "bias"))


def gru_sequence_call(*, directions, initial):
    def tensors(seed, dtype):
        numbers, H, fan_in = Numbers(seed, dtype), 5, 3
        made = {"inputs": numbers.normal(7, fan_in), "batch_sizes": whole(3, 2, 1, 1)}
        if initial:
            made["initial"] = numbers.normal(directions, 3, H)
        for d in range(directions):
            shapes = {"w_ih": (3 * H, fan_in), "w_hh": (3 * H, H), "b_ih": (3 * H,), "b_hh": (3 * H,)}
            made |= {f"{name}_{d}": numbers.normal(*shape, scale=0.5) for name, shape in shapes.items()}
        return made

    parameters = [f"{name}_{d}" for d in range(directions) for name in ("w_ih", "w_hh", "b_ih", "b_hh")]

    def compute(given, backend):
        listed = [given[name] for name in parameters]
        found = gru_sequence(given["inputs"], given["batch_sizes"], given.get("initial"), listed, backend=backend)
        return {"states": found[0], "final": found[1]}

    return Call(tensors, compute, ("inputs", "initial", *parameters))


def gru_decode_call(*, packed=False, **options):
    def tensors(seed, dtype):
        numbers, H, V = Numbers(seed, dtype), 5, 11
        return {
            "state": numbers.normal(4, H),
            "gate_bias": numbers.normal(4, 3 * H),
            "input_gates": numbers.normal(V, 3 * H),
            "weight": numbers.normal(3 * H, H),
            "bias": numbers.normal(3 * H),
            "output": numbers.normal(V, H),
            "output_bias": numbers.normal(V),
            "ids": numbers.below(1000, 4),
        }

    def compute(given, backend):
        model = GRUWeights(*(given[name] for name in GRUWeights._fields))
        prepared = pack_gru(model, backend=backend) if packed else None
        found = gru_decode(
            given["state"], given["gate_bias"], model, max_tokens=6, begin=2, end=3, excluded=[0, 2], ids=given["ids"],
            log_probabilities=True, packed=prepared, backend=backend, **options,
        )  # fmt: skip
        return {name: value for name, value in found._asdict().items() if value is not None}

    return Call(tensors, compute)


def langevin_call(*, labels=False, context=False, temper=False, bank=False, steps=False, n_layers=3, **options):
    def tensors(seed, dtype):
        numbers, widths = Numbers(seed, dtype), [3, 6, 5, 4][-n_layers - 1 :]
        made = {"z": numbers.normal(8 if bank else 5, widths[0])}
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            made |= {f"weight_{layer}": numbers.normal(fan_out, fan_in), f"bias_{layer}": numbers.normal(fan_out)}
        made |= {"labels": numbers.below(4, 5)} if labels else {}
        made |= {"context_shift": numbers.normal(5, widths[1])} if context else {}
        made |= {"bank_indices": whole(6, 0, 3, 7, 2)} if bank else {}
        double = Numbers(seed, torch.float64)
        made |= {"temper": double.normal(4).abs()} if temper else {}
        made |= {"step_size": double.normal(4).abs() * 0.05 + 0.01} if steps else {}
        return {**made, "chain_ids": numbers.below(1000, 5)}

    def compute(given, backend):
        names = ("labels", "context_shift", "temper", "bank_indices", "chain_ids", "step_size")
        tensors = {"step_size": 0.05, **{name: given[name] for name in names if name in given}}
        layers = [(given[f"weight_{layer}"], given[f"bias_{layer}"]) for layer in range(n_layers)]
        z = given["z"].clone()
        found = langevin(
            z, layers, n_steps=4, seed=7, diagnostics=True, backend=backend, **{**tensors, **options}
        )  # fmt: skip
        results = {name: value for name, value in found._asdict().items() if value is not None}
        return {**results, "bank": z} if bank else results

    return Call(tensors, compute)


def langevin_autograd_call():
    def tensors(seed, dtype):
        return {"z": Numbers(seed, dtype).normal(5, 3), "chain_ids": whole(4, 0, 9, 1, 2)}

    def compute(given, backend):
        found = langevin_autograd(
            given["z"], lambda z: -(z**4).sum(1) / 4, n_steps=4, step_size=0.05, seed=3, chain_ids=given["chain_ids"]
        )
        return {"z": found.z, "finite": found.finite}

    return Call(tensors, compute)


def philox_call(function):
    def compute(given, backend):
        arguments = {"dim": 5, "n_steps": 3, "stream": Stream.LANGEVIN, "backend": backend}
        return {"numbers": function(11, given["chain_ids"], **arguments)}

    return Call(lambda seed, dtype: {"chain_ids": Numbers(seed).below(1 << 50, 6)}, compute)


CALLS = {
    "philox_normal": philox_call(philox_normal),
    "philox_uniform": philox_call(philox_uniform),
    "token_loss": token_loss_call(bias=False),
    "token_loss-bias": token_loss_call(bias=True),
    "token_loss-equal": token_loss_call(bias=True, equal=True),
    "document_loss": document_loss_call(),
    "gru_sequence-1": gru_sequence_call(directions=1, initial=False),
    "gru_sequence-1-initial": gru_sequence_call(directions=1, initial=True),
    "gru_sequence-2": gru_sequence_call(directions=2, initial=False),
    "gru_sequence-2-initial": gru_sequence_call(directions=2, initial=True),
    "gru_decode": gru_decode_call(),
    "gru_decode-packed": gru_decode_call(packed=True),
    "gru_decode-sampled": gru_decode_call(greedy=False, temperature=1.3, seed=5),
    "gru_decode-top": gru_decode_call(greedy=False, top_k=4, top_p=0.9, seed=5),
    "langevin-gelu": langevin_call(),
    "langevin-leaky_relu": langevin_call(activation="leaky_relu"),
    "langevin-silu": langevin_call(activation="silu"),
    "langevin-tanh": langevin_call(activation="tanh"),
    "langevin-labels": langevin_call(labels=True),
    "langevin-context": langevin_call(context=True),
    "langevin-temperature": langevin_call(temperature=0.7, reference_precision=0.5, noise_scale=0.3),
    "langevin-temper": langevin_call(temper=True),
    "langevin-metropolis": langevin_call(metropolis=True),
    "langevin-bank": langevin_call(bank=True),
    "langevin-steps": langevin_call(steps=True),
    "langevin-two-layers": langevin_call(n_layers=2),
    "langevin-one-layer": langevin_call(n_layers=1),
    "langevin_autograd": langevin_autograd_call(),
}
