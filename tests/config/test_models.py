"""Options of the networks, a class for each kind: none has those of another, wherever they are given."""

import dataclasses
import json
import re
import typing
from pathlib import Path

import pytest

from svebm_ext import TextModel, train
from svebm_ext.command_line import checked, options_of
from svebm_ext.config import (
    BagModel,
    Config,
    DialogModel,
    ModelConfig,
    PointModel,
    RecurrentModel,
    SentenceModel,
    SequenceModel,
    from_dict,
    kinds_with,
    lacking,
    of_kind,
    to_dict,
    validate,
    with_changes,
)
from svebm_ext.config import kinds as kinds_of_options
from svebm_ext.config.bounds import LARGEST
from svebm_ext.config.models import KIND_NAMES, MODELS
from svebm_ext.config.ranges import RANGES
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.presets import PRESETS, preset
from svebm_ext.training.run import read_run_config

#: What `model` was in every config.json before kinds had classes of their own: all options, with their defaults.
EARLIER = json.loads("""{
 "kind": "sentences", "encoder": "bow", "latent": "energy", "latent_dim": 40, "n_categories": 20, "n_variables": 20,
 "n_classes": 5, "gumbel_temperature": 1.0, "prior_hidden": [200, 200], "prior_activation": "gelu", "prior_scale": 1.0,
 "cell": "gru", "embedding_dim": 512, "encoder_hidden": 512, "sentence_features": "none", "feature_dropout": 0.3,
 "encoder_pooling": "final", "decoder_hidden": 512, "embedding_dropout": 0.3, "output_dropout": 0.3,
 "word_dropout": 0.0, "tied": true, "init_range": 0.1, "context_turns": 5, "context_hidden": 256, "context_dim": 512,
 "context_map": 128, "document_hidden": 500, "document_layers": 3, "document_dropout": 0.5, "document_counts": "counts",
 "batch_norm": true, "class_words": false, "class_words_start": "zero", "points_hidden": 200, "points_std": 1.0
}""")
#: Options that are newer than those files.
NEWER = {"sentence_encoder": None, "sentence_encoder_dim": 0, "n_groups": 1, "document_words": 0}
EVERY = EARLIER | NEWER
#: A preset of each class.
PRESET = {
    SentenceModel: "ptb-svebm-ib", DialogModel: "smd-svebm-ib", BagModel: "agnews-svebm-ib",
    SequenceModel: "agnews-svebm-ib-gru", PointModel: "gaussians8",
}  # fmt: skip


def options(cls):
    return {option.name for option in dataclasses.fields(cls)}


OWN = [(cls, name) for cls in MODELS for name in sorted(options(cls))]
FOREIGN = [(cls, name) for cls in MODELS for name in sorted(EARLIER.keys() - options(cls))]
classes = pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
own = pytest.mark.parametrize(("cls", "name"), OWN, ids=str)
foreign = pytest.mark.parametrize(("cls", "name"), FOREIGN, ids=str)


def other(value):
    """Another value of the same type."""
    words = {"none": "words", "final": "mean", "mean": "final", "counts": "log", "zero": "naive_bayes", "gru": "lstm"}
    if isinstance(value, bool):
        return not value
    return words[value] if isinstance(value, str) else value / 2 if isinstance(value, float) else value + 1


def written(name, value=None):
    """An option on a command line, with a value that it takes; a switch has none."""
    value = EVERY[name] if value is None else value
    option = f"--model.{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [option if value else option.replace("model.", "model.no-")]
    return [option, *map(str, value if isinstance(value, list) else [value])]


def test_the_classes_have_the_options_and_defaults_that_one_had():
    assert {name for cls in MODELS for name in options(cls)} == EVERY.keys()
    for cls, name in OWN:
        if name not in ("kind", "encoder"):
            assert json.loads(json.dumps(getattr(cls(), name))) == EVERY[name], (cls, name)
    assert {cls.__name__: len(options(cls)) for cls in MODELS} == {
        "SentenceModel": 25, "DialogModel": 25, "BagModel": 25, "SequenceModel": 22, "PointModel": 13,
    }  # fmt: skip


def test_every_class_is_of_one_kind_and_every_kind_has_one():
    assert {cls().name: cls for cls in MODELS}.keys() == kinds_of_options.OPTIONS.keys()
    assert {cls.kind for cls in MODELS} == set(KIND_NAMES)
    assert set(typing.get_args(typing.get_type_hints(Config)["model"])) == set(MODELS) == set(PRESET)
    assert {type(config.model) for _, config in PRESETS.values()} == set(MODELS)
    for cls in (ModelConfig, RecurrentModel):
        with pytest.raises(TypeError, match="abstract"):
            cls()


# Python ---------------------------------------------------------------------------------------------------------


@foreign
def test_an_option_that_a_kind_lacks_cannot_be_set(cls, name):
    value = EARLIER[name]
    with pytest.raises(TypeError, match=name):
        cls(**{name: value})
    with pytest.raises(TypeError, match=name):
        dataclasses.replace(cls(), **{name: value})
    if name == "encoder":  # says which class of a kind is meant, and means nothing where there is one
        assert of_kind(cls(), encoder=value) == cls()
    title = re.escape(cls.title())
    with pytest.raises(ConfigError, match=rf"^model\.{name.replace('_', '-')}: no such option of {title}, but of \w"):
        with_changes(preset(PRESET[cls]), {"model": {name: value}})
    if cls is not SentenceModel:
        return
    with pytest.raises(ConfigError, match=rf"options: 'model\.{name}': no such option of sentences, but of \w"):
        TextModel(options={f"model.{name}": value}).fit(["a b", "c d"] * 10)


def test_the_kind_of_a_class_stays():
    for cls, changes in ((SentenceModel, {"kind": "points"}), (BagModel, {"encoder": "gru"})):
        for make in (lambda: cls(**changes), lambda: dataclasses.replace(cls(), **changes)):  # noqa: B023
            with pytest.raises(ConfigError, match=rf"model\.\w+: .* given for {cls.__name__}, expected"):
                make()


def test_a_model_as_one_of_its_class():
    model = DialogModel(context_turns=2)
    assert DialogModel.of(model) is RecurrentModel.of(model) is model
    with pytest.raises(ConfigError, match=r"^model\.kind: dialogs given, expected points$"):
        PointModel.of(model)
    with pytest.raises(ConfigError, match=r"documents \(encoder gru\) given, expected documents \(encoder bow\)$"):
        BagModel.of(SequenceModel())


@classes
@pytest.mark.parametrize("before", MODELS, ids=lambda cls: cls.__name__)
def test_another_kind_keeps_what_both_have(before, cls):
    changed = {
        name: other(value) for name, value in EARLIER.items()
        if name in options(before) - {"kind", "encoder", "latent", "prior_hidden", "prior_activation"}
    }  # fmt: skip
    model = of_kind(before(**changed), cls.kind, getattr(cls, "encoder", None))
    assert model == cls(**{name: value for name, value in changed.items() if name in options(cls)})
    assert of_kind(model) == model


def test_options_of_another_kind_come_with_it():
    config = with_changes(preset("ptb"), {"model": {"context_turns": 2, "kind": "dialogs", "latent_dim": 3}})
    assert config.model == dataclasses.replace(of_kind(preset("ptb").model, "dialogs"), context_turns=2, latent_dim=3)
    with pytest.raises(ConfigError, match=r"model\.kind: 'dialog' given, did you mean dialogs\?"):
        with_changes(config, {"model": {"kind": "dialog"}})
    model = TextModel(options={"model.document-hidden": 7, "model.kind": "documents"})
    with pytest.raises(ConfigError, match="bag"):  # the options are known; the preset's objective is not for bags
        model.fit(["a b", "c d"] * 10)


# Command line ---------------------------------------------------------------------------------------------------


@foreign
def test_the_command_line_refuses_what_a_kind_lacks(cls, name):
    arguments = [PRESET[cls], *written(name)]
    switch = written(name, False) if isinstance(EARLIER[name], bool) else []
    for given in (arguments, [PRESET[cls], *switch] if switch else arguments):
        with pytest.raises(ConfigError) as raised:
            train.parse_arguments(given)
        expected = f"{given[1]}: no such option of {cls.title()}, but of {kinds_with(name)}; --help lists all of them"
        assert str(raised.value) == expected


@own
def test_the_command_line_takes_what_a_kind_has(cls, name):
    value = getattr(preset(PRESET[cls]).model, name)
    value = list(value) if isinstance(value, tuple) else value
    if value is None:  # a word on the command line is always a name
        assert checked(written(name, "None"), train.Arguments, train.Arguments(model=cls()))
        return
    assert train.parse_arguments([PRESET[cls], *written(name, value)])[0] == preset(PRESET[cls])
    if name in ("kind", "encoder", "latent", "prior_hidden", "prior_activation", "n_classes", "n_variables"):
        return
    changed = Config(model=cls(**{name: other(value)}))
    default = train.Arguments(model=cls())
    assert checked(written(name, other(value)), train.Arguments, default)  # by its name
    try:
        validate(with_changes(preset(PRESET[cls]), {"model": {name: other(value)}}))
    except ConfigError:
        return  # not with that preset
    config, _ = train.parse_arguments([PRESET[cls], *written(name, other(value))])
    assert getattr(config.model, name) == getattr(changed.model, name)


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        (["agnews-svebm-ib", "--model.encoder", "gru"], SequenceModel),
        (["agnews-svebm-ib", "--model.encoder=gru", "--model.cell", "lstm"], SequenceModel),
        (["agnews-svebm-ib-gru", "--model.encoder", "bow", "--objective.bag-of-words", "0"], BagModel),
        (["smd", "--model.kind", "sentences", "--data.no-speaker-marks"], SentenceModel),
        (["dailydialog-svebm", "--model.kind", "dialogs", "--model.context-turns", "2"], DialogModel),
    ],
)
def test_the_kind_of_a_command_line_decides(arguments, model):
    assert type(train.parse_arguments(arguments)[0].model) is model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ptb", "--model.kind", "dialog"], "--model.kind: 'dialog' given, did you mean dialogs?"),
        (["ptb", "--model.kind"], "--model.kind: no value given, expected one of sentences, dialogs, documents"),
        (["agnews", "--model.encoder", "grue"], "--model.encoder: 'grue' given, did you mean gru?"),
        (["ptb", "--model.context-trns", "3"], "did you mean --model.context-turns, an option of dialogs?"),
        (["smd", "--model.context-trns", "3"], "no such option; did you mean --model.context-turns?"),
        (["ptb", "--model.latent-dmi", "3"], "no such option; did you mean --model.latent-dim?"),
        (["ptb", "--points-sdt", "3"], "did you mean --model.points-std, an option of points?"),
        (["ptb", "--seed", "--model.context-turns", "3"], "--seed: no value given, expected a whole number"),
        (["ptb", "--model.no-batch-norm"], "--model.no-batch-norm: no such option of sentences, but of documents"),
        (["ptb", "--model.kind", "documents", "--model.tied"], "--model.tied: no such option of documents (encoder"),
    ],
)
def test_slips_in_options_of_a_kind(arguments, message):
    with pytest.raises(ConfigError) as raised:
        train.parse_arguments(arguments)
    assert message in str(raised.value)


@classes
def test_help_has_the_options_of_the_kind(cls, capsys):
    with pytest.raises(SystemExit) as ended:
        train.parse_arguments([PRESET[cls], "--help"])
    shown = set(re.findall(r"--model\.([\w-]+)", capsys.readouterr().out))
    known = {name.replace("_", "-") for name in options(cls)}
    assert ended.value.code == 0 and {name.removeprefix("no-") for name in shown} == known


def test_options_of_a_command_line_are_those_of_all_kinds_or_of_one():
    every = options_of(train.Arguments)
    assert {name.replace("_", "-") for name in EVERY} <= {o.removeprefix("--model.") for o in every}
    bags = options_of(train.Arguments, default=train.Arguments(model=BagModel()))
    assert every.keys() - bags.keys() == {f"--model.{n}" for n in (
        *(name.replace("_", "-") for name in EVERY.keys() - options(BagModel)), "no-tied",
    )}  # fmt: skip


# Files ----------------------------------------------------------------------------------------------------------


@classes
def test_files_that_list_options_of_all_kinds_are_read(cls):
    model = preset(PRESET[cls]).model
    assert type(model) is cls
    content = {**to_dict(preset(PRESET[cls])), "model": {**EARLIER, **to_dict(model)}}
    assert from_dict(json.loads(json.dumps(content))) == preset(PRESET[cls])


@foreign
def test_what_did_nothing_is_left_out_and_what_was_refused_still_is(cls, name):
    if name == "encoder":
        assert from_dict({"model": {"kind": cls.kind, name: "gru"}}).model == cls()
        return
    content = {"model": {**EARLIER, **to_dict(cls()), name: other(EARLIER[name])}}
    if name in ("sentence_features", "class_words", "class_words_start"):
        with pytest.raises(ConfigError, match=rf"^config\.model\.{name}: .* given; no such option of {cls.kind}"):
            from_dict(content)
    else:
        assert from_dict(content).model == cls()
    with pytest.raises(ConfigError, match=rf"^config\.model\.{name}: "):
        from_dict({"model": {**content["model"], name: {}}})


@pytest.mark.parametrize("kind", ["sentences", "dialogs", "points"])
def test_earlier_runs_had_options_of_all_kinds(kind):
    folder = Path(__file__).parents[1] / "earlier_runs" / kind / "whole"
    content = json.loads((folder / "config.json").read_text())["config"]["model"]
    assert content.keys() == EARLIER.keys()
    model = read_run_config(folder).model
    assert model.kind == kind and to_dict(model).items() <= (content | NEWER).items()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"kind": "sounds"}, r"config\.model\.kind: 'sounds' given, expected one of 'sentences'|sounds"),
        ({"kind": "documents", "encoder": "lstm"}, r"config\.model\.encoder: 'lstm' given"),
        ({"kind": "documents", "encoder": ["gru"]}, r"config\.model\.encoder: \['gru'\] given"),
        ({"kind": ["points"]}, r"config\.model\.kind: \['points'\] given"),
        ({"latentdim": 3}, r"config\.model: unknown option latentdim; did you mean latent_dim"),
        ({"name": "points"}, r"config\.model: unknown option name"),
        (3, r"config\.model: expected an object, found int"),
    ],
)
def test_models_that_cannot_be_read(content, message):
    with pytest.raises(ConfigError, match=message):
        from_dict({"model": content})


def test_a_run_of_another_kind_is_not_gone_on_with(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"format": 1, "config": to_dict(preset("agnews-svebm-ib"))}))
    config, _ = train.parse_arguments(["--resume", str(tmp_path), "--model.encoder", "gru"])
    from svebm_ext.training.resuming import check_unchanged

    with pytest.raises(ModelFolderError, match=r"--model\.encoder: gru given, but the run in .* has bow"):
        check_unchanged(read_run_config(tmp_path), config, tmp_path)


# Checks ---------------------------------------------------------------------------------------------------------


def test_every_range_is_of_an_option():
    sections = {field.name: getattr(Config(), field.name) for field in dataclasses.fields(Config)}
    known = {f"model.{name}" for name in EVERY} | {
        f"{name}.{option.name}" for name, section in sections.items() if dataclasses.is_dataclass(section)
        for option in dataclasses.fields(section)
    }  # fmt: skip
    named = {f"{s}.{name}" for s, ranges in RANGES.items() for names in ranges.values() for name in names.split()}
    assert named <= known and LARGEST.keys() - {"seed"} <= known


def test_who_has_an_option():
    assert kinds_with("context_turns") == "dialogs" and kinds_with("points") == ""
    assert kinds_with("encoder") == "documents (encoder bow), documents (encoder gru)"
    assert lacking(DialogModel, "context_turns") == lacking(DialogModel, "latent") == lacking(DialogModel, "x") == ""
