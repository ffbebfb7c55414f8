"""Seeded damage to files of model and run folders, by what they are: JSON, lines of JSON, named tensors, bytes."""

import copy
import json
import random
import shutil
import struct
from pathlib import Path

import torch
from odd_files import put
from safetensors import safe_open
from safetensors.torch import save

from svebm_ext.models.tensor_files import CHECKSUM, checksum

#: Values in the place of others. `Raw` is text that json.dumps does not write.
ODD = [
    None, True, False, 0, -1, 1, 2, 3, 5, 1 << 31, 1 << 53, 1 << 63, 1 << 64, -(1 << 63), 10**9, 10**18, 10**400,
    0.5, -0.5, 1e-300, 1e300, "", "x", "0", "é", "\ud800", "\x00", "\x1b[31m", "a" * 100_000, "energy", "cuda:7",
    "/dev/zero", [], {}, [[]], [0], [1, 2, 3], ["a", "a"], [None], {"": 0}, {"a": {"b": []}}, [10**9],
    list(range(1000)),
]  # fmt: skip
RAW = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e999", "7" * 5000, "[" * 60 + "]" * 60, "[" * 990 + "]" * 990,
    "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500, "tru", "'x'", "01", "+1", '"\\ud800"', '"\\u0000"',
]  # fmt: skip
STRANGERS = (
    "model.x", "optimiser.networks.0.max_exp_avg_sq", "optimiser.networks.-1.step", "chains.x", "marginal",
    "optimiser.networks.99999999999.step", "optimiser.other.0.step",
)  # fmt: skip
MARK = "\x01RAW\x01"


def places(value, path=()):
    """Paths of all values in a JSON value, the whole one first."""
    found = [path]
    if isinstance(value, dict):
        for key in value:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 6)):
            found += places(value[index], (*path, index))
    return found


def changed_json(rng, value):
    """Text of a JSON value with one to three changes."""
    value = copy.deepcopy(value)
    raw = None
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path = rng.choice(places(value))
        if not path:
            if rng.random() < 0.9:
                continue
            return rng.choice(RAW) if rng.random() < 0.5 else json.dumps(rng.choice(ODD))
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        key, kind = path[-1], rng.random()
        if kind < 0.55:
            holder[key] = rng.choice(ODD)
        elif kind < 0.7 and isinstance(holder, dict):
            item = holder.pop(key)
            if rng.random() < 0.5:
                holder[rng.choice(("x", str(key).upper(), f"{key} ", ""))] = item
        elif kind < 0.8 and isinstance(holder[key], list):
            holder[key] = rng.choice((holder[key] * 2, holder[key][:-1], holder[key][::-1], [*holder[key], None]))
        elif kind < 0.9:
            holder[key], raw = MARK, rng.choice(RAW)
        elif isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = rng.choice((-1, 10, 1000, 1e6)) * holder[key]
    text = json.dumps(value)
    return text if raw is None else text.replace(json.dumps(MARK), raw)


def damaged_bytes(rng, content):
    """Content with flipped, lost, added or repeated bytes."""
    content, kind = bytearray(content), rng.random()
    if kind < 0.3 and content:
        for _ in range(rng.choice((1, 1, 3, 20))):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind < 0.6 and content:
        del content[rng.randrange(len(content)) :]
    elif kind < 0.7:
        return b""
    elif kind < 0.8:
        content += rng.choice((b"\0" * 512, b"\xc3", b"{", bytes(rng.randrange(256) for _ in range(64))))
    elif kind < 0.9 and content:
        start = rng.randrange(len(content))
        content[start : start + 512] = b"\0" * len(content[start : start + 512])  # a block that was never written
    else:
        return bytes(rng.randrange(256) for _ in range(rng.choice((1, 8, 100, 5000))))
    return bytes(content)


def changed_lines(rng, content):
    """A log with changed, cut or foreign lines."""
    lines = content.splitlines()
    if not lines or rng.random() < 0.3:
        return damaged_bytes(rng, content)
    number = rng.randrange(len(lines)) if rng.random() < 0.6 else len(lines) - 1
    kind = rng.random()
    if kind < 0.4:
        lines[number] = changed_json(rng, json.loads(lines[number])).encode("utf-8", "surrogatepass")
    elif kind < 0.6:
        lines[number] = rng.choice(RAW).encode()
    elif kind < 0.8:
        lines[number] = damaged_bytes(rng, lines[number])
    else:
        lines.insert(number, lines[number] * 2)
    return b"\n".join(lines) + (b"\n" if rng.random() < 0.8 else "é".encode()[:1])


def changed_tensor(rng, tensor):
    """A tensor of another size or type, or with odd numbers."""
    kind = rng.randrange(13)
    if kind < 4:
        shape = rng.choice(((), (0,), (1,), (16,), (0, 7), (1, *tensor.shape), tuple(tensor.shape)[::-1], (3, 3)))
        return torch.zeros(shape, dtype=tensor.dtype)
    if kind == 4:
        return tensor.to(
            rng.choice((torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool))
        )
    if kind == 5:
        return tensor.view(torch.uint8).clone() if tensor.dim() else tensor.clone().reshape(1)
    if kind == 6 and tensor.numel() > 1:
        return tensor.reshape(-1)[: tensor.numel() // 2].clone()
    if kind == 7 and tensor.numel():
        return torch.cat((tensor.reshape(-1), tensor.reshape(-1)))
    changed = tensor.clone()
    if changed.numel() and changed.is_floating_point():
        odd = rng.choice((float("nan"), float("inf"), -float("inf"), -1.0, -1e-30, 3e38, 1e20, 1e-45))
        if rng.random() < 0.5:
            changed.reshape(-1)[rng.randrange(changed.numel())] = odd
        else:
            changed.fill_(odd)
    elif changed.numel():
        changed.fill_(rng.choice((0, 1, -1 if changed.dtype != torch.uint8 else 3, 100)))
        if changed.dtype == torch.int64 and rng.random() < 0.6:
            changed.fill_(rng.choice((-1, 1 << 31, 1 << 32, 1 << 62, -(1 << 63))))
    return changed


def changed_tensors(rng, path):
    """A file of tensors that is whole, with others in it than before; its checksum fits, or is left out."""
    with safe_open(str(path), framework="pt") as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    metadata.pop(CHECKSUM, None)
    kind = rng.random()
    names = sorted(tensors)
    if kind < 0.3 and "state" in metadata:
        metadata["state"] = changed_json(rng, json.loads(metadata["state"])).encode("utf-8", "replace").decode()
    elif kind < 0.34:
        metadata[rng.choice(list(metadata) or ["state"])] = rng.choice(("", "x", "[]", "null", "[" * 5000))
    elif kind < 0.38:
        metadata.pop(rng.choice(list(metadata)), None)
    for _ in range(rng.choice((1, 1, 2, 5)) if kind >= 0.38 else 0):
        name, kind = rng.choice(names), rng.random()
        if name not in tensors:
            continue
        if kind < 0.15:
            del tensors[name]
        elif kind < 0.25:
            first, *rest = name.split(".")
            other = rng.choice(
                (f"{name}x", name.upper(), ".".join(rest), f"{first}.{name}", name.replace("0", "99"), "x")
            )
            tensors[other] = tensors.pop(name)
        elif kind < 0.3:
            tensors[rng.choice(STRANGERS)] = torch.zeros(rng.choice(((), (1,), (6,))))
        elif kind < 0.35:
            other = rng.choice([n for n in names if n in tensors])
            tensors[name], tensors[other] = tensors[other], tensors[name]
        else:
            tensors[name] = changed_tensor(rng, tensors[name])
    tensors = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    if rng.random() < 0.6:
        metadata[CHECKSUM] = checksum(tensors, metadata)
    return save(tensors, metadata)


def changed_header(rng, content):
    """A file of tensors whose header, and nothing else, is changed."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    if rng.random() < 0.2:
        return struct.pack("<Q", rng.choice((0, 1, size - 1, size + 1, 1 << 40, (1 << 64) - 1))) + content[8:]
    for _ in range(rng.choice((1, 1, 2))):
        entry = header[rng.choice([name for name in header if name != "__metadata__"])]
        key = rng.choice(("dtype", "shape", "data_offsets"))
        if key == "dtype":
            entry[key] = rng.choice(("F64", "F16", "I64", "U8", "BOOL", "F8_E4M3", "U16", "C64", "x", None, 3))
        elif key == "shape":
            entry[key] = rng.choice(([], [0], [1 << 62, 4], [-1], [1 << 40], "x", entry[key][::-1], [*entry[key], 1]))
        else:
            entry[key] = rng.choice(([0, 0], [0, 1 << 60], [8, 4], [-8, 8], [entry[key][0], entry[key][1] + 4], []))
    text = changed_json(rng, header) if rng.random() < 0.3 else json.dumps(header)
    new = text.encode("utf-8", "replace")
    return struct.pack("<Q", len(new)) + new + content[8 + size :]


def replaced(rng, path: Path):
    """Something else in the place of a file; returns what."""
    kind = rng.choice(("missing", "folder", "fifo", "loop", "zero", "null", "dangling", "socket", "link", "terminal"))
    put(kind, path)
    return kind


def mutate(seed, folder: Path):
    """Damage one file of a folder (rarely two); returns what was done, and the files."""
    rng = random.Random(seed)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if name not in ("env.json", "MODEL_CARD.md", "report.md") and "plots" not in name]
    weights = [4 if name in ("config.json", "checkpoints/last.safetensors") else 2 for name in names]
    done, touched = [], []
    for name in rng.choices(names, weights, k=rng.choice((1, 1, 1, 1, 2))):
        path = folder / name
        if name in touched:
            continue
        touched.append(name)
        kind = rng.random()
        if kind < 0.08:
            done.append(f"{name}: {replaced(rng, path)}")
        elif kind < 0.12:
            shutil.copyfile(folder / rng.choice([n for n in names if n not in touched]), path)
            done.append(f"{name}: another file")
        elif kind < 0.3:
            path.write_bytes(damaged_bytes(rng, path.read_bytes()))
            done.append(f"{name}: bytes")
        elif name.endswith(".jsonl"):
            path.write_bytes(changed_lines(rng, path.read_bytes()))
            done.append(f"{name}: lines")
        elif name.endswith(".json"):
            value = json.loads(path.read_text(encoding="utf-8"))
            path.write_bytes(changed_json(rng, value).encode("utf-8", "surrogatepass"))
            done.append(f"{name}: json")
        elif kind < 0.45:
            path.write_bytes(changed_header(rng, path.read_bytes()))
            done.append(f"{name}: header")
        else:
            path.write_bytes(changed_tensors(rng, path))
            done.append(f"{name}: tensors")
    return done, touched
