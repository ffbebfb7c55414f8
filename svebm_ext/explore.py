"""`python -m svebm_ext.explore RUN`: one HTML page that shows what a model has learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svebm_ext.command_line import OF_FILES
from svebm_ext.commands import (
    LARGEST_SEED,
    MOST,
    check_numbers,
    check_run,
    load_model,
    parse_with_run,
    run_command,
    say_missing_folders,
)
from svebm_ext.config import DataConfig, options_of, validate, with_absolute_paths
from svebm_ext.errors import ConfigError
from svebm_ext.files import check_folder_takes_files, in_made_folder, made_folder, write_whole
from svebm_ext.terminal import describe_os_error, say
from svebm_ext.training.folder import read_run_config


@dataclass(frozen=True)
class Arguments:
    """Options; the defaults of data are the run's own."""

    data: DataConfig
    out: Path | None = None
    """File to write (default: explore.html in the run folder)."""
    split: Literal["all", "train", "valid", "test"] = "all"
    """Split whose sentences are shown, or all of them."""
    max_sentences: int = 10_000
    """Sentences that are shown at most, chosen by the seed; 0: all."""
    samples: int = 5
    """Sentences generated from each symbol."""
    interpolations: int = 6
    """Pairs of sentences between which the model interpolates."""
    seed: int = 0
    """Seed of the choice of sentences and of what is generated."""
    device: str = "cpu"
    """Device: cpu or cuda."""


def default_arguments(run: str | None) -> Arguments:
    """Options with the data of the run."""
    if run is None:
        return Arguments(DataConfig())
    config = read_run_config(Path(run))
    if options_of(config.model).is_generated:
        raise ConfigError(
            f"explore: {run} is a model of points of the plane, which has no sentences; "
            "evaluate draws it (plots/figure2.png)"
        )
    return Arguments(config.data)


def named_files(arguments: Sequence[str]) -> set[str]:
    """Options of files of one's own that stand on the command line."""
    options = (argument.split("=", 1)[0].replace("_", "-") for argument in arguments)
    return {option for option in options if option in OF_FILES}


def check_texts(run: Path, data: DataConfig, named: set[str]) -> None:
    """Refuse files that a folder names, but that are not known to be the run's: their lines would be in the page.

    A folder may come from anyone, and its configuration may name any file of whoever looks at it. Files that stand on
    the command line are asked for.

    Raises:
        ConfigError: names the file, and how to ask for it.
    """
    if data.corpus != "lines":
        return
    for option in OF_FILES:
        file = getattr(data, option.removeprefix("--data."))
        if file is not None and option not in named:
            raise ConfigError(
                f"{option}: {run / 'config.json'} names {file}, whose texts are not known to be those of the run. They "
                f"would stand in a page that is made to be shared; if you want that, give {option} {file}"
            )


def write_page(out: Path, html: str) -> None:
    """Write the page as a whole or not at all.

    Raises:
        OSError: the place cannot be written to.
    """
    with made_folder(out.parent):
        in_made_folder(out.parent, lambda: write_whole(out, html))


def main(arguments: Sequence[str]) -> None:
    """Write the page of a run."""
    run, options = parse_with_run(
        Arguments,
        arguments,
        command="explore",
        description=(
            "Write one HTML page that shows what a model has learnt. Options of data default to those of the run, "
            "which RUN --help shows: --data.train FILE for one that has moved."
        ),
        default=default_arguments,
    )
    out = options.out.expanduser() if options.out is not None else Path(run) / "explore.html"
    check_numbers(options, seed=(0, LARGEST_SEED), max_sentences=(0, MOST), samples=(0, 1000), interpolations=(0, 1000))
    if out.is_dir():
        raise ConfigError(f"--out: {out} is a folder, expected a file such as {out / 'explore.html'}")
    check_run(Path(run))
    try:
        if not out.exists() or out.is_file():
            check_folder_takes_files(out.parent)
            say_missing_folders(out.parent)
    except OSError as error:
        raise ConfigError(f"--out: {out} cannot be written: {describe_os_error(error)}") from error
    data = with_absolute_paths(options.data)
    from svebm_ext.data.corpora import load_configured
    from svebm_ext.data.corpus import texts_digest
    from svebm_ext.exploration.content import Settings
    from svebm_ext.exploration.gather import gather
    from svebm_ext.exploration.page import render

    model = load_model(run, options.device)
    model.config = dataclasses.replace(model.config, data=data)
    validate(model.config)
    settings = Settings(options.split, options.max_sentences, options.samples, options.interpolations, options.seed)
    named = named_files(arguments)
    if model.texts_sha256 is None:
        check_texts(Path(run), data, named)
    corpus = load_configured(data, model.writing)
    if model.texts_sha256 != texts_digest(corpus):
        check_texts(Path(run), data, named)
    content = gather(Path(run), model, corpus, settings, say=say)
    html = render(content)
    write_page(out, html)
    say(f"wrote {out} ({len(html.encode()) / 1e6:.1f} MB): open it in a browser")


if __name__ == "__main__":
    run_command(main)
