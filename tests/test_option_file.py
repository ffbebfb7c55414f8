"""Options from a file: those of the command line win, what is wrong is named, a run's own configuration is one."""

import json

import pytest

from svebm_ext.config import to_dict
from svebm_ext.errors import ConfigError
from svebm_ext.option_file import with_options_of_file
from svebm_ext.train import Arguments, parse_arguments

OPTIONS = """
preset: ptb-vae
model:
  prior_hidden: [20, 30]   # of the prior
  latent-dim: 7
training: {max_steps: 12, precision: bf16}
model.tied: false
embedding: null
evaluate: no
seed: 4
"""


@pytest.fixture
def yaml(tmp_path):
    (tmp_path / "run.yaml").write_text(OPTIONS.replace("embedding: null\n", "data: {root: null}\n"))
    return str(tmp_path / "run.yaml")


def test_options_are_those_of_the_file(yaml):
    config, options = parse_arguments(["--config", yaml])
    assert config.preset == "ptb-vae" and config.seed == 4 and config.model.prior_hidden == (20, 30)
    assert (config.model.latent_dim, config.model.tied) == (7, False) and not options.evaluate
    assert (config.training.max_steps, config.training.precision) == (12, "bf16")
    same, _ = parse_arguments(
        [
            "ptb-vae",
            "--model.prior-hidden",
            "20",
            "30",
            "--model.latent-dim",
            "7",
            "--training.max-steps",
            "12",
            "--training.precision",
            "bf16",
            "--model.no-tied",
            "--no-evaluate",
            "--seed",
            "4",
        ]
    )
    assert config == same


@pytest.mark.parametrize("order", [0, 1])
def test_the_command_line_wins(yaml, order):
    given = ["--training.max-steps", "5", "--model.tied", "--seed=9", "--evaluate"]
    arguments = [*given, "--config", yaml] if order else [f"--config={yaml}", *given]
    config, options = parse_arguments(["ptb-dvae", *arguments])
    assert (config.preset, config.training.max_steps, config.model.tied, config.seed) == ("ptb-dvae", 5, True, 9)
    assert options.evaluate and config.model.latent_dim == 7


def test_a_file_of_text_goes_with_it(tmp_path):
    (tmp_path / "mine.txt").write_text("some text\n" * 3)
    (tmp_path / "o.json").write_text(json.dumps({"model": {"n_categories": 3}, "data": {"lowercase": False}}))
    config, _ = parse_arguments([str(tmp_path / "mine.txt"), "--config", str(tmp_path / "o.json")])
    assert config.preset == "lines" and config.data.train == tmp_path / "mine.txt"
    assert config.model.n_categories == 3 and not config.data.lowercase


def test_the_configuration_of_a_run_is_a_file_of_options(tmp_path):
    before, _ = parse_arguments(["agnews-svebm-ib", "--model.latent-dim", "9", "--chains.n-steps", "3"])
    (tmp_path / "config.json").write_text(json.dumps({"format": "x", "config": to_dict(before)}))
    again, _ = parse_arguments(["--config", str(tmp_path / "config.json")])
    assert again == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("training: {max_step: 5}", "--training.max-step: no such option; did you mean --training.max-steps"),
        ("training: {max_steps: many}", "--training.max-steps: 'many' given, expected a whole number"),
        ("preset: nonsense", "nonsense"),
        ("- a\n- b", "no options by name"),
        ("a: [", "not YAML: while parsing"),
        ("model: {prior_hidden: []}", "model.prior-hidden: \\[\\] given, expected a list"),
        ("1: 2", "1 is no name of an option"),
        ("", "o.yml: empty, expected options"),
        ("evaluate: 'off'", "o.yml: evaluate: 'off' given, expected true or false"),
        ("training: {max_steps: true}", "training.max-steps: True given, expected a whole number"),
        ("data: {train: [a, b]}", "data.train: \\['a', 'b'\\] given, expected a"),
        ("training: 10", "training: 10 given, expected its options"),
        ("seed: {a: 1}", "seed: options given, expected a whole number"),
        ("preset: [ptb-vae]", "preset: \\['ptb-vae'\\] given, expected the name of one"),
        ("seed: 1\nseed: 2", "not YAML: 'seed' stands there twice"),
        ("help: true", "'help' is no name"),
        ("x: &a {b: *a}", "not YAML|too deeply|no name"),
        ("a: " + "[" * 3000, "too deeply|not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, message):
    (tmp_path / "o.yml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        parse_arguments(["--config", str(tmp_path / "o.yml")])


def test_one_file_that_is_there(tmp_path):
    for given, message in (
        (["--config"], "no file given"),
        (["--config", "a", "--config", "b"], r"given twice \(a, then b\)"),
        (["--config", str(tmp_path / "none.yaml")], "no such file"),
    ):
        with pytest.raises(ConfigError, match=message):
            with_options_of_file(given, Arguments)
    assert with_options_of_file(["lines", "x.txt", "--seed", "3"], Arguments) == ["lines", "x.txt", "--seed", "3"]
    with pytest.raises(ConfigError, match="is a folder"):
        with_options_of_file(["--config", str(tmp_path)], Arguments)


def test_the_files_preset_stays_where_the_command_line_has_text_alone(tmp_path):
    for name in ("mine.txt", "other.txt"):
        (tmp_path / name).write_text("some text\n" * 3)
    content = {"preset": "documents", "data": {"train": str(tmp_path / "other.txt")}, "training": {"max_steps": 7}}
    (tmp_path / "o.json").write_text("\ufeff" + json.dumps(content), encoding="utf-8")
    for given in ([str(tmp_path / "mine.txt")], ["lines", str(tmp_path / "mine.txt")]):
        config, _ = parse_arguments([*given, "--config", str(tmp_path / "o.json")])
        assert config.preset == ("documents" if len(given) == 1 else "lines")
        assert config.data.train == tmp_path / "mine.txt" and config.training.max_steps == 7
    config, _ = parse_arguments(["--config", str(tmp_path / "o.json")])
    assert config.data.train == tmp_path / "other.txt"
    (tmp_path / "o.json").write_text('{"seed": 1, "seed": 2}')
    with pytest.raises(ConfigError, match="'seed' stands there twice"):
        parse_arguments(["--config", str(tmp_path / "o.json")])
