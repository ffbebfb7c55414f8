"""Names on a command line: a slip of any of them is one line that says what was probably meant."""

import importlib

import pytest

from svebm_ext.__main__ import COMMANDS
from svebm_ext.command_line import checked, options_of
from svebm_ext.commands import run_command
from svebm_ext.config import FORMER_CORPORA, Config, from_dict, to_dict
from svebm_ext.data import load_corpus
from svebm_ext.errors import SvebmError, alternatives, nearest
from svebm_ext.experiments import EXPERIMENTS
from svebm_ext.presets import PRESETS, preset
from svebm_ext.train import parse_arguments

#: Commands whose options are a dataclass.
MODULES = [importlib.import_module(f"svebm_ext.{name}") for name in COMMANDS if name != "info"]
EVERY = [(module, option) for module in MODULES for option in options_of(module.Arguments).values()]


def name_of(case):
    return case.name if hasattr(case, "name") else case.__name__.rpartition(".")[2]


def told(capsys, main, *arguments):
    """The one line that a command ends with, and that it is one."""
    with pytest.raises(SystemExit) as ended:
        run_command(main, list(arguments))
    streams = capsys.readouterr()
    assert ended.value.code == 2 and streams.out == ""
    (line,) = streams.err.splitlines()
    return line


def slip(name):
    """The name with two of its letters changed round."""
    middle = len(name) // 2 + 1
    return name[: middle - 1] + name[middle] + name[middle - 1] + name[middle + 1 :] if len(name) > 2 else name + "x"


def test_nearest():
    assert nearest("Lnies", ["assistant", "lines"]) == "lines"
    assert nearest("zzz", ["assistant", "lines"]) is None
    assert nearest(["lines"], ["lines"]) is None and nearest("l" * 10**7, ["lines"]) is None
    assert alternatives("lnies", ["lines", "x"]) == "did you mean lines? Expected one of lines, x"
    assert alternatives("zzz", ["lines", "x"], "there are") == "there are lines, x"


@pytest.mark.parametrize(("module", "option"), EVERY, ids=name_of)
def test_a_slip_in_any_option_names_the_option(module, option):
    wrong = slip(option.name)
    if wrong in options_of(module.Arguments) or len(option.name) < 6:
        pytest.skip("too short for a slip")
    with pytest.raises(SvebmError, match=rf"^{wrong}: no such option; did you mean {option.name}\? ") as raised:
        checked([wrong, "1"], module.Arguments)
    assert "--help" in str(raised.value)


@pytest.mark.parametrize(("module", "option"), EVERY, ids=name_of)
def test_an_option_without_its_value_says_what_it_expects(module, option):
    if option.is_switch or option.several:
        assert checked([option.name], module.Arguments) == [option.name]
        return
    for rest in ([], ["--help"], [next(iter(options_of(module.Arguments)))]):
        with pytest.raises(SvebmError, match=rf"^{option.name}: no value given, expected \S") as raised:
            checked([option.name, *rest], module.Arguments)
        assert all(choice in str(raised.value) for choice in option.choices)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_an_option_that_is_given_twice_is_refused(module):
    for option in options_of(module.Arguments).values():
        value = option.choices[0] if option.choices else {bool: "True"}.get(option.kind, "7")
        once = [option.name] if option.is_switch else [option.name, value]
        other = [argument.replace("_", "-").replace("-", "_").replace("__", "--") for argument in once]
        for arguments in ([*once, *once], [*once, *other]):
            with pytest.raises(SvebmError, match=rf"^{option.negates or option.name}: given twice .*expected once"):
                checked(arguments, module.Arguments)


def test_what_is_given_twice_is_told_with_both_values(capsys):
    from svebm_ext import info

    parse = lambda arguments: parse_arguments(arguments)  # noqa: E731
    assert told(capsys, parse, "lines", "x.txt", "--seed=1", "--seed", "2") == (
        "error: --seed: given twice (--seed 1, then --seed 2), expected once"
    )
    assert told(capsys, parse, "lines", "--data.train", "a.txt", "--data.train", "b.txt").endswith(
        "; several files stand in one value, with commas between them (--data.train a.txt,b.txt)"
    )
    assert told(capsys, parse, "lines", "x.txt", "--no-evaluate", "--evaluate") == (
        "error: --evaluate: given twice (--no-evaluate, then --evaluate), expected once"
    )
    assert (
        told(capsys, info.main, "--json", "--json") == "error: --json: given twice (--json, then --json), expected once"
    )


@pytest.mark.parametrize(("module", "option"), [one for one in EVERY if one[1].choices], ids=name_of)
def test_a_slip_in_any_choice_names_the_choice(module, option):
    choice = max(option.choices, key=len)
    for written in ([option.name, slip(choice)], [f"{option.name}={slip(choice)}"]):
        with pytest.raises(SvebmError, match=rf"^{option.name}: '{slip(choice)}' given, did you mean {choice}\?"):
            checked(written, module.Arguments)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--model.n-symbols", "--model.n-categories"), ("--model.n-symbol", "--model.n-categories"),
        ("--n-symbols", "--model.n-categories"), ("--n-categories", "--model.n-categories"),
        ("--max-iter", "--training.max-steps"), ("--training.max-step", "--training.max-steps"),
        ("--data.text-colum", "--data.text-column"), ("--text_column", "--data.text-column"),
        ("--random-state", "--seed"), ("-seed", "--seed"), ("--train", "--data.train"),
    ],
)  # fmt: skip
def test_options_as_people_write_them(given, meant, capsys):
    line = told(capsys, lambda arguments: parse_arguments(arguments), "lines", "x.txt", given, "3")
    assert line.startswith(f"error: {given.replace('_', '-')}: no such option; did you mean {meant}?")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--seed", "abc"], "error: --seed: 'abc' given, expected a whole number"),
        (["--seed=1.5"], "error: --seed: '1.5' given, expected a whole number"),
        (["--model.latent-dim"], "error: --model.latent-dim: no value given, expected a whole number"),
        (["--out="], "error: --out: nothing given, expected a path"),
    ],
)
def test_values_that_are_none(arguments, line, capsys):
    assert told(capsys, lambda given: parse_arguments(given), "lines", "x.txt", *arguments) == line


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--temperature", "-1", "-1.0 given, expected a number from 1e-20 to"),
        ("--temperature", "nan", "nan given, expected a number from 1e-20 to"),
        ("--top-p", "3", "3.0 given, expected a number above 0 to 1"),
    ],
)
def test_values_by_which_no_word_can_be_chosen(option, value, expected, capsys):
    from svebm_ext import generate

    line = told(capsys, generate.main, "no such run", option, value)
    assert line.startswith(f"error: {option}: {expected}")


def test_a_classifier_without_labels_says_how_they_are_given(tmp_path, capsys):
    from svebm_ext import train

    (tmp_path / "a.txt").write_text("".join(f"one of {i} texts\n" for i in range(20)))
    line = told(capsys, train.main, "lines-labelled", str(tmp_path / "a.txt"), "--out", str(tmp_path / "run"))
    assert line.startswith(f"error: --data.labelled: missing; {tmp_path / 'a.txt'} has no labels, and preset lines-la")
    assert "(--data.labelled FILE)" in line and "(--data.label-column)" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "arguments", "expected"),
    [
        ("classify", ["run", "a.txt", "b.txt"], "'b.txt': a second file given, expected one after the run folder; "),
        (
            "classify",
            ["run", "--json", "b.txt"],
            "'b.txt': stands behind no option; expected options, --help lists all",
        ),
        ("generate", ["run", "b.txt"], "'b.txt': stands behind no option; "),
        ("evaluate", ["run", "--seed", "3", "4"], "'4': stands behind no option; "),
        ("experiments", ["table1-ptb", "svebm"], "'svebm': stands behind no option; "),
        ("train", ["lines", "a.txt", "--seed=3", "b.txt"], "'b.txt': stands behind no option; "),
        ("info", ["run", "b.txt"], "'b.txt': a second folder given, expected one run"),
    ],
)
def test_a_word_too_many_is_named(command, arguments, expected, capsys, monkeypatch):
    module = importlib.import_module(f"svebm_ext.{command}")
    if hasattr(module, "default_arguments"):
        monkeypatch.setattr(module, "default_arguments", lambda run: None)
    assert told(capsys, module.main, *arguments).startswith(f"error: {expected}")


def test_words_of_an_option_that_has_several_are_none_too_many():
    train = importlib.import_module("svebm_ext.train").Arguments
    given = ["--model.prior-hidden", "3", "4", "--seed", "1"]
    assert checked(given, train) == given


def test_group_has_no_options_of_learning():
    """Which texts they are can be told; how they are read is the model's own, and no option of learning is listed."""
    from svebm_ext import group

    assert set(options_of(group.Arguments)) == {
        "--data.root", "--data.train", "--data.valid", "--data.test", "--data.labelled", "--n-groups", "--device",
    }  # fmt: skip


def test_what_is_right_stays_as_it_is():
    arguments = ["--seed", "-5", "--data.train", "-", "--model.prior-hidden", "3", "--data.label=None", "--out", "a b"]
    found = checked([*arguments, "--no-evaluate", "--help"], importlib.import_module("svebm_ext.train").Arguments)
    assert [a for a, b in zip([*arguments, "--no-evaluate", "--help"], found, strict=True) if a != b] == [
        "--data.label=None"
    ]


@pytest.mark.parametrize("name", [name for name in PRESETS if len(name) > 4])
def test_a_slip_in_a_preset(name):
    wrong = name + name[-1]
    with pytest.raises(SvebmError, match=rf"no preset '{wrong}'; did you mean {name}\?"):
        preset(wrong)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_slip_in_an_experiment_and_in_a_row(name, capsys):
    from svebm_ext.experiments import main

    assert f"did you mean {name}?" in told(capsys, main, slip(name))
    row = max((row for row in EXPERIMENTS[name].names), key=len)
    assert f"did you mean {row}?" in told(capsys, main, name, "--rows", row[:-1] + "~")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_slip_in_a_command(name, capsys):
    from svebm_ext.__main__ import _run

    assert f"did you mean {name}?" in told(capsys, _run, slip(name))


def test_slips_in_python():
    """The same where names are arguments of functions."""
    from tiny_runs import tiny_config

    from svebm_ext import TextModel
    from svebm_ext.data.vocabulary import Vocabulary
    from svebm_ext.info import main
    from svebm_ext.models.svebm import SVEBM

    model = SVEBM(tiny_config(None), Vocabulary.build([["a"]]))
    with pytest.raises(SvebmError, match=r"no option 'temprature'; expected n, .*did you mean temperature"):
        model.generate(1, temprature=0.5)
    with pytest.raises(SvebmError, match=r"no option 'training.bach_size'; did you mean 'training.batch_size'"):
        TextModel(options={"training.bach_size": 3}).fit(["a b", "c d"] * 10)
    with pytest.raises(SvebmError, match=r"--jsn: no such option; did you mean --json"):
        main(["--jsn"])


# The corpus DailyDialog has one name, and knows the others --------------------------------------------------------


@pytest.mark.parametrize("former", FORMER_CORPORA)
def test_former_names_of_a_corpus_mean_the_present_one(former):
    name = FORMER_CORPORA[former]
    saved = to_dict(Config())
    saved["data"]["corpus"] = former
    assert from_dict(saved).data.corpus == name
    for written in (["--data.corpus", former], [f"--data.corpus={former}"]):
        assert parse_arguments(["ptb-svebm-ib", *written])[0].data.corpus == name
    with pytest.raises(SvebmError, match=f"corpus '{name}' needs a data root"):
        load_corpus(former)


def test_no_name_of_a_corpus_is_a_former_one():
    (option,) = [o for o in options_of(Config).values() if o.name == "--data.corpus"]
    assert not set(option.choices) & set(FORMER_CORPORA) and set(FORMER_CORPORA.values()) <= set(option.choices)
    assert preset("dd").data.corpus == "daily-dialog"
