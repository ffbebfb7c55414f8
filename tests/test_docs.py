"""What README, CONTRIBUTING and docs/ say is so: options, commands, names, messages, measures, links.

`python tests/test_docs.py` rewrites the tables that are made from the code.
"""

import ast
import dataclasses
import functools
import importlib.util
import json
import re
import shlex
import typing

import pytest
from doc_pages import PAGES, ROOT, anchors, between_marks, code_blocks, pages, text_of, without_code

import svebm_ext
from svebm_ext import classify, evaluate, experiments, explore, generate, group, train
from svebm_ext.config import Config
from svebm_ext.measures.documentation import CORE_METRICS, METRIC_DOCUMENTATION
from svebm_ext.presets import PRESETS

COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "generate": generate,
    "classify": classify,
    "group": group,
    "explore": explore,
    "experiments": experiments,
}

#: Titles of corpora, by the name that a configuration has for them.
CORPORA = {
    "assistant": "Requests to an assistant: the embedded corpus", "lines": "Text of your own", "ptb": "Penn Treebank",
    "daily-dialog": "DailyDialog", "smd": "Stanford multi-domain dialogs", "yelp": "Yelp", "agnews": "AG News",
    "the plane": "Densities of the plane",
}  # fmt: skip
#: Options of other programs that the pages mention.
FOREIGN_OPTIONS = {
    "--help", "--json", "--smoke", "--nproc-per-node", "--no-deps", "--force-reinstall", "--build", "--test-dir",
    "--check", "--platform", "--wheel-dir", "--dry-run", "--benchmark-json", "--collect-only", "--version",
    "--fuzz-seconds", "--strict", "--max-restarts", "--nnodes", "--node-rank", "--master-addr",
}  # fmt: skip
#: Files beside the package's own that read SVEBM_ variables.
VARIABLE_SOURCES = ("setup.py", "CMakeLists.txt", "bench/shapes.py", ".ci/run")


def options_of(cls, prefix=""):
    """Command-line options of a dataclass, as tyro names them."""
    found = set()
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        name, hint = field.name.replace("_", "-"), hints[field.name]
        sections = [one for one in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(one)]
        for section in sections:  # several of them: of the kinds of examples
            found |= options_of(section, f"{prefix}{name}.")
        if not sections:
            found.add(f"--{prefix}{name}")
            if hint is bool:
                found.add(f"--{prefix}no-{name}")
    return found


def documented_commands(text):
    """(command, arguments) of every line that starts one of our commands."""
    for line in text.splitlines():
        match = re.search(
            rf"(?:python -m svebm_ext\.|-m svebm_ext\.|\bsvebm )({'|'.join(COMMANDS)})\b(.*)",
            line,
        )
        if match and line.startswith("    ") and "..." not in line:
            tokens = shlex.split(re.split(r"[|<>]", match[2])[0])
            yield match[1], tokens


@functools.cache
def message_templates():
    """Every string of the sources, with the parts that vary replaced by the null character."""
    found = []
    for path in [*(ROOT / "svebm_ext").rglob("*.py"), ROOT / "setup.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def occurs(message, templates):
    """Whether some template has all fixed parts of a documented message, in their order."""
    parts = [re.escape(part.strip(" ")) for part in message.split("…") if part.strip(" .:,()")]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    return any(pattern.search(template.replace("`", "")) for template in templates)


def metrics_table():
    rows = ["| key | unit | meaning | source |", "|---|---|---|---|"]
    for key, (unit, meaning, source) in METRIC_DOCUMENTATION.items():
        name = f"**`{key}`**" if key in CORE_METRICS else f"`{key}`"
        rows.append("| " + " | ".join([name, *(cell.replace("|", "\\|") for cell in (unit, meaning, source))]) + " |")
    return "\n".join(rows)


def presets_table():
    """Presets by corpus, each corpus under a heading of its own."""
    groups: dict[str, list[str]] = {}
    for name, (text, config) in PRESETS.items():
        corpus = "the plane" if config.model.kind == "points" else config.data.corpus
        groups.setdefault(CORPORA.get(corpus, corpus), []).append(f"| `{name}` | {text} |")
    heading = ["", "| preset | what it trains |", "|---|---|"]
    pages = [[f"## {title}", *heading, *rows, ""] for title, rows in groups.items()]
    return "\n".join(line for page in pages for line in page).strip()


def report_module():
    """The module that makes reports; bench is no package."""
    specification = importlib.util.spec_from_file_location("bench_report", ROOT / "bench" / "report.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def measured_speed(report, case):
    """Times as fast as the fastest rival: (fp32, rounded operands), of the last such case of a report.

    Rounded operands are compared with rounded ones where a report has such rivals.
    """
    milliseconds = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    ours = {"native": 0, "this package": 0, "native fast": 1, "native, bf16": 1, "this package, bf16": 1}
    times: dict[str, float] = {}
    for line in (ROOT / "bench" / "results" / report).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith(case) and len(cells) > 2:
            number, unit = cells[2].split()
            times[cells[1]] = float(number) * milliseconds[unit]
    fastest_rival = report_module().fastest_rival
    rivals = {name: fastest_rival(times, name) for name in ours if name in times}
    fp32 = next(rivals[name] for name in rivals if ours[name] == 0)
    return tuple((rivals[name] or fp32) / times[name] for place in (0, 1) for name in rivals if ours[name] == place)


#: Lines of the table of speed: what, and its name in the reports of a CPU and of a GPU.
SPEED = (
    ("60 Langevin steps, 512 chains", "langevin, {}, 40x200x20-gelu-512"),
    ("40 greedy words, 32 sentences", "gru_decode, {}, B32 greedy"),
    ("training step, 32 sentences", "training step, {}, batch 32:"),
)


def speed_table():
    lines = ["| | 2 CPU cores (Zen 5) | H200 |", "|---|---|---|"]
    for title, case in SPEED:
        cells = []
        for report, device in (("cpu-epyc-zen5-2-cores.md", "cpu"), ("gpu-h200.md", "cuda")):
            cells.append(" / ".join(f"{ratio:.1f}" for ratio in measured_speed(report, case.format(device))))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def results_table():
    from svebm_ext.experiments.headlines import headline_table

    return headline_table(ROOT / "results")


TABLES = {
    "metrics": ("docs/metrics.md", metrics_table),
    "presets": ("docs/presets.md", presets_table),
    "results": ("README.md", results_table),
    "speed": ("README.md", speed_table),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_made_from_the_code_are_up_to_date(name):
    page, make = TABLES[name]
    found = between_marks(text_of(ROOT / page), name)
    assert found and found[0].strip() == make(), f"{page}: run `python tests/test_docs.py`"


@pages
def test_options_exist(page):
    known = FOREIGN_OPTIONS | options_of(Config) | {o for c in COMMANDS.values() for o in options_of(c.Arguments)}
    named = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", text_of(page)))
    groups = {option.split(".")[0] for option in known if "." in option}
    assert sorted(named - known - groups) == []


@pages
def test_commands_are_understood(page, monkeypatch):
    monkeypatch.setattr("svebm_ext.train.read_run_config", lambda run: PRESETS["assistant"][1])
    for command, arguments in documented_commands(text_of(page)):
        if command == "train":
            train.parse_arguments(arguments)
        elif arguments and not arguments[0].startswith("-"):
            parse_quietly(COMMANDS[command].Arguments, arguments[1:], command)


def parse_quietly(kind, arguments, command):
    import tyro

    from svebm_ext.config import DataConfig, EvaluationConfig

    groups = {"evaluate": (DataConfig(), EvaluationConfig()), "explore": (DataConfig(),)}
    base = {"default": kind(*groups[command])} if command in groups else {}
    if command == "generate":
        arguments = ["--n" if argument == "-n" else argument for argument in arguments]
    try:
        tyro.cli(kind, args=arguments, **base)
    except SystemExit as stop:
        pytest.fail(f"{command} {' '.join(arguments)}: exit status {stop.code}")


def test_there_are_commands_to_understand():
    commands = [command for page in PAGES for command, _ in documented_commands(text_of(page))]
    assert set(commands) == set(COMMANDS) and len(commands) > 20


@pages
def test_names_of_the_package_exist(page):
    for name in set(re.findall(r"`(svebm_ext(?:\.\w+)+)`", text_of(page))):
        resolve(name)


def resolve(name):
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


@pages
def test_python_blocks_compile_and_their_imports_work(page):
    for block in code_blocks(text_of(page)):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pages
def test_relative_links_resolve(page):
    text = text_of(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(text_of(file)), target


@pages
def test_files_named_exist(page):
    for name in set(re.findall(r"`((?:svebm_ext|csrc|python|tests|bench|docs|examples|\.ci)/[\w./]*)`", text_of(page))):
        assert (ROOT / name).exists(), name


@pages
def test_variables_exist(page):
    sources = [*(ROOT / "svebm_ext").rglob("*.py"), *(ROOT / name for name in VARIABLE_SOURCES)]
    known = "\n".join(path.read_text(encoding="utf-8") for path in sources if path.exists())
    named = set(re.findall(r"\bSVEBM_[A-Z_]+\b", text_of(page)))
    assert sorted(name for name in named if name not in known) == []


def test_messages_are_those_of_the_code():
    templates = message_templates()
    rows = re.findall(r"^\| (`.*?) \| .* \|$", text_of(ROOT / "docs" / "troubleshooting.md"), re.MULTILINE)
    messages = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    assert len(messages) > 40
    assert [message for message in messages if not occurs(message, templates)] == []


def test_a_message_that_the_code_lacks_is_noticed():
    templates = message_templates()
    assert occurs("model.n-categories: … symbols cannot hold the … classes of …", templates)
    assert not occurs("model.n-categories: … symbols cannot keep the … classes of …", templates)


def test_every_op_is_in_the_table_of_kernels_with_its_devices():
    from svebm_ext.info import _op_names
    from svebm_ext.ops.backend import NATIVE_KERNELS

    rows = re.findall(
        r"^\| `svebm_ext\.ops\.(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", text_of(ROOT / "docs/kernels.md"), re.M
    )
    assert sorted(name for name, *_ in rows) == _op_names()
    for name, *cells in rows:
        native = tuple(device for device, cell in zip(("cpu", "cuda"), cells, strict=True) if cell.startswith("native"))
        assert native == NATIVE_KERNELS[name], name


def test_keys_of_the_log_are_documented(tmp_path):
    from tiny_runs import tiny_config, write_corpus

    from svebm_ext.training.run import train as train_run

    training = {"max_steps": 2, "validate_every": 2}
    everything = {"label_weight": 1.0, "bag_of_words": 1.0, "mutual_information": 1.0}
    families: list[dict[str, dict[str, typing.Any]]] = [
        {"objective": everything},
        {"objective": {"mutual_information": 0.0}, "model": {"latent": "mixture", "n_variables": 2}},
    ]
    written: set[str] = set()
    for number, changes in enumerate(families):
        out = tmp_path / f"run{number}"
        train_run(tiny_config(write_corpus(tmp_path, labelled=True), training=training, **changes), out)
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        written |= {key for line in lines for key in json.loads(line)}
    section = text_of(ROOT / "docs" / "metrics.md").partition("## The log")[2]
    first_cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == written


def test_own_metrics_are_named_nowhere_else():
    """A key in prose that is not in the table would be one that no file has."""
    keys = set(METRIC_DOCUMENTATION)
    prose = text_of(ROOT / "docs" / "math.md")
    assert {name for name in re.findall(r"`(\w+_as_published|homogeneity\w*)`", prose)} <= keys


def test_versions_agree():
    assert f"version: {svebm_ext.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{svebm_ext.__version__}]" in text_of(ROOT / "CHANGELOG.md")


def rewrite_tables():
    for name, (page, make) in TABLES.items():
        path = ROOT / page
        text = text_of(path)
        match = between_marks(text, name)
        path.write_text(f"{text[: match.start()]}{make()}\n{text[match.end() :]}", encoding="utf-8")


if __name__ == "__main__":
    rewrite_tables()
