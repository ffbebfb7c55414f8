"""metrics.json and report.md of a run: what was measured, in which unit, and on what."""

import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import svebm_ext
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.models.pretrained import read_json, write_atomically, write_json
from svebm_ext.ops.native_library import read_build_record
from svebm_ext.terminal import printable

METRICS, REPORT = "metrics.json", "report.md"


class MetricDocumentation(NamedTuple):
    """Unit of a measure, its meaning in a line, and where it is defined."""

    unit: str
    meaning: str
    source: str


#: Every key that metrics.json can have, in the order of the report. A key missing here is refused.
METRIC_DOCUMENTATION: dict[str, MetricDocumentation] = {
    "nll": MetricDocumentation(
        "nats/sentence",
        "-log p(x) by importance sampling from q(z|x), widened, with log_z_upper",
        "Burda et al. 2016; Eq. 4-6",
    ),
    "nll_proposal_scale": MetricDocumentation(
        "ratio", "standard deviations of the samples behind nll, in those of q(z|x)", "models.proposal"
    ),
    "ppl": MetricDocumentation("per token", "perplexity exp(NLL / tokens), ends of sentences counted", "of nll"),
    "bits_per_byte": MetricDocumentation(
        "bits",
        "NLL per UTF-8 byte of the text, ends not counted: compares tokenizations where unknown_share is 0; an unknown "
        "word counts as one symbol, so that it is too low elsewhere",
        "of nll",
    ),
    "unknown_share": MetricDocumentation("share", "words of the test split that the vocabulary lacks", "data.coverage"),
    "elbo": MetricDocumentation("nats/sentence", "lower bound of log p(x), with log_z_upper", "Eq. 10"),
    "entropy": MetricDocumentation(
        "nats/sentence", "entropy of the grammar that wrote the corpus: no model's NLL is below it", "data.grammar"
    ),
    "reconstruction_nll": MetricDocumentation("nats/sentence", "-log p(x|z) at z from q(z|x)", "Eq. 6, 10"),
    "reconstruction_nll_shuffled": MetricDocumentation(
        "nats/sentence",
        "-log p(x|z) at the z of another sentence of similar length: what z is worth",
        "evaluation.evaluator",
    ),
    "kl": MetricDocumentation(
        "nats/sentence", "KL(q(z|x) || N(0, I)); of discrete variables and mixtures, KL to their prior", "Eq. 10"
    ),
    "log_z_lower": MetricDocumentation(
        "nats", "log Z of the prior: lower end, annealed importance sampling from p0", "Neal 2001"
    ),
    "log_z_upper": MetricDocumentation(
        "nats", "log Z of the prior: upper end, annealing back from long chains of the prior", "Grosse et al. 2015"
    ),
    "log_z_ess_lower": MetricDocumentation("chains", "effective sample size behind log_z_lower", "Kong et al. 1994"),
    "log_z_ess_upper": MetricDocumentation("chains", "effective sample size behind log_z_upper", "Kong et al. 1994"),
    "chains_r_hat": MetricDocumentation(
        "ratio", "convergence of the chains behind log_z_upper: 1 is converged", "Vehtari et al. 2021"
    ),
    "nll_ess": MetricDocumentation("samples", "median effective sample size behind nll", "Kong et al. 1994"),
    "nll_annealed": MetricDocumentation(
        "nats/sentence",
        "NLL of some sentences by annealed importance sampling from q(z|x) to p(x, z)",
        "Wu et al. 2017",
    ),
    "nll_of_annealed": MetricDocumentation(
        "nats/sentence", "the estimate that nll is, of the same sentences", "of nll"
    ),
    "nll_as_published": MetricDocumentation(
        "nats/sentence", "the released program's estimate, which is no likelihood; for comparison only", "bpucla/ibebm"
    ),
    "bleu": MetricDocumentation("0-100", "corpus BLEU-4 of greedy reconstructions from mu(x)", "Papineni et al. 2002"),
    "bleu_signature": MetricDocumentation("text", "how BLEU was computed", "Post 2018 (sacrebleu)"),
    "bleu_without_speakers": MetricDocumentation("0-100", "bleu with speaker marks left out of both sides", "of bleu"),
    "reconstruction_average": MetricDocumentation(
        "0-100", "100 x cosine of mean word vectors, reconstructions and originals", "Mitchell & Lapata 2008"
    ),
    "reconstruction_extrema": MetricDocumentation(
        "0-100", "100 x cosine of each dimension's most extreme value over the words", "Forgues et al. 2014"
    ),
    "reconstruction_greedy": MetricDocumentation(
        "0-100", "100 x mean best cosine of each word with the other side's words, both ways", "Rus & Lintean 2012"
    ),
    "response_bleu": MetricDocumentation(
        "0-100",
        "corpus BLEU-4 of greedy responses at a z from the prior p(z|c), speaker marks as words",
        "Papineni et al. 2002; Table 3 of the paper",
    ),
    "response_bleu_without_speakers": MetricDocumentation(
        "0-100", "response_bleu with speaker marks left out of both sides", "of response_bleu"
    ),
    "response_average": MetricDocumentation("0-100", "as reconstruction_average, of responses", "Table 3 of the paper"),
    "response_extrema": MetricDocumentation("0-100", "as reconstruction_extrema, of responses", "Table 3 of the paper"),
    "response_greedy": MetricDocumentation("0-100", "as reconstruction_greedy, of responses", "Table 3 of the paper"),
    "consensus_bleu": MetricDocumentation(
        "0-100",
        "as response_bleu, of the greedy response that is most like those at other z from p(z|c)",
        "Kumar & Byrne 2004; models.consensus",
    ),
    "consensus_bleu_without_speakers": MetricDocumentation(
        "0-100", "consensus_bleu with speaker marks left out of both sides", "of consensus_bleu"
    ),
    "consensus_average": MetricDocumentation("0-100", "as reconstruction_average, of these responses", "of Table 3"),
    "consensus_extrema": MetricDocumentation("0-100", "as reconstruction_extrema, of these responses", "of Table 3"),
    "consensus_greedy": MetricDocumentation("0-100", "as reconstruction_greedy, of these responses", "of Table 3"),
    "reconstruction_accuracy": MetricDocumentation(
        "share", "tokens that the greedy reconstruction has at the same position", "evaluation.latent"
    ),
    "reconstruction_exact": MetricDocumentation("share", "sentences reconstructed exactly", "evaluation.latent"),
    "wkl": MetricDocumentation(
        "nats", "KL(word frequencies of samples || of the training set)", "Table 1 of the paper"
    ),
    "wkl_skipped": MetricDocumentation("words", "sample words that the training set lacks, left out of wkl", "of wkl"),
    "wkl_ancestral": MetricDocumentation(
        "nats", "the same of samples whose words are drawn from p(x|z), not the most probable ones", "of wkl"
    ),
    "rppl": MetricDocumentation(
        "per token", "perplexity of the test set under a language model trained on greedy samples", "Zhao et al. 2018"
    ),
    "rppl_as_published": MetricDocumentation(
        "per token",
        "rppl with the words of the test set that no sample has counted as unknown ones; for comparison only",
        "program of Zhao et al. 2018",
    ),
    "rppl_ancestral": MetricDocumentation(
        "per token", "the same of samples whose words are drawn from p(x|z)", "of rppl"
    ),
    "wkl_aggregate": MetricDocumentation(
        "nats",
        "wkl of greedy samples at z of the aggregate posterior: of a prior equal to it",
        "Tomczak & Welling 2018",
    ),
    "rppl_aggregate": MetricDocumentation("per token", "rppl of the same samples", "Tomczak & Welling 2018"),
    "grammar_accept": MetricDocumentation("share", "samples that the corpus's grammar accepts", "data.grammar"),
    "mi": MetricDocumentation(
        "nats",
        "I(z, y) over the whole set; at most log K; of several discrete variables the sum of each one's",
        "Eq. 21",
    ),
    "marginal_entropy": MetricDocumentation(
        "nats", "entropy of q(y) over the whole set; at most log K; of several variables the sum", "Eq. 21"
    ),
    "symbols_used": MetricDocumentation("symbols", "symbols that are most probable for some sentence", "of Eq. 3"),
    "active_units": MetricDocumentation(
        "dimensions", "dimensions of z whose posterior mean varies by more than .01", "Burda et al. 2016"
    ),
    "homogeneity": MetricDocumentation(
        "0-1", "1 - H(label|symbol) / H(label) over the whole set", "Rosenberg & Hirschberg 2007"
    ),
    "homogeneity_chance": MetricDocumentation(
        "0-1", "homogeneity of the same symbols, permuted at random", "evaluation.latent"
    ),
    "completeness": MetricDocumentation("0-1", "1 - H(symbol|label) / H(symbol)", "Rosenberg & Hirschberg 2007"),
    "v_measure": MetricDocumentation(
        "0-1", "harmonic mean of homogeneity and completeness", "Rosenberg & Hirschberg 2007"
    ),
    "adjusted_mutual_information": MetricDocumentation(
        "0-1", "mutual information of symbols and labels, 0 at chance level", "Vinh et al. 2010"
    ),
    "adjusted_mutual_information_tfidf": MetricDocumentation(
        "0-1",
        "the same of k-means of TF-IDF vectors, as many clusters as the model has symbols: the plain way",
        "evaluation.plain",
    ),
    "information_beyond_question_mark": MetricDocumentation(
        "nats", "I(symbol; label | whether the sentence has a ?): what symbols tell beyond it", "evaluation.latent"
    ),
    "information_beyond_question_mark_chance": MetricDocumentation(
        "nats", "the same of symbols permuted among sentences with, and among those without", "evaluation.latent"
    ),
    "information_beyond_question_mark_share": MetricDocumentation(
        "0-1", "the information divided by H(label | whether the sentence has a ?)", "evaluation.latent"
    ),
    "homogeneity_per_batch_as_published": MetricDocumentation(
        "0-1", "mean over batches of 30: random codes score .6 and more; for comparison only", "bpucla/ibebm"
    ),
    "accuracy": MetricDocumentation("share", "sentences or documents classified correctly", "p(y|x), Eq. 3"),
    "accuracy_interval": MetricDocumentation(
        "share", "95 % interval of accuracy: lower and upper end; of fewer than 100 labelled examples", "Wilson 1927"
    ),
    "accuracy_tfidf": MetricDocumentation(
        "share",
        "accuracy of logistic regression of TF-IDF vectors, learnt from the same labelled texts: the plain way",
        "evaluation.plain",
    ),
    "calibration_error": MetricDocumentation("0-1", "expected calibration error, 15 bins", "Guo et al. 2017"),
    "modes_found": MetricDocumentation("modes", "modes of the known density that samples reach", "two_sample"),
    "share_at_modes": MetricDocumentation("share", "samples that lie at some mode", "two_sample"),
    "energy_distance": MetricDocumentation(
        "length^(1/2)", "energy distance of samples and data", "Szekely & Rizzo 2013"
    ),
    "energy_distance_p_value": MetricDocumentation(
        "0-1", "permutation test of samples and data being equally distributed", "Szekely & Rizzo 2013"
    ),
    "mmd": MetricDocumentation(
        "0-1.42", "maximum mean discrepancy of samples and data, Gaussian kernel", "Gretton et al. 2012"
    ),
    "true_nll": MetricDocumentation(
        "nats/point", "-log of the known density at generated points, mean; its entropy for perfect samples", "data"
    ),
    "true_entropy": MetricDocumentation("nats/point", "-log of the known density at its own points, mean", "data"),
}

#: Keys that metrics.json always has; null, with a reason, where they were not or could not be computed.
CORE_METRICS = (
    "nll", "ppl", "elbo", "log_z_lower", "log_z_upper", "bleu", "wkl", "mi", "kl", "active_units", "homogeneity",
)  # fmt: skip


@dataclass(frozen=True)
class ReportContext:
    """What a reader needs to judge the numbers, and to get them again.

    Attributes:
        title: name of the run.
        configuration: plain JSON-ready form of it.
        seed: of the evaluation.
        device: where it ran.
        sample_counts: what was counted on, for instance {"test sentences": 3761, "importance samples": 500}.
        warnings: one line each.
        notes: facts about the data, one line each.
        paper: the paper's (or another reference's) value of a measure.
        summary: what was found, in plain sentences; indented lines belong to the one before.
        texts: lines to quote under a heading, such as samples and reconstructions.
        commit: of the sources, see `source_version`.
    """

    title: str
    configuration: Mapping[str, Any]
    seed: int
    device: str
    sample_counts: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    paper: Mapping[str, float] = field(default_factory=dict)
    summary: Sequence[str] = ()
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    commit: str = field(default_factory=lambda: source_version())


def metrics_document(
    metrics: Mapping[str, Any], context: ReportContext, reasons: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Content of metrics.json: the measures by their documented keys, `null_reasons` and `about`.

    Numbers that JSON cannot hold (not a number, infinite) become null. Whatever is null has a line in `null_reasons`,
    under its key (`homogeneity.act` for the label act).

    Args:
        metrics: numbers (also of torch or numpy) by key of METRIC_DOCUMENTATION; a mapping gives one number per label.
        context: of the evaluation; `about` repeats its seed, commit, device and sample counts.
        reasons: why a measure that is missing or None was not computed.

    Raises:
        ConfigError: a key that METRIC_DOCUMENTATION lacks, or a value that is no number, text, mapping or interval.
    """
    reasons = dict(reasons or {})
    unknown = sorted((set(metrics) | set(reasons)) - set(METRIC_DOCUMENTATION))
    if unknown:
        raise ConfigError(f"measure {unknown[0]!r} is not described in METRIC_DOCUMENTATION (evaluation/report.py)")
    document: dict[str, Any] = {}
    null_reasons: dict[str, str] = {}
    for key in METRIC_DOCUMENTATION:
        if key in metrics or key in reasons or key in CORE_METRICS:
            document[key] = _plain(key, metrics.get(key), reasons.get(key, "not computed"), null_reasons)
    document["null_reasons"] = null_reasons
    document["about"] = {
        "seed": context.seed,
        "commit": context.commit,
        "device": context.device,
        "sample_counts": {name: int(count) for name, count in context.sample_counts.items()},
        "warnings": list(context.warnings),
        "notes": list(context.notes),
        "summary": list(context.summary),
    }
    return document


def render_report(document: Mapping[str, Any], context: ReportContext) -> str:
    """Content of report.md: what was found, a table of the measures, then what they were measured on.

    Args:
        document: from `metrics_document`.
        context: of the evaluation.
    """
    header = ["measure", "value", "unit", "meaning", "defined by"]
    if context.paper:
        header.insert(2, "paper")
    lines = [f"# {context.title}"]
    for number, text in enumerate(context.summary):
        # Indented lines are one block of code; Markdown asks for an empty line before it.
        inside = text.startswith(" ") and number > 0 and context.summary[number - 1].startswith(" ")
        lines += [text] if inside else ["", text]
    lines += ["", table_row(header), table_row(["---"] * len(header))]
    for key, documentation in METRIC_DOCUMENTATION.items():
        value = document.get(key)
        values = {f"{key}, {name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
        for name, item in values.items() if key in document else ():
            cells = [name, _text(item), documentation.unit, documentation.meaning, documentation.source]
            if context.paper:
                cells.insert(2, _text(context.paper[key]) if key in context.paper else "")
            lines.append(table_row(cells))
    for name, reason in document["null_reasons"].items():
        lines += ["", f"{name}: {reason}."]
    for warning in context.warnings:
        lines += ["", f"**Warning:** {warning}"]
    for note in context.notes:
        lines += ["", f"Note: {note}"]
    for heading, texts in context.texts.items():
        lines += ["", f"## {heading}", "", *("    " + " ".join(text.splitlines()) for text in texts)]
    counts = ", ".join(f"{name} {count:,}" for name, count in context.sample_counts.items()) or "not given"
    lines += ["", "## Measured on", "", table_row(["what", "value"]), table_row(["---", "---"])]
    about = {"commit": context.commit, "seed": context.seed, "device": context.device, "sample counts": counts}
    lines += [table_row([name, str(value)]) for name, value in about.items()]
    lines += ["", "## Configuration", "", table_row(["option", "value"]), table_row(["---", "---"])]
    lines += [table_row([name, value]) for name, value in _options(context.configuration)]
    return printable("\n".join(lines) + "\n", "\n")


def write_report(
    folder: Path, metrics: Mapping[str, Any], context: ReportContext, reasons: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Write metrics.json and report.md to a folder, each atomically; returns the content of metrics.json.

    Arguments and errors are those of `metrics_document`.
    """
    document = metrics_document(metrics, context, reasons)
    write_document(folder, document, context)
    return document


def write_document(folder: Path, document: dict[str, Any], context: ReportContext) -> None:
    """Write report.md, then metrics.json: who finds the latter finds all that belongs to it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / REPORT, render_report(document, context))
    write_json(folder / METRICS, document)


def read_document(path: Path) -> dict[str, Any]:
    """Content of a metrics.json, its layout checked.

    Raises:
        ModelFolderError: missing, damaged, or of another layout; the message names the entry.
    """
    document = read_json(path)
    kinds = {"commit": str, "device": str, "sample_counts": dict, "warnings": list, "notes": list, "summary": list}
    about = document.get("about") if isinstance(document, dict) else None
    if not isinstance(about, dict):
        raise ModelFolderError(f"{path}: expected an object of measures with an entry about")
    wrong = [name for name, kind in kinds.items() if name in about and not isinstance(about[name], kind)]
    texts = [text for name in ("warnings", "notes", "summary") for text in about.get(name, [])] if not wrong else []
    if wrong or not all(isinstance(text, str) for text in texts):
        raise ModelFolderError(f"{path}: about.{(wrong or ['warnings'])[0]} is not as evaluate writes it")
    if not isinstance(document.get("null_reasons", {}), dict):
        raise ModelFolderError(f"{path}: null_reasons is not as evaluate writes it, expected an object")
    return document


def source_version() -> str:
    """Commit of the sources that run, `+changes` where files differ from it, and the package's version.

    Of an installed package the commit that it was built from, where the build knew it.
    """
    package = Path(svebm_ext.__file__).resolve().parent
    version = f"svebm_ext {svebm_ext.__version__}"
    # An installed package may lie inside some other repository, whose commit says nothing about it.
    top = _git(package, "rev-parse", "--show-toplevel")
    tracked = _git(package, "ls-files", "__init__.py")
    if top and tracked and Path(top).resolve() == package.parent:
        commit = _git(package, "rev-parse", "--short=12", "HEAD")
        if _git(package, "status", "--porcelain", "--untracked-files=no"):
            commit += "+changes"
    elif not (package.parent / ".git").exists():
        built, *changed = str(read_build_record(package).get("commit", "")).split("+")
        commit = "+".join([built[:12], *changed])
    else:  # a clone, but no git
        commit = ""
    return f"{commit} ({version})" if commit else version


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""


def _plain(name: str, value: Any, reason: str, null_reasons: dict[str, str]) -> Any:
    """JSON-ready form of a measure; notes why it is null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(f"{name}.{k}", item, reason, null_reasons) for k, item in value.items()}
    if value is None:
        null_reasons[name] = reason
        return None
    if isinstance(value, str):
        return value
    if name.endswith("_interval") and isinstance(value, tuple) and len(value) == 2:
        return [_plain(f"{name}.{end}", item, reason, null_reasons) for end, item in enumerate(value)]
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, (int, float)):
        raise ConfigError(f"measure {name!r} is {value!r}; expected a number, text, or numbers by name")
    if isinstance(number, float) and not math.isfinite(number):
        null_reasons[name] = "not a number" if math.isnan(number) else f"infinite ({number})"
        return None
    return number


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return " to ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)


def table_row(cells: Sequence[str]) -> str:
    """Cells as a row of a Markdown table; bars and line breaks inside them do not break it."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _options(configuration: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in configuration.items():
        if isinstance(value, Mapping):
            found += _options(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, str(value)))
    return found
