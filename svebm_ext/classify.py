"""`python -m svebm_ext.classify RUN [FILE]`: symbol, label and probability of each text, and what the symbol means."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from svebm_ext.commands import check_run, load_model, parse_with_run, rare_collections, run_command, say_missing_folders
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.files import check_folder_takes_files, made_folder
from svebm_ext.progress import Tally
from svebm_ext.terminal import counted, printable_json, say, show

if TYPE_CHECKING:
    from svebm_ext.data.row_files import RowFile
    from svebm_ext.data.text_streams import Row, TextStream
    from svebm_ext.models.answering import Answer, Answerer
    from svebm_ext.models.svebm import SVEBM
    from svebm_ext.prior.groups import SymbolGroups
    from svebm_ext.processes import Processes
    from svebm_ext.training.runtime import Runtime

#: Rows that are answered at a time, and where novelties are asked for: Ctrl-C waits for those under way.
PART, PART_WITH_NOVELTY = 4096, 256
#: Typical words of a symbol that stand beside an answer.
WORDS = 3
#: What there is to say of the group of a symbol.
OF_GROUPS = ("group", "group_label", "group_probability")


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
    out: Path | None = None
    """File to write all columns of the input to, with symbol, label and probability (and those of its group): .csv,
    .tsv, .jsonl or .parquet, also with .gz behind it. It appears when it is complete."""
    novelty: bool = False
    """Add the novelty of each text, high where it is unlike the texts of the training; about ten times as slow."""
    symbols: Path | None = None
    """File of names of symbols, as the page of `explore` saves it; symbols of one name are one class."""
    words: bool | None = None
    """Put typical words of its symbol behind each text, where the run was evaluated (default: on a terminal, and where
    the symbol has no label)."""
    device: str = "cpu"
    """Device: cpu or cuda."""


class Part(NamedTuple):
    """Rows that follow each other, the texts in them, and the number of the first text among all."""

    rows: list[Row]
    texts: list[str]
    start: int


class Answered(NamedTuple):
    """A part with the answers to its rows, None for a row without a text, and its texts without a known word."""

    part: Part
    answers: list[Answer | None]
    n_unknown: int


def parts_of(stream: Iterable[Row], size: int) -> Iterator[Part]:
    """Rows by parts; before an error, the rows that come before it."""
    rows, start, failure = iter(stream), 0, None
    while failure is None:
        part: list[Row] = []
        try:
            part.extend(islice(rows, size))
        except DataError as error:
            failure = error
        if part:
            texts = [row.text.strip() for row in part if row.text]
            yield Part(part, texts, start)
            start += len(texts)
        elif failure is None:
            return
    raise failure


def answer(answerer: Answerer, stream: TextStream, part: Part) -> Answered:
    """Answers to the rows of a part; an error (DataError) names the line of its text."""
    try:
        answers, n_unknown = answerer(part.texts, part.start)
    except DataError as error:
        numbered = re.match(r"text (\d+): (.*)", str(error))
        if numbered is None:
            raise
        lines = [row.line for row in part.rows if row.text]
        raise DataError(f"{stream.where(lines[int(numbered[1])])}: {numbered[2]}") from None
    remaining = iter(answers)
    return Answered(part, [next(remaining) if row.text else None for row in part.rows], n_unknown)


def _with_file(arguments: Sequence[str]) -> list[str]:
    """The arguments, a file that stands after the run folder written as the option that it is."""
    given = list(arguments)
    second = given[1] if len(given) > 1 and not given[0].startswith("-") else "--"
    if second != "-" and second.startswith("-"):
        return given
    if len(given) > 2 and (given[2] == "-" or not given[2].startswith("-")):
        raise ConfigError(
            f"{given[2]!r}: a second file given, expected one after the run folder; classify each by itself, or send "
            "them through a pipe (cat FILES | python -m svebm_ext.classify RUN)"
        )
    for argument in given[2:]:
        if argument == "--file" or argument.startswith("--file="):
            raise ConfigError(f"--file: given beside {second} after the run folder, expected one file")
    return [given[0], *given[2:]] if second == "-" else [given[0], "--file", *given[1:]]


def address_of(groups: SymbolGroups | None) -> Callable[[int], int | str]:
    """How a symbol is called: by its number, and of symbols in two levels by an address such as "3.2"."""
    if groups is None:
        return lambda symbol: symbol
    addresses = [groups.address(symbol) for symbol in range(len(groups.of))]  # once, not for each of a million texts
    return addresses.__getitem__


def printer(run: Path, options: Arguments, groups: SymbolGroups | None) -> Callable[[Answered], None]:
    """What prints answers: lines with label or symbol, probability and text, or JSON."""
    from svebm_ext.evaluation.topic_text import words_beside

    address = address_of(groups)
    words = words_beside(run, asked=options.json or options.words is True)
    with_words = sys.stdout.isatty() if options.words is None else options.words

    def as_json(row: Row, one: Answer) -> str:
        record = {
            "line": row.line, "text": row.text.strip(), "symbol": address(one.symbol), "label": one.label,
            "probability": one.probability, "words": words.get(one.symbol, []),
        }  # fmt: skip
        if groups is not None:
            record |= dict(zip(OF_GROUPS, (one.group, one.group_label, one.group_probability), strict=True))
        if options.novelty:
            record["novelty"] = one.novelty
        return printable_json(json.dumps(record, ensure_ascii=False))

    def as_line(row: Row, one: Answer) -> str:
        shown = [one.label or str(address(one.symbol)), f"{one.probability:.4f}"]
        shown += [f"{one.novelty:.2f}"] if one.novelty is not None else []
        shown.append(" ".join(row.text.split()))
        told = with_words and (one.label is None or options.words is True)  # a label says enough, unless asked
        typical = words.get(one.symbol, [])[:WORDS] if told else []
        return "\t".join([*shown, ", ".join(typical)] if typical else shown)

    def show_part(answered: Answered) -> None:
        line = as_json if options.json else as_line
        pairs = zip(answered.part.rows, answered.answers, strict=True)
        shown = [line(row, one) for row, one in pairs if one is not None]
        if shown:
            show("\n".join(shown))

    return show_part


def added_columns(stream: TextStream, options: Arguments, groups: SymbolGroups | None) -> dict[str, type]:
    """Names and types of the columns that are added to those of a file, whose own names stay."""
    from svebm_ext.data.row_files import added_names

    added: dict[str, type] = {"symbol": int, "label": str, "probability": float}
    if groups is not None:
        added = dict(zip(OF_GROUPS, (int, str, float), strict=True)) | added | {"symbol": str}
    if options.novelty:
        added["novelty"] = float
    names = added_names(stream.columns, list(added))
    if names != list(added):
        say(f"{stream.name}: has a column of one of these names itself; the added ones are {', '.join(names)}")
    return dict(zip(names, added.values(), strict=True))


def writer(file: RowFile, options: Arguments, groups: SymbolGroups | None) -> Callable[[Answered], None]:
    """What writes answers behind the rows of a file."""
    address = address_of(groups)
    n_added = 3 + len(OF_GROUPS) * (groups is not None) + options.novelty

    def values(one: Answer | None) -> list[object]:
        if one is None:
            return [None] * n_added
        of_group = [] if groups is None else [one.group, one.group_label, one.group_probability]
        own = [address(one.symbol), one.label, one.probability]
        return [*of_group, *own, *([one.novelty] if options.novelty else [])]

    def write_part(answered: Answered) -> None:
        file.write(answered.part.rows, [values(one) for one in answered.answers])

    return write_part


def notes_at_the_end(stream: TextStream, n_texts: int, n_unknown: int, options: Arguments) -> list[str]:
    """What there is to say of texts that were left out or tell nothing."""
    notes = []
    if stream.n_empty and options.out is not None:
        notes.append(f"{stream.name}: {counted(stream.n_empty, 'line')} without a text: no answer")
    elif stream.n_empty:
        hint = "" if options.json else "; --json tells the line of each answer"
        notes.append(f"{stream.name}: {counted(stream.n_empty, 'empty line')} left out{hint}")
    if n_unknown:
        have = "has" if n_unknown == 1 else "have"
        notes.append(f"note: {n_unknown} of {counted(n_texts, 'text')} {have} no word that the model knows")
    return notes


def answerer_of(model: SVEBM, run: Path, options: Arguments) -> Answerer:
    """What answers, as the options ask for it.

    Raises:
        ConfigError: a model without symbols, or names for a model that has learnt labels.
        DataError: a file of names of another form.
    """
    from svebm_ext.evaluation.report import METRICS, read_document
    from svebm_ext.models.answering import Answerer, check_unnamed
    from svebm_ext.models.novelty import estimate_of
    from svebm_ext.models.symbol_names import SymbolNames
    from svebm_ext.models.symbols import check_symbols

    n_symbols = check_symbols(model)
    names = None
    if options.symbols is not None:
        check_unnamed(model)  # before the file is looked at: its symbols may be those of another model
        names = SymbolNames.load(options.symbols, n_symbols, model.groups)
    answerer = Answerer(model, names)
    if not options.novelty:
        return answerer
    metrics = read_document(run / METRICS) if (run / METRICS).exists() else {}
    return Answerer(model, names, estimate_of(model, metrics))


def shared_answers(
    answerer: Answerer, stream: TextStream, parts: Iterable[Part], processes: Processes
) -> Generator[Answered, None, None]:
    """Answers to all parts in their order, on the main process; each other process answers every W-th part for it.

    Raises:
        DataError: of a text or of the file, when all before it are answered.
    """
    import contextlib

    from svebm_ext.errors import SvebmError
    from svebm_ext.models.answering import in_threads

    def work(numbered: tuple[int, Part]) -> Answered | Part:
        number, part = numbered
        return answer(answerer, stream, part) if number % processes.world_size == processes.rank else part

    with contextlib.closing(in_threads(work, enumerate(parts), answerer.n_threads)) as answered:
        for number, one in enumerate(answered):
            if isinstance(one, Answered):
                yield one
            elif processes.is_main:
                told = processes.receive(number % processes.world_size)
                if isinstance(told, SvebmError):
                    raise told
                yield Answered(one, *told)


def answer_for_main(answerer: Answerer, stream: TextStream, parts: Iterable[Part], processes: Processes) -> None:
    """Answer this process's parts, and send the main one what comes of it: an error is told where its part stands."""
    from svebm_ext.errors import ProcessLostError, SvebmError

    try:
        for one in shared_answers(answerer, stream, parts, processes):
            processes.send((one.answers, one.n_unknown))
    except ProcessLostError:
        raise
    except SvebmError as error:
        processes.send(error)
    processes.barrier()


def classify_stream(answerer: Answerer, stream: TextStream, run: Path, options: Arguments, processes: Processes) -> int:
    """Answer the rows of a file, in order, on as many threads as torch has; returns how many texts there are.

    Raises:
        DataError: a row that cannot be read, when all before it are answered.
    """
    import contextlib

    from svebm_ext.data.row_files import open_rows

    rows: Iterable[Row] = stream
    if stream.is_complete:  # everything there is to say, before the answers
        rows = list(stream)
        texts = [row.text for row in rows if row.text]
        for note in notes_at_the_end(stream, len(texts), answerer.n_without_known_word(texts), options):
            say(note)
    groups, n_texts, n_unknown = answerer.groups, 0, 0
    parts = parts_of(rows, PART_WITH_NOVELTY if options.novelty else PART)
    if not processes.is_main:
        answer_for_main(answerer, stream, parts, processes)
        return 0
    with contextlib.ExitStack() as stack:
        if options.out is None:
            put = printer(run, options, groups)
        else:
            columns = added_columns(stream, options, groups)
            stack.enter_context(made_folder(options.out.parent))
            put = writer(stack.enter_context(open_rows(options.out, stream, columns)), options, groups)
        tally = Tally("texts", enabled=options.out is not None or not sys.stdout.isatty())
        stack.callback(tally.close)
        answered = shared_answers(answerer, stream, parts, processes)
        for one in stack.enter_context(contextlib.closing(answered)):
            put(one)
            n_texts, n_unknown = n_texts + len(one.part.texts), n_unknown + one.n_unknown
            tally.update(n_texts, None if stream.source is None else stream.source.share())
    processes.barrier()
    if not stream.is_complete:
        for note in [*stream.later_notes(), *notes_at_the_end(stream, n_texts, n_unknown, options)]:
            say(note)
    return n_texts


def main(arguments: Sequence[str]) -> None:
    """Classify texts, in their order."""
    try:
        _classify(arguments)
    except DataError as error:  # what is read is told by the names that the options have in `train`
        raise DataError(re.sub(r"(--)?\bdata\.(format|text-column)\b", r"--\2", str(error))) from error


def _classify(arguments: Sequence[str]) -> None:
    run, options = parse_with_run(
        Arguments,
        _with_file(arguments),
        command="classify",
        description="Most probable symbol (or label) of each text.",
    )
    check_options(options)
    check_run(run)
    with rare_collections():
        from svebm_ext.training.runtime import Runtime

        with Runtime.of_command(options.device) as runtime:
            _classify_with(run, options, runtime)


def _classify_with(run: str, options: Arguments, runtime: Runtime) -> None:
    if runtime.world_size > 1 and options.file in (None, Path("-")):
        raise ConfigError("--file: standard input given to several processes, expected a file that each of them reads")
    if options.out is not None and runtime.is_main:
        say_missing_folders(options.out.parent)
    answerer = answerer_of(load_model(run, runtime.device), Path(run), options)
    from svebm_ext.data.examples import Reading
    from svebm_ext.data.text_streams import open_texts

    reading = Reading(options.format, "skip", options.text_column, labels="unused")
    with open_texts("-" if options.file is None else options.file, reading) as stream:
        if options.text_column is not None and not stream.is_table:
            raise DataError(f"{stream.name}: has no columns, but --text-column {options.text_column!r} is asked for")
        for note in stream.notes:
            say(note)
        n_texts = classify_stream(answerer, stream, Path(run), options, runtime)
    if options.out is not None:
        show(f"wrote {options.out}: {counted(n_texts, 'text')}")


def check_options(options: Arguments) -> None:
    """Refuse, before a model is read, options that do not go together, and a file that is not there.

    Raises:
        ConfigError, DataError: names the option or file.
        OSError: the file cannot be written where it is asked for.
    """
    from svebm_ext.data.containers import check_there
    from svebm_ext.data.row_files import ending_of

    if options.file is not None:
        check_there(options.file)
    if options.out is None:
        return
    ending_of(options.out)
    for name, given in (("json", options.json), ("words", options.words is not None)):
        if given:
            raise ConfigError(f"{name}: goes with what is printed, not with --out {options.out}")
    if options.file is not None and options.out.exists() and options.out.samefile(options.file):
        raise ConfigError(f"--out: {options.out} is the file that is read; expected another one")
    check_folder_takes_files(options.out.parent)


if __name__ == "__main__":
    run_command(main)
