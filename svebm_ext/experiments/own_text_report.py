"""The report of `own-text`: a section a corpus, and what SVEBM-IB is worth beside the best plain method of each."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from svebm_ext.experiments.own_text_data import PARTIAL, TITLES
from svebm_ext.experiments.own_text_names import split_name
from svebm_ext.experiments.rows import Budget, Results
from svebm_ext.experiments.table import REPORT, REPORT_JSON
from svebm_ext.files import JsonMapping, JsonObject, write_json, write_whole
from svebm_ext.markdown import table_row

#: Names of methods for people; those without labels, and those from labels.
METHODS = {
    "tfidf-kmeans": "k-means of TF-IDF",
    "nmf": "NMF of TF-IDF",
    "vae-kmeans": "VAE, k-means of z",
    "h-kmeans": "k-means of h",
    "h-em": "k-means of h, EM",
    "guide": "the guide alone",
    "svebm-ib": "SVEBM-IB",
    "svebm-ib-auto": "SVEBM-IB, own number of symbols",
}
CLASSIFIERS = {
    "tfidf-lr": "TF-IDF, logistic regression",
    "h-lr": "h, logistic regression",
    "h-lr-nb-em": "h, logistic regression, naive Bayes and EM",
    "guide": "the guide alone",
    "svebm-ib": "SVEBM-IB",
}
#: Methods that SVEBM-IB has to be better than.
PLAIN = ("tfidf-kmeans", "nmf", "vae-kmeans", "h-kmeans", "h-em")
PLAIN_CLASSIFIERS = ("tfidf-lr", "h-lr", "h-lr-nb-em")
#: Labels of each class, as columns: key in names of rows.
COUNTS = ("5", "10", "50", "all")
#: Measures of a run that are averaged over seeds.
MEASURES = (
    "adjusted_mutual_information", "homogeneity", "homogeneity_chance", "adjusted_rand_index", "symbols_used",
    "nll_per_token", "accuracy", "seconds", "peak_mib", "n_symbols", "classes",
)  # fmt: skip
#: What somebody has written about these runs; where the folder has it, the report shows it below its own notes.
REMARKS = "remarks.md"
#: What is told of generated sentences, by the sentences: most probable words, sampled words, a trigram chain.
MADE = {
    "greedy": "most probable words",
    "greedy_unread": "most probable words, all that p(z|y) gives",
    "sampled": "sampled words",
    "sampled_unread": "sampled words, all that p(z|y) gives",
    "trigram_greedy": "trigram chain of a class, most probable words",
    "trigram_sampled": "trigram chain of a class, sampled words",
}


def rows_of_report(results: Results) -> list[JsonObject]:
    """Content of report.json: a row a system, with means and standard deviations over its finished seeds.

    Means are over the seeds whose command ended well; `ended` counts these. Deviations are null of one seed.
    """
    groups: dict[str, list[JsonObject]] = {}
    for run, document in results.documents:
        groups.setdefault(run.row.name, []).append({**document, "seed": run.config.seed})
    rows = []
    for name, documents in groups.items():
        corpus, method, labels = split_name(name)
        good = [document for document in documents if document["ended"]]
        row: JsonObject = {
            "row": name, "corpus": corpus, "method": method,
            "labels": None if labels < 0 else "all" if labels == 0 else str(labels),
            "seeds": len(documents), "ended": len(good),
            "reasons": sorted({document["reason"] for document in documents if document["reason"]}),
            "words": sorted({document["words"] for document in good if document.get("words")}),
            "commit": ", ".join(dict.fromkeys(document["about"]["commit"] for document in documents)),
            "device": ", ".join(dict.fromkeys(document["about"]["device"] for document in documents)),
            "training_texts": documents[0]["training_texts"], "test_texts": documents[0]["test_texts"],
            "budget": results.budget,
        }  # fmt: skip
        row |= _averaged(good, MEASURES)
        plain = [document["plain"] for document in good if "plain" in document]
        row["plain"] = {key: _averaged([one[key] for one in plain], MEASURES) for key in (plain[0] if plain else ())}
        made = [document["generation"] for document in good if "generation" in document]
        row["generation"] = {
            key: _averaged([one[key] for one in made], ("judged", "distinct_2", "copied"))
            for key in MADE
            if made and key in made[0]
        }
        row["judge_on_test"] = statistics.fmean(one["judge_on_test"] for one in made) if made else None
        row["examples"] = {key: made[0][key]["examples"] for key in ("greedy", "sampled")} if made else {}
        rows.append(row)
    return rows


def _averaged(documents: Sequence[JsonMapping], keys: Iterable[str]) -> JsonObject:
    """Mean over documents of each key that some have, and KEY_deviation, null of one."""
    averages: JsonObject = {}
    for key in keys:
        values = [document[key] for document in documents if document.get(key) is not None]
        if values:
            averages[key] = statistics.fmean(values)
            averages[f"{key}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
    return averages


# Cells ----------------------------------------------------------------------------------------------------------


def cell(row: JsonMapping | None, key: str, form: str = ".3f", factor: float = 1.0) -> str:
    """Mean and deviation over seeds: `0.612 ± 0.004`; a dash where there is none."""
    if row is None or row.get(key) is None:
        return "–"
    deviation = row.get(f"{key}_deviation")
    mean = format(factor * row[key], form)
    return mean if deviation is None else f"{mean} ± {format(factor * deviation, form)}"


def _table(cells: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(cells[0]) - 1)]
    return ["", *(table_row(line) for line in (cells[0], rule, *cells[1:])), ""]


_AGREEMENT = (
    ("AMI", "adjusted_mutual_information", ".3f"), ("homogeneity", "homogeneity", ".3f"),
    ("by chance", "homogeneity_chance", ".3f"), ("ARI", "adjusted_rand_index", ".3f"),
    ("symbols in use", "symbols_used", ".1f"), ("NLL a word", "nll_per_token", ".3f"), ("seconds", "seconds", ".1f"),
    ("MiB", "peak_mib", ".0f"),
)  # fmt: skip


def unlabelled_cells(rows: Sequence[JsonMapping]) -> list[list[str]]:
    """Cells of a corpus's table of symbols, its heading first."""
    lines = [["method", "ended", *(title for title, _, _ in _AGREEMENT)]]
    by_method = {row["method"]: row for row in rows if row["labels"] is None}
    for method, title in METHODS.items():
        row = by_method.get(method)
        if row is None:
            continue
        words = f" ({', '.join(row['words'])})" if row["words"] else ""
        lines.append([title + words, _ended(row), *(cell(row, key, form) for _, key, form in _AGREEMENT)])
        for own, measures in row["plain"].items():
            at = f"{METHODS[own]}, at that number ({cell(row, 'n_symbols', '.0f')})"
            lines.append([at, "", *(cell(measures, key, form) for _, key, form in _AGREEMENT)])
    return lines


def _ended(row: JsonMapping) -> str:
    return f"{row['ended']} of {row['seeds']}"


def accuracy_cells(rows: Sequence[JsonMapping]) -> list[list[str]]:
    """Cells of a corpus's table of accuracies, its heading first."""
    lines = [["method", "ended", *(f"{n} labels" for n in COUNTS), "seconds", "MiB"]]
    for method, title in CLASSIFIERS.items():
        own = {row["labels"]: row for row in rows if row["labels"] is not None and row["method"] == method}
        if not own:
            continue
        ended, seeds = (sum(row[key] for row in own.values()) for key in ("ended", "seeds"))
        longest = max(own.values(), key=lambda row: row.get("seconds", 0.0))
        largest = max(own.values(), key=lambda row: row.get("peak_mib", 0.0))
        lines.append([
            title, f"{ended} of {seeds}", *(cell(own.get(n), "accuracy", ".1f", 100.0) for n in COUNTS),
            cell(longest, "seconds", ".1f"), cell(largest, "peak_mib", ".0f"),
        ])  # fmt: skip
    return lines


def generation_cells(rows: Sequence[JsonMapping]) -> list[list[str]]:
    """Cells of a corpus's table of generated sentences, its heading first."""
    lines = [["sentences", "class as asked for", "distinct-2", "copied"]]
    for row in rows:
        for key, measures in row["generation"].items():
            is_chain = key.startswith("trigram")
            if is_chain and row["labels"] != "all":  # the same chain, of all labels
                continue
            title = MADE[key] if is_chain else f"SVEBM-IB, {row['labels']} labels, {MADE[key]}"
            judged, copies = (cell(measures, name, ".1f", 100.0) for name in ("judged", "copied"))
            lines.append([title, judged, cell(measures, "distinct_2"), copies])
    return lines


# What SVEBM-IB is worth -----------------------------------------------------------------------------------------


def comparison(rows: Sequence[JsonMapping], labels: str | None) -> list[JsonObject]:
    """By corpus: SVEBM-IB, the best plain method and its name, and the guide; corpora that have both first two.

    Args:
        rows: of report.json.
        labels: column of accuracies (per cent), or None: adjusted mutual information (0 to 1).
    """
    key, factor = ("adjusted_mutual_information", 1.0) if labels is None else ("accuracy", 100.0)
    plain = PLAIN if labels is None else PLAIN_CLASSIFIERS
    compared = []
    for corpus in TITLES:
        own = {
            row["method"]: factor * row[key]
            for row in rows
            if row["corpus"] == corpus and row["labels"] == labels and row.get(key) is not None
        }
        others = {method: own[method] for method in plain if method in own}
        if "svebm-ib" in own and others:
            best = max(others, key=lambda method: others[method])
            compared.append(
                {
                    "corpus": corpus, "svebm-ib": own["svebm-ib"], "best": best, "plain": others[best],
                    "complete": len(others) == len(plain), "guide": own.get("guide"),
                }
            )  # fmt: skip
    return compared


def comparison_cells(rows: Sequence[JsonMapping]) -> list[list[str]]:
    """Cells of the table over corpora, its heading first; a mean of each measure over corpora."""
    lines = [["corpus, measure", "SVEBM-IB", "best plain row", "SVEBM-IB less best plain row", "less guide"]]
    for labels in (None, *COUNTS):
        measure, form = ("AMI", ".3f") if labels is None else (f"accuracy, {labels} labels", ".1f")
        signed = f"+{form}"
        titles = METHODS if labels is None else CLASSIFIERS
        compared = comparison(rows, labels)
        for one in compared:
            name = f"{titles[one['best']]} {format(one['plain'], form)}{'' if one['complete'] else ' (of some)'}"
            less = "–" if one["guide"] is None else format(one["svebm-ib"] - one["guide"], signed)
            lines.append([
                f"{one['corpus']}, {measure}", format(one["svebm-ib"], form), name,
                format(one["svebm-ib"] - one["plain"], signed), less,
            ])  # fmt: skip
        if len(compared) > 1:
            mean = {key: statistics.fmean(one[key] for one in compared) for key in ("svebm-ib", "plain")}
            guided = [one["svebm-ib"] - one["guide"] for one in compared if one["guide"] is not None]
            lines.append([
                f"**mean of {len(compared)} corpora, {measure}**", format(mean["svebm-ib"], form),
                format(mean["plain"], form), format(mean["svebm-ib"] - mean["plain"], signed),
                format(statistics.fmean(guided), signed) if guided else "–",
            ])  # fmt: skip
    return lines


# The report -----------------------------------------------------------------------------------------------------


def notes(budget: Budget, corpora: Sequence[str]) -> list[str]:
    """What a reader has to know beside the numbers."""
    lines = {"smoke": "300 training and 100 test lines", "cpu": "at most 50,000 training lines, evenly spread"}
    partial = [text for corpus, text in PARTIAL.items() if corpus in corpora]
    incomparable = "".join(f" {text}." for text in partial)
    return [
        "Means and standard deviations over training seeds. Each row is a command in a process of its own, on two "
        "threads: seconds and MiB are those of the whole command, reading and evaluation included. A command that "
        "fails is counted in the column `ended` and kept; delete its folder to try again.",
        "SVEBM-IB is preset `lines` or `lines-labelled` with its defaults, except that without labels it is told the "
        "number of classes, as all methods are. The row with its own number of symbols is told nothing. It holds a "
        "tenth of its training lines out to validate. Plain methods learn from all of them; the guide, which SVEBM-IB "
        "is taught by, reads the words of the held-out lines, and their labels when the model has been chosen.",
        "AMI and ARI are 0 by chance. The chance level of homogeneity is that of the same symbols permuted. TF-IDF is "
        "of the words, the package's or scikit-learn's, that score better on the test file, which favours it.",
        "NLL a word is in nats, ends of sentences counted; of VAEs and SVEBM-IB alike it is an estimate by importance "
        "sampling. Which texts have a label is chosen by the seed, the same for all methods.",
        "SVEBM-IB keeps sentences of a class that it reads as such itself (p(y given x) of 0.8 or more). All that "
        "p(z given y) gives stand beside them.",
        f"Budget {budget} reads {lines.get(budget, 'all lines')}.{incomparable} Figures of other splits or more text "
        "do not compare with these.",
    ]


def report(results: Results) -> list[Path]:
    """Write report.json and report.md."""
    rows, out = rows_of_report(results), results.place.out
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / REPORT_JSON, rows)
    corpora = [corpus for corpus in TITLES if any(row["corpus"] == corpus for row in rows)]
    lines = ["# Text of one's own", ""]
    lines += [text for note in notes(results.budget, corpora) for text in (note, "")]
    if (out / REMARKS).exists():
        lines += [(out / REMARKS).read_text(encoding="utf-8").strip(), ""]
    compared = comparison_cells(rows)
    if len(compared) > 1:
        lines += ["## SVEBM-IB beside the best plain row", *_table(compared)]
    for corpus in corpora:
        lines += _corpus_lines(corpus, [row for row in rows if row["corpus"] == corpus])
    lines += [f"**Failed:** {label}: {reason}\n" for label, reason in results.failures.items()]
    lines += _left_out_lines(results.left_out)
    lines += ["## How the rows were made", *_table([["row", "seeds", "commit", "device"], *(
        [row["row"], str(row["seeds"]), row["commit"], row["device"]] for row in rows
    )])]  # fmt: skip
    write_whole(out / REPORT, "\n".join(lines).rstrip() + "\n")
    return [out / REPORT, out / REPORT_JSON]


def _corpus_lines(corpus: str, rows: Sequence[JsonMapping]) -> list[str]:
    """Section of a corpus."""
    first = rows[0]
    lines = [f"## {TITLES[corpus]}", "", f"{first['training_texts']:,} training and {first['test_texts']:,} test lines"]
    if first.get("classes"):
        lines[-1] += f" of {first['classes']:.0f} classes"
    lines[-1] += "."
    for title, cells in (
        ("Symbols without labels", unlabelled_cells(rows)),
        ("Accuracy in per cent, labels of each class", accuracy_cells(rows)),
        ("Generated sentences of a class, per cent", generation_cells(rows)),
    ):
        if len(cells) > 1:
            lines += ["", f"### {title}", *_table(cells)]
    judges = {f"{row['judge_on_test']:.1%}" for row in rows if row["judge_on_test"] is not None}
    if judges:
        lines += [f"The judge is right for {', '.join(sorted(judges))} of the real test sentences.", ""]
    for row in rows:
        lines += [f"`{row['row']}` failed for some seed: {reason}\n" for reason in row["reasons"]]
    return [*lines, ""]


def _left_out_lines(left_out: Sequence[str]) -> list[str]:
    """A line a reason, with the rows that it is about, or their number where they are many."""
    about: dict[str, list[str]] = {}
    for text in left_out:
        name, _, reason = text.partition(": ")
        about.setdefault(reason, []).append(name)
    return [
        f"**Left out:** {names[0] if len(names) == 1 else f'{names[0]} to {names[-1]}, {len(names)} rows'}: {reason}\n"
        for reason, names in about.items()
    ]
