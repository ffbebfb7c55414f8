"""`python -m svebm_ext.train [PRESET] [FILE] [options]`: train, evaluate, leave a model folder."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from svebm_ext.commands import describe, expanded, parse, run_command, say_missing_folders, with_numbers
from svebm_ext.config import (
    KIND_NAMES,
    LIST_MARK,
    OF_TEXT,
    SEPARATOR,
    AnyModel,
    Config,
    is_pattern,
    of_kind,
    options_of,
    validate,
    with_absolute_paths,
    with_second_stage_within,
)
from svebm_ext.data.shards import check_named
from svebm_ext.errors import ConfigError, Interrupted, RunStoppedError, SvebmError
from svebm_ext.files import check_folder_takes_files, read_json
from svebm_ext.models.folder import CONFIG, WEIGHTS
from svebm_ext.option_file import with_options_of_file
from svebm_ext.presets import PRESETS, is_preset, preset
from svebm_ext.terminal import say, show
from svebm_ext.training.folder import LAST, RESUMABLE, check_folder, read_run_config

if TYPE_CHECKING:
    from svebm_ext.training.runtime import Runtime

#: As `svebm_ext.training.running` writes it.
ENVIRONMENT = "env.json"
#: Numbers that may be left to the text.
AUTOMATIC = ("--model.n-categories", "--model.n-groups")


@dataclass(frozen=True)
class Arguments(Config):
    """Options of a run; defaults are the preset's, or those of the run that is resumed."""

    out: Path | None = None
    """Run folder (default: runs/PRESET-seedSEED)."""
    resume: Path | None = None
    """Run folder to continue from its last checkpoint."""
    go_on: bool = False
    """Go on with the run in --out, if there is one that has begun, as it is configured: for jobs that are started again
    with the same command. Workers that torchrun starts again do so anyway."""
    from_run: Path | None = None
    """Run folder whose words, encoder and generator a new run begins with (also --from); prior and classes are new."""
    config: Path | None = None
    """File of options, YAML or JSON, or the config.json of a run; those of the command line win."""
    evaluate: bool = True
    """Measure the model on the test split after training."""


def parse_arguments(arguments: Sequence[str]) -> tuple[Config, Arguments]:
    """Configuration and run options of a command line; paths to data are absolute in it.

    Raises:
        ConfigError: an unknown preset, or an option out of range.
    """
    name, rest = _positional(with_options_of_file(arguments, Arguments))
    rest = [re.sub(r"^--from(?==|$)", "--from-run", argument) for argument in rest]
    named = _value_of("--preset", rest)
    if named is not None and named != name:
        raise ConfigError(f"--preset: give the preset as the first word: python -m svebm_ext.train {named}")
    resumed = _value_of("--resume", rest)
    if resumed is not None:
        if name is not None:
            raise ConfigError(f"preset: {name!r} given with --resume; a resumed run has its own configuration")
        base = read_run_config(expanded(resumed))
    else:
        if name in ("lines", "documents") and _value_of("--data.labelled", rest) is not None:
            name = f"{name}-labelled"  # a few labels beside the text ask for a classifier
        base = preset(name or "assistant")
    base = dataclasses.replace(base, model=_networks_asked(base.model, rest))
    base = _with_steps_asked(base, rest, resumed=resumed is not None)
    start = _value_of("--from-run", rest)
    if start is not None:
        base = _with_start(base, expanded(start), resumed)
    evaluates = resumed is None or _was_to_be_measured(expanded(resumed))
    default = Arguments(**{f.name: getattr(base, f.name) for f in dataclasses.fields(Config)}, evaluate=evaluates)
    presets = "\n".join(f"  {key}: {text}" for key, (text, _) in PRESETS.items())
    options = parse(
        Arguments,
        with_numbers(rest, AUTOMATIC),
        default=default,
        prog="python -m svebm_ext.train [PRESET] [FILE]",
        description=f"Train a latent-space energy-based model of text.\n\nFILE: your own text.\n\nPresets:\n{presets}",
    )
    if options.resume is not None and options.out is not None and options.out.absolute() != options.resume.absolute():
        raise ConfigError(
            f"--out: {options.out} given with --resume; a resumed run goes on in its own folder, {options.resume}"
        )
    config = Config(**{f.name: getattr(options, f.name) for f in dataclasses.fields(Config)})
    config = dataclasses.replace(config, data=with_absolute_paths(config.data))
    validate(config)
    return config, options


def _networks_asked(model: AnyModel, arguments: Sequence[str]) -> AnyModel:
    """Options of the networks with those of the kind that the arguments name: these can be given then."""
    kind, encoder = (_value_of(f"--model.{name}", arguments) for name in ("kind", "encoder"))
    if kind is not None and kind not in KIND_NAMES:
        return model  # the parser says what is wrong
    return of_kind(model, kind, encoder)


def _was_to_be_measured(run: Path) -> bool:
    """Whether the command that began a run asked to measure it; so does one that is not known."""
    try:
        command = read_json(run / ENVIRONMENT)["command"]
        given = [str(argument).replace("_", "-") for argument in command]
    except (SvebmError, OSError, KeyError, TypeError):
        return True
    return "--no-evaluate" not in given


def _with_steps_asked(base: Config, arguments: Sequence[str], *, resumed: bool) -> Config:
    """The configuration with a second stage that fits the iterations that are given, where none is given for it.

    A short run that is resumed to more iterations has the second stage of its preset again.
    """
    steps = _value_of("--training.max-steps", arguments)
    if steps is None or not steps.isdecimal() or _value_of("--training.prior-steps", arguments) is not None:
        return base
    if resumed and base.training.max_steps > 0 and is_preset(base.preset):
        usual = dataclasses.replace(base.training, prior_steps=preset(base.preset).training.prior_steps)
        short = with_second_stage_within(dataclasses.replace(base, training=usual))
        if short.training == base.training:  # the iterations of its second stage followed those of the run
            base = dataclasses.replace(base, training=usual)
    asked = dataclasses.replace(base, training=dataclasses.replace(base.training, max_steps=int(steps)))
    prior_steps = with_second_stage_within(asked).training.prior_steps
    return dataclasses.replace(base, training=dataclasses.replace(base.training, prior_steps=prior_steps))


def _with_start(base: Config, run: Path, resumed: str | None) -> Config:
    """The configuration with words and networks of the run that it begins with."""
    if resumed is not None:
        raise ConfigError(f"--from-run: {run} given with --resume; a resumed run has its own networks")
    before = read_run_config(run)
    from svebm_ext.training.continuing import with_networks_of

    return with_networks_of(base, before, run)


def _positional(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Preset of a command line and its other words, where a file of the user's own has become --data.train FILE."""
    rest = list(arguments)
    words: list[str] = []
    while rest and (rest[0] == "-" or not rest[0].startswith("-")):
        words.append(rest.pop(0))
    if words and not is_preset(words[0]) and _is_file_name(words[0]):
        words.insert(0, "lines")
    if len(words) < 2:
        return (words[0] if words else None), rest
    files, named = words[1:], _value_of("--data.train", rest)
    if named is not None:
        raise ConfigError(f"--data.train: {named} given, and {files[0]} after the preset; expected one of both")
    if len(files) > 1:
        other = next((file for file in files if SEPARATOR in file or not _is_file_name(file)), None)
        if other is not None:
            raise ConfigError(
                f"{other!r}: expected a preset, files and options; no such file is there, or its name has a comma, so "
                "that it goes into a list of files (@LIST)"
            )
    return words[0], ["--data.train", SEPARATOR.join(files), *rest]


def _is_file_name(word: str) -> bool:
    """Whether a first word that is no preset means a file: it exists, or looks like a path."""
    from svebm_ext.data.containers import text_ending
    from svebm_ext.data.formats import KNOWN_ENDINGS

    looks = "/" in word or os.sep in word or word.startswith(LIST_MARK) or is_pattern(word)
    return word == "-" or looks or text_ending(word) in KNOWN_ENDINGS or Path(word).exists()


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """Value of an option; the last one where it is given several times, which the parser refuses."""
    value = None
    for index, argument in enumerate(arguments):
        name, equals, following = argument.partition("=")
        if name.replace("_", "-") != option:
            continue
        if equals:
            value = following
        elif index + 1 < len(arguments):
            value = arguments[index + 1]
    return value


def main(arguments: Sequence[str]) -> None:
    """Train as told by the command line, then evaluate."""
    config, options = parse_arguments(arguments)
    out = options.resume or options.out or Path("runs") / f"{config.preset}-seed{config.seed}"
    if options.resume is None and (options.go_on or _is_started_again()):
        config, options = _begun(config, options, out)
    for name in OF_TEXT:
        file = getattr(config.data, name)
        if file is not None:
            check_named(file)
    check_folder(out, options.resume is not None)
    from svebm_ext.training.runtime import Runtime

    runtime = Runtime.start(config.training.device, config.training.precision)
    try:
        if options.out is not None and options.resume is None and runtime.is_main:
            check_folder_takes_files(out)
            say_missing_folders(out.parent)
        if options_of(config.model).is_generated:
            from svebm_ext.training.points import train_points

            resume = options.resume is not None
            train_points(config, out, resume=resume, runtime=runtime, evaluate=options.evaluate)
        else:
            _train_text(config, options, out, runtime)
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(_how_to_go_on(out)) from None
    except (SvebmError, BrokenPipeError):
        raise
    except (OSError, MemoryError, RuntimeError) as error:
        described = describe(error)
        if described is None or not (out / CONFIG).exists():
            raise
        raise RunStoppedError(f"{described}; {_how_to_go_on(out)}") from error
    finally:
        runtime.stop()


def _is_started_again() -> bool:
    """Whether torchrun has started this process in place of one that has ended."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0").strip() not in ("", "0")


def _begun(config: Config, options: Arguments, out: Path) -> tuple[Config, Arguments]:
    """Configuration and options of the run in a folder that has a state to go on from; else those given."""
    if not any((out / name).exists() for name in RESUMABLE):
        return config, options
    return read_run_config(out), dataclasses.replace(options, resume=out, from_run=None)


def _train_text(config: Config, options: Arguments, out: Path, runtime: Runtime) -> None:
    from svebm_ext.training.run import train

    model, corpus = train(config, out, resume=options.resume is not None, runtime=runtime, start=options.from_run)
    if not runtime.is_main:
        return
    show(f"{config.preset}: trained, in {out}")
    if options.evaluate:
        from svebm_ext.evaluation.evaluate_model import evaluate_run
        from svebm_ext.evaluation.summary import print_summary

        evaluate_run(out, model, corpus, show=print_summary)
        say(f"a page of it: python -m svebm_ext.explore {shlex.quote(str(out))}")
    elif options.resume is not None:
        say(f"not measured, as --no-evaluate asked; python -m svebm_ext.evaluate {shlex.quote(str(out))} does it")


def _how_to_go_on(out: Path) -> str:
    """What a run that was stopped has kept, and the command that takes it up."""
    weights, last = out / WEIGHTS, out / LAST
    # A run that was taken up again has the model that it had before, older than its checkpoint.
    if weights.exists() and not (last.exists() and last.stat().st_mtime > weights.stat().st_mtime):
        return f"the model in {out} is complete; measure it with python -m svebm_ext.evaluate {shlex.quote(str(out))}"
    if any((out / name).exists() for name in RESUMABLE):
        return f"state saved; continue with python -m svebm_ext.train --resume {shlex.quote(str(out))}"
    return f"nothing to continue from yet in {out}; give the command again"


if __name__ == "__main__":
    run_command(main)
