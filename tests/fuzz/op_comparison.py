"""Whether a call of an op is right: native kernels in every instruction set, and the reference, which is computed once.

- Ordinary numbers: native as near to float64 as rounding allows, of numbers that a long recurrence may amplify.
- No number, and the ends of float32: the same entries finite as in the reference, and those near to float64; the same
  ones no number where nothing infinite or huge went in, since infinity less infinity depends on the order of summation.
- Otherwise an error of the package that names op, argument, value and expectation, the same on both backends.
"""

import contextlib
import inspect
import math
import re
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from op_calls import weights
from op_calls_at_random import Case
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode, pack_gru
from svebm_ext.ops.gru_sequence import gru_sequence
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.philox import philox_normal, philox_uniform
from svebm_ext.ops.token_loss import token_loss
from svebm_ext.ops.token_loss.documents import document_loss

#: Relative: about two units of float32's last place.
ROUNDING = 2.0**-22
#: Relative: of operands rounded to bfloat16, and sums of them.
ROUGH = 0.1
#: What results are differences of is of this size at least.
SMALLEST = 0.05


FUNCTIONS = {
    "philox_normal": philox_normal, "philox_uniform": philox_uniform, "token_loss": token_loss,
    "document_loss": document_loss, "gru_sequence": gru_sequence, "gru_decode": gru_decode, "langevin": langevin,
}  # fmt: skip
NAMES = {op: set(inspect.signature(function).parameters) for op, function in FUNCTIONS.items()}
CLEAR = re.compile(r"(\w+): (\w+)\S*(?: or \w+)? .+; expected .+", re.DOTALL)


def in_type(value: Any, dtype: torch.dtype) -> Any:
    """A floating tensor in another type; anything else as it is."""
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def run(case: Case, backend: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Results and gradients of a case; ConfigError where it is refused."""
    given = {k: v if case.strange else in_type(v, dtype) for k, v in case.arguments.items()}
    if isinstance(given.get("z"), Tensor):
        given["z"] = given["z"].clone()
    usable = [k for k in case.leaves if isinstance(given.get(k), Tensor) and given[k].is_floating_point()]
    leaves = {k: given[k].detach().clone().requires_grad_() for k in usable}
    with rounded_products() if given.get("fast") is True else contextlib.nullcontext():
        results = compute(case.op, {k: v for k, v in {**given, **leaves}.items() if k != "fast"}, backend)
        if not leaves:
            return {name: value.detach() for name, value in results.items()}
        total = sum((value * weights(value)).sum() for value in results.values())
        if not isinstance(total, Tensor) or not total.requires_grad:
            return results
        found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    gradients = {f"grad_{k}": g for k, g in zip(leaves, found, strict=True) if g is not None}
    return {**{k: v.detach() for k, v in results.items()}, **gradients}


@contextlib.contextmanager
def rounded_products():
    """Products may round their operands to bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def compute(op: str, given: dict[str, Any], backend: str) -> dict[str, Tensor]:
    """Results of an op by name."""
    if op == "gru_sequence":
        parameters = [v for k, v in given.items() if k[:2] in ("w_", "b_")]
        found = gru_sequence(given["inputs"], given["batch_sizes"], given["initial"], parameters, backend=backend)
        return dict(zip(("states", "final"), found, strict=True))
    if op == "gru_decode":
        return decode(given, backend)
    if op == "langevin":
        return move(given, backend)
    if backend == "dense":
        return {"result": DENSE[op](**given)}
    return {"result": FUNCTIONS[op](**given, backend=backend)}


def dense_token_loss(hidden, weight, targets, bias, token_weight):
    """Cross-entropy by torch."""
    return F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="none")


def dense_document_loss(hidden, weight, bias, words, counts, offsets, document_weight):
    """As the equation is written."""
    rows = torch.arange(hidden.shape[0]).repeat_interleave(offsets[1:] - offsets[:-1])
    logs = F.linear(hidden, weight, bias).log_softmax(-1)
    return -hidden.new_zeros(hidden.shape[0]).index_add(0, rows, counts * logs[rows, words])


DOCUMENT = ("hidden", "weight", "bias", "words", "counts", "offsets")
DENSE = {"token_loss": dense_token_loss, "document_loss": dense_document_loss}


def decode(given: dict[str, Any], backend: str) -> dict[str, Tensor]:
    """Sentences; from packed weights where the case says so."""
    model = GRUWeights(*(given[name] for name in GRUWeights._fields))
    options = {k: v for k, v in given.items() if k not in GRUWeights._fields}
    packed = None
    if options.pop("pack") and backend == "native":
        packed = pack_gru(model, precision=options["precision"], backend=backend)
    found = gru_decode(
        options.pop("state"), options.pop("gate_bias"), model, packed=packed, backend=backend, **options
    )  # fmt: skip
    return {k: v for k, v in found._asdict().items() if v is not None}


def move(given: dict[str, Any], backend: str) -> dict[str, Tensor]:
    """Chains, and the bank in which they are."""
    names = [k for k in given if k.startswith("weight_")]
    layers = [(given[name], given[name.replace("weight", "bias")]) for name in names]
    options = {k: v for k, v in given.items() if not k.startswith(("weight_", "bias_"))}
    z = options.pop("z")
    found = langevin(z, layers, backend=backend, **options)
    results = {k: v for k, v in found._asdict().items() if v is not None}
    return {**results, "bank": z} if options.get("bank_indices") is not None else results


def outcome(case: Case, backend: str, dtype: torch.dtype = torch.float32) -> tuple[str, Any]:
    """("refused", message) or ("done", results); anything else that is raised is a finding."""
    try:
        return "done", run(case, backend, dtype)
    except ConfigError as error:
        return "refused", str(error)


def complaint(case: Case, variants: list[str]) -> tuple[str, int]:
    """What is wrong about a case (empty where nothing is), and how many native calls were made."""
    reference = Reference(case)
    if fault := reference.fault():
        return fault, 1
    for number, variant in enumerate(variants):
        native_module().use_cpu_variant(variant)
        native = outcome(case, "native")
        packs = case.arguments.get("pack") is True  # on one backend, with checks of its own
        if native[0] != reference.outcome[0] or (native[0] == "refused" and not packs and native != reference.outcome):
            return f"{variant} {native}, reference {reference.outcome}", number + 1
        if native[0] == "refused":
            return unclear(case, native[1]), 1
        if wrong := compare(case, native[1], reference):
            return f"{variant}: {wrong}", number + 1
    return "", len(variants)


def unclear(case: Case, message: str) -> str:
    """What a message lacks: the op, the argument, its value, what is expected, on one line of a length one reads."""
    match = CLEAR.fullmatch(message)
    if match is None or match[1] not in (case.op, case.op.split("_")[0]) or len(message) > 300 or "\n" in message:
        return f"unclear: {message}"
    known = NAMES[case.op] | {"steps"}
    return "" if match[2] in known else f"names no argument: {message}"


class Reference:
    """What the reference makes of a case: in float32, and where a comparison asks for it in float64, twice."""

    def __init__(self, case: Case) -> None:
        self.case, self.outcome = case, outcome(case, "reference")
        self.finite: dict[str, Tensor] = {}
        self._exact: dict[str, Tensor] | None = None
        self._nearby: dict[str, Tensor] | None = None
        self._bounds: dict[str, Bounds] = {}
        if self.outcome[0] == "done":
            self.finite = {k: v.isfinite() for k, v in self.outcome[1].items() if v.is_floating_point()}

    @property
    def results(self) -> dict[str, Tensor]:
        """In float32."""
        return self.outcome[1]

    @property
    def exact(self) -> dict[str, Tensor]:
        """In float64; of a strange case, which may have a type of its own, in that."""
        if self._exact is None:
            truth = "dense" if self.case.op in DENSE else "reference"
            self._exact = self.results if self.case.strange else run(self.case, truth, torch.float64)
        return self._exact

    @property
    def nearby(self) -> dict[str, Tensor]:
        """In float64, of numbers moved by some units of their last place: how much a result amplifies rounding."""
        if self._nearby is None:
            truth = "dense" if self.case.op in DENSE else "reference"
            self._nearby = run(perturbed(self.case), truth, torch.float64)
        return self._nearby

    def bounds(self, name: str) -> "Bounds":
        """Of a result."""
        if name not in self._bounds:
            exact = self.exact[name].double()
            finite = exact.isfinite() & self.finite[name]
            zeroed = exact.where(finite, 0.0)
            scale = SMALLEST + float(zeroed.abs().max()) if zeroed.numel() else 0.0
            if self.case.op == "document_loss":
                scale += subtracted(self.case, name)
            error = float((self.results[name] - exact).where(finite, 0.0).abs().max()) if zeroed.numel() else 0.0
            rough = rounds(self.case)
            self._bounds[name] = Bounds(zeroed, finite, scale, error, rough)
        return self._bounds[name]

    def fault(self) -> str:
        """What is wrong about the reference itself: that it is far from float64 where rounding doesn't explain it."""
        if self.outcome[0] == "refused" or self.case.strange or self.case.huge or self.case.op == "gru_decode":
            return ""
        if self.case.extreme:
            return ""
        if accepted_otherwise(self.results, self.exact):
            return ""
        for name in self.finite:
            error = self.bounds(name).error
            if error > 1e-4 * self.bounds(name).scale and not self.bounds(name).rough:
                allowed = 1e-4 * self.bounds(name).scale + amplification(self.case) * self.condition(name)
                if error > allowed:
                    return f"reference: {name} off by {error:.3g}, allowed {allowed:.3g}"
        return ""

    def condition(self, name: str) -> float:
        """How far rounding of what goes in moves a result."""
        moved = self.nearby[name].double() - self.exact[name]
        return float(moved.where(self.bounds(name).finite, 0.0).abs().max())


class Bounds(NamedTuple):
    """Numbers in float64, where they and those in float32 are finite, their largest, and how far those in float32 are.

    Attributes:
        rough: products may round their operands to bfloat16.
    """

    exact: Tensor
    finite: Tensor
    scale: float
    error: float
    rough: bool

    @property
    def allowed(self) -> float:
        """How far native numbers may be, whatever rounding is amplified to."""
        return 20 * self.error + (ROUGH if self.rough else 3e-5) * self.scale


def subtracted(case: Case, name: str) -> float:
    """Size of what a document's loss, or a gradient of it, is a difference of.

    These are scores, or counts of words times a factor. Of a vocabulary of one word all of it goes away.
    """
    if case.strange:
        return 0.0
    hidden, weight, bias, words, counts, offsets = (
        case.arguments[own].double().nan_to_num(0.0, 0.0, 0.0) for own in DOCUMENT
    )
    rows = torch.arange(hidden.shape[0]).repeat_interleave((offsets[1:] - offsets[:-1]).long())
    scores = counts * ((hidden[rows] * weight[words.long()]).sum(-1) + bias[words.long()])
    n_words = float(counts.abs().sum())
    largest = {"grad_hidden": weight, "grad_weight": hidden, "grad_bias": torch.ones(1)}.get(name)
    factor = abs(float(case.arguments["document_weight"]))
    if largest is None:
        size = float(scores.abs().sum())
    else:
        size = n_words * float(largest.abs().max()) if largest.numel() else 0.0
    return size * max(1.0, factor)


def accepted_otherwise(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """Whether chains took other moves, as they do where a draw is as near to a boundary as rounding."""
    return "acceptance" in found and not torch.allclose(found["acceptance"].double(), expected["acceptance"].double())


def rounds(case: Case) -> bool:
    """Whether products may round their operands."""
    return case.arguments.get("fast") is True or case.arguments.get("precision") == "fast"


def amplification(case: Case) -> int:
    """How much more than what one change by rounding makes of a result a sum of many may be off."""
    return 1000 if case.huge else 20


def compare(case: Case, native: dict[str, Tensor], reference: Reference) -> str:
    """Where results of both backends differ by more than rounding."""
    expected = reference.results
    if native.keys() != expected.keys():
        return f"results {sorted(native)} and {sorted(expected)}"
    for name, value in native.items():
        other = expected[name]
        if value.shape != other.shape or value.dtype != other.dtype:
            return f"{name}: {value.dtype} {list(value.shape)}, reference {other.dtype} {list(other.shape)}"
        if value.is_meta:
            return ""
    if accepted_otherwise(native, expected):
        others = float((native["acceptance"] - expected["acceptance"]).abs().sum()) * native["z"].shape[0]
        return f"{others:.0f} moves are accepted on one backend only" if others > 2.5 and not case.huge else ""
    if accepted_otherwise(native, reference.exact):
        return ""
    if case.op == "gru_decode":
        return compare_sentences(case, native, reference)
    for name, value in native.items():
        if not value.is_floating_point():
            if not case.huge and not torch.equal(value, expected[name]):
                return f"{name}: {value.tolist()}, reference {expected[name].tolist()}"
            continue
        finite = value.isfinite()
        if text := other_kinds(case, name, value, finite, reference) or too_far(name, value, finite, reference):
            return text
    return ""


def kinds(value: Tensor) -> Tensor:
    """0 finite, 1 infinity, 2 minus infinity, 3 no number."""
    kind = torch.zeros(value.shape, dtype=torch.int8)
    kind[value == math.inf], kind[value == -math.inf], kind[value.isnan()] = 1, 2, 3
    return kind


def other_kinds(case: Case, name: str, value: Tensor, finite: Tensor, reference: Reference) -> str:
    """Where numbers are finite on one backend only, or of different kinds.

    What overflows depends on the order of summation where huge numbers went in.
    """
    # to zero what is tiny, which times infinity is no number; GELU of -6 is 0 in some ways of computing it
    vanishes = rounds(case) or case.tiny or case.arguments.get("activation") == "gelu"
    if case.huge or (case.infinite and vanishes):
        return ""
    other = reference.results[name]
    if torch.equal(finite, reference.finite[name]) and (
        case.infinite or bool(finite.all()) or torch.equal(kinds(value), kinds(other))
    ):
        return ""
    return f"{name}: kinds {kinds(value).tolist()}, reference {kinds(other).tolist()}"


def too_far(name: str, value: Tensor, finite: Tensor, reference: Reference) -> str:
    """Whether native numbers are much farther from float64 than the reference's, than rounding of their scale, and than
    rounding moves the exact ones."""
    if value.numel() == 0:
        return ""
    bounds = reference.bounds(name)
    if reference.case.extreme or (reference.case.huge and bounds.rough):
        return ""
    error = float((value - bounds.exact).where(finite & bounds.finite, 0.0).abs().max())
    if error <= bounds.allowed:
        return ""
    amplified = amplification(reference.case) * (2**14 if bounds.rough else 1)
    allowed = bounds.allowed + amplified * reference.condition(name)
    return "" if error <= allowed else f"{name}: off by {error:.3g}, allowed {allowed:.3g}"


def perturbed(case: Case) -> Case:
    """The case with its numbers moved by some units of their last place."""
    generator = torch.Generator().manual_seed(0)

    def moved(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return value.double() * (1.0 + ROUNDING * torch.randn(value.shape, generator=generator, dtype=torch.float64))

    arguments = {name: moved(value) for name, value in case.arguments.items()}
    if isinstance(arguments.get("step_size"), float):
        arguments["step_size"] *= 1.0 + ROUNDING
    return Case(case.op, arguments, case.leaves)


def compare_sentences(case: Case, native: dict[str, Tensor], reference: Reference) -> str:
    """Words are the same but where rounding decides between two, and so are probabilities."""
    expected = reference.results
    if case.arguments["precision"] == "fast" or case.huge or case.tiny:  # words as good as others but for a tiny number
        return ""
    differ = (native["tokens"] != expected["tokens"]).any(dim=1)
    if int(differ.sum()) > max(1, differ.numel() // 8):
        return f"tokens {native['tokens'].tolist()}, reference {expected['tokens'].tolist()}"
    for row, lengths in enumerate(zip(native["lengths"].tolist(), expected["lengths"].tolist(), strict=True)):
        step = lengths[0]
        if bool(differ[row]):
            step = int((native["tokens"][row] != expected["tokens"][row]).nonzero()[0, 0])
        elif lengths[0] != lengths[1]:
            return f"row {row}: lengths {lengths}"
        ours, other = (found["log_probabilities"][row] for found in (native, expected))
        if not torch.allclose(ours[:step], other[:step], rtol=1e-3, atol=1e-3, equal_nan=True):
            return f"row {row}: log probabilities {ours.tolist()}, reference {other.tolist()}"
        greedy = bool(differ[row]) and case.arguments["greedy"] is True
        if greedy and abs(float(ours[step] - other[step])) > 1e-3 * (1 + abs(float(other[step]))):
            return f"row {row} parts from the reference where no two words are equally good"
    if not bool(differ.any()) and not torch.equal(native["finite"], expected["finite"]):
        return f"finite is {bool(native['finite'])}, reference {bool(expected['finite'])}"
    return ""
