"""`python -m svebm_ext.classify RUN [FILE]`: symbol, label and probability of each text, and what the symbol means."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from svebm_ext.commands import load_model, parse_with_run, run_command
from svebm_ext.errors import ConfigError
from svebm_ext.terminal import printable_json, say, show

if TYPE_CHECKING:
    from svebm_ext.data.examples import Examples
    from svebm_ext.models.svebm import SVEBM, Classification

#: Typical words of a symbol that stand beside an answer.
WORDS = 3


@dataclass(frozen=True)
class Arguments:
    """Options."""

    file: Path | None = None
    """File of texts, read as `train` reads it (default, and "-": standard input)."""
    format: Literal["auto", "lines", "tsv", "csv", "jsonl", "json", "fasttext", "parquet"] = "auto"
    """Format of the file; "auto" recognises it. Labels in it are not used."""
    text_column: str | None = None
    """Column (or key) that holds the text: its name, or its number from 1."""
    json: bool = False
    """One JSON object a line, with the number of the text's line, instead of tab-separated label, probability, text."""
    words: bool | None = None
    """Put typical words of its symbol behind each text, where the run was evaluated (default: on a terminal)."""
    device: str = "cpu"
    """Device: cpu or cuda."""


def read_texts(options: Arguments) -> Examples:
    """Texts of a file or of standard input, empty ones left out; what there is to say goes to standard error.

    Raises:
        DataError: as `svebm_ext.data.examples.read_examples`.
    """
    from svebm_ext.data.examples import Reading, read_examples
    from svebm_ext.errors import DataError

    reading = Reading(options.format, "skip", options.text_column, labels="unused")
    examples = read_examples("-" if options.file is None else options.file, reading)
    if options.text_column is not None and not examples.is_table:
        raise DataError(f"{examples.name}: has no columns, but --text-column {options.text_column!r} is asked for")
    if examples.n_skipped:
        hint = "" if options.json else "; --json tells the line of each answer"
        examples.notes.append(f"{examples.name}: {examples.n_skipped} empty lines left out{hint}")
    for note in examples.notes:
        say(note)
    return examples


def classify_texts(model: SVEBM, examples: Examples) -> list[Classification]:
    """Answers to all texts; an error names the line of its text."""
    from svebm_ext.errors import DataError

    try:
        return model.classify([text.strip() for text in examples.texts])
    except DataError as error:
        numbered = re.match(r"text (\d+): (.*)", str(error))
        if numbered is None:
            raise
        raise DataError(f"{examples.where(int(numbered[1]))}: {numbered[2]}") from None


def words_beside(run: Path) -> dict[int, list[str]]:
    """Typical words of each symbol, as the evaluation of the run has found them; none where it was not evaluated."""
    from svebm_ext.errors import ModelFolderError
    from svebm_ext.evaluation.report import METRICS, read_document
    from svebm_ext.evaluation.topic_text import words_of_symbols

    if not (run / METRICS).exists():
        return {}
    try:
        return words_of_symbols(read_document(run / METRICS))
    except (ModelFolderError, OSError) as error:
        say(f"note: without words of the symbols: {error}")
        return {}


def _with_file(arguments: Sequence[str]) -> list[str]:
    """The arguments, a file that stands after the run folder written as the option that it is."""
    given = list(arguments)
    second = given[1] if len(given) > 1 and not given[0].startswith("-") else "--"
    if second != "-" and second.startswith("-"):
        return given
    for argument in given[2:]:
        if argument == "--file" or argument.startswith("--file="):
            raise ConfigError(f"--file: given beside {second} after the run folder, expected one file")
    return [given[0], *given[2:]] if second == "-" else [given[0], "--file", *given[1:]]


def main(arguments: Sequence[str]) -> None:
    """Classify texts, in their order."""
    run, options = parse_with_run(
        Arguments,
        _with_file(arguments),
        command="classify",
        description="Most probable symbol (or label) of each text.",
    )
    model = load_model(run, options.device)
    examples = read_texts(options)
    n_unknown = model.n_without_known_word(examples.texts)
    if n_unknown:
        say(f"note: {n_unknown} of {len(examples.texts)} texts have no word that the model knows")
    answers, words = classify_texts(model, examples), words_beside(Path(run))
    with_words = sys.stdout.isatty() if options.words is None else options.words
    for line, text, answer in zip(examples.rows, examples.texts, answers, strict=True):
        if options.json:
            record = {
                "line": line, "text": text.strip(), "symbol": answer.symbol, "label": answer.label,
                "probability": answer.probability, "words": words.get(answer.symbol, []),
            }  # fmt: skip
            show(printable_json(json.dumps(record, ensure_ascii=False)))
        else:
            label = answer.label if answer.label is not None else str(answer.symbol)
            typical = words.get(answer.symbol, [])[:WORDS] if with_words and answer.label is None else []
            shown = f"{label}\t{answer.probability:.4f}\t{' '.join(text.split())}"
            show(f"{shown}\t{', '.join(typical)}" if typical else shown)


if __name__ == "__main__":
    run_command(main)
