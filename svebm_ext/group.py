"""`python -m svebm_ext.group RUN`: puts the symbols of a trained model into few groups, which its folder keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from svebm_ext.commands import check_numbers, check_run, load_model, parse_with_run, run_command, with_numbers
from svebm_ext.config import validate, with_absolute_paths
from svebm_ext.errors import ConfigError
from svebm_ext.models.folder import CONFIG
from svebm_ext.terminal import say, show
from svebm_ext.training.folder import read_run_config

if TYPE_CHECKING:
    from svebm_ext.prior.groups import SymbolGroups

#: Groups that can be asked for.
MOST_GROUPS = 100_000


@dataclass(frozen=True)
class Texts:
    """Where the texts of the run are. How they are read is the run's own: its model knows no other words."""

    root: Path | None = None
    """Folder with the released corpora, as for `train`."""
    train: Path | None = None
    """Your own text that the run was trained on, where it is elsewhere now."""
    valid: Path | None = None
    """Its validation text, where the run had one."""
    test: Path | None = None
    """Its test text, where the run had one."""
    labelled: Path | None = None
    """Its labelled text, where the run had one."""


@dataclass(frozen=True)
class Arguments:
    """Options; the defaults of data are the run's own."""

    data: Texts
    n_groups: int = 0
    """Groups, each with its fine symbols; 0 (or auto): as many as the symbols fall into. 1: takes groups away."""
    device: str = "cpu"
    """Device: cpu or cuda."""


def default_arguments(run: str | None) -> Arguments:
    """Options with the data of the run."""
    if run is None:
        return Arguments(Texts())
    data = read_run_config(Path(run)).data
    return Arguments(Texts(**{option.name: getattr(data, option.name) for option in dataclasses.fields(Texts)}))


def main(arguments: Sequence[str]) -> None:
    """Find groups by the training texts of a run, and write them into its config.json."""
    given, options = parse_with_run(
        Arguments,
        with_numbers(arguments, ("--n-groups",)),
        command="group",
        description="Put the symbols of a trained model into few groups; RUN/config.json keeps them.",
        default=default_arguments,
    )
    check_numbers(options, n_groups=(0, MOST_GROUPS))
    run = Path(given)
    check_run(run)
    from svebm_ext.data.corpora import load_configured
    from svebm_ext.files import write_json
    from svebm_ext.models.grouping import LEAST_SYMBOLS, find_groups
    from svebm_ext.models.symbols import check_symbols

    model = load_model(run, options.device)
    own, before = model.config, model.groups
    places = {option.name: getattr(options.data, option.name) for option in dataclasses.fields(Texts)}
    data = with_absolute_paths(dataclasses.replace(own.data, **places))
    n_symbols = check_symbols(model)
    model.kind.check_texts()
    model.config = dataclasses.replace(own, data=data)
    validate(model.config)
    if options.n_groups == 1:
        model.groups = None
    else:
        corpus = load_configured(data, model.writing)
        groups = find_groups(model, corpus.train, options.n_groups)
        if groups is None:
            raise ConfigError(
                f"n-groups: auto looks for groups of {LEAST_SYMBOLS} symbols or more, and {run} has {n_symbols}; give "
                "a number"
            )
        model.groups = groups
    model.config = own
    write_json(run / CONFIG, model.description())
    show(_told(run, n_symbols, model.groups))
    if model.groups != before:
        say("symbols are called otherwise now: make the page of explore again")


def _told(run: Path, n_symbols: int, groups: SymbolGroups | None) -> str:
    if groups is None:
        return f"{run}: {n_symbols} symbols in one level"
    sizes = ", ".join(str(len(members)) for members in groups.members)
    return f"{run}: {groups.n_groups} groups of {n_symbols} symbols ({sizes} in each)"


if __name__ == "__main__":
    run_command(main)
