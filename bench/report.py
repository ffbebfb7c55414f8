"""Turns pytest-benchmark's JSON into tables: `python bench/report.py result.json [...] > report.md`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

OWN = (
    "native",
    "native fast",
    "native, bf16",
    "this package",
    "this package, bf16",
    "reference",
    "reference, bf16",
    "packed, reference ops",
)
"""Implementations of this package; the others are its rivals."""

CEILINGS = {"multiply_add": "% of multiply-add rate", "torch_product": "% of torch's product"}
"""extra_info["share_of_ceilings"] -> heading of its column; bench/ceilings.py measures them."""


def is_rounded(implementation: str) -> bool:
    """Whether operands of products have fewer bits than in fp32."""
    return implementation == "native fast" or implementation.endswith("bf16")


def fastest_rival(times: dict[str, float], implementation: str) -> float | None:
    """The shortest of the times of rivals that compute in the precision of an implementation; None without any."""
    rounded = is_rounded(implementation)
    rivals = [time for name, time in times.items() if name not in OWN and is_rounded(name) == rounded]
    return min(rivals, default=None)


def report(result: dict) -> str:
    """One table an op: medians, spread, ratios within a group, and rates, as far as the benchmarks state their work."""
    machine = result["machine_info"]
    package = machine["svebm_ext"]
    others = "".join(f", {name} {version}" for name, version in machine.get("other_packages", {}).items())
    lines = [
        f"## {', '.join(package['devices'])}",
        "",
        f"{result['datetime'][:19]}, commit {package['commit'] or 'unknown'}, torch {package['torch']}{others}, Python "
        f"{package['python']}, {machine['cpu'].get('brand_raw', 'unknown processor')}, {package['threads']} threads, "
        f"load average {machine['load_average']:.1f}",
    ]
    tables: dict[str, list[dict]] = {}
    for benchmark in result["benchmarks"]:
        memory = "bytes" in benchmark["extra_info"]
        tables.setdefault(benchmark["group"] if memory else benchmark["group"].split(",")[0], []).append(benchmark)
    for members in tables.values():
        lines += ["", *(memory_table if "bytes" in members[0]["extra_info"] else table)(members)]
    return "\n".join(lines) + "\n"


def table(members: list[dict]) -> list[str]:
    """Lines of the table of one op; a column that no row fills is left out."""
    rows = [cells(member, members) for member in members]
    headings = [heading for heading in rows[0] if any(row[heading] for row in rows)]
    body = ["| " + " | ".join(row[heading] or "-" for heading in headings) + " |" for row in rows]
    return ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|", *body]


def memory_table(members: list[dict]) -> list[str]:
    """Lines of a table of megabytes: a row a size, a column an implementation."""
    names = list(members[0]["extra_info"]["bytes"])
    lines = [f"| {members[0]['group']}, MB | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for member in members:
        sizes = [f"{member['extra_info']['bytes'][name] / 1e6:.0f}" for name in names]
        name = (member["params"] or {}).get("name") or member["extra_info"]["size"]
        lines.append(f"| {name} | " + " | ".join(sizes) + " |")
    return lines


def cells(member: dict, members: list[dict]) -> dict[str, str]:
    """What one row has in each column; empty where the benchmark does not say."""
    stats, extra = member["stats"], member["extra_info"]
    median = stats["median"]

    def times_faster_than(implementation: str) -> str:
        for other in members:
            if other["group"] == member["group"] and other["params"].get("implementation") == implementation:
                return f"{other['stats']['median'] / median:.1f}"
        return ""

    def times_fastest_rival() -> str:
        times = {
            other["params"]["implementation"]: other["stats"]["median"]
            for other in members
            if other["group"] == member["group"] and "implementation" in (other["params"] or {})
        }
        name = member["params"].get("implementation")
        rival = fastest_rival(times, name) if name in OWN else None
        return f"{rival / median:.2f}" if rival else ""

    written, flop_rate = extra.get("bytes_written"), extra.get("flop_per_second")
    shares = extra.get("share_of_ceilings", {})
    return {
        "what": member["group"],
        "implementation": member["params"].get("implementation") or member["params"]["setting"],
        "median": f"{1e6 * median:.1f} us" if median < 1e-3 else f"{1e3 * median:.2f} ms",
        "spread (quartiles)": f"{100 * stats['iqr'] / median:.0f} %",
        "rounds": str(stats["rounds"]) if flop_rate else "",
        "times back to back": f"{extra['times_back_to_back']:.2f}" if "times_back_to_back" in extra else "",
        "times the fastest rival": times_fastest_rival(),
        "times eager autograd": times_faster_than("eager autograd"),
        "times plain PyTorch": times_faster_than("plain PyTorch"),
        "times GRUCell + Linear": times_faster_than("GRUCell + Linear"),
        "times tuned torch": times_faster_than("tuned torch"),
        "times torch packed": times_faster_than("torch packed"),
        "times torch cross_entropy": times_faster_than("torch cross_entropy"),
        "times the reference": times_faster_than("reference"),
        "tokens/s": f"{extra['tokens_per_second']:,.0f}" if "tokens_per_second" in extra else "",
        "GB/s written": f"{written / median / 1e9:.2f}" if written else "",
        "GFLOP/s": f"{flop_rate / 1e9:.1f}" if flop_rate else "",
        **{heading: f"{100 * shares[name]:.0f}" if name in shares else "" for name, heading in CEILINGS.items()},
    }


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(report(json.loads(Path(path).read_text(encoding="utf-8"))))
