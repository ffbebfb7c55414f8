"""Configurations: round trip, strict reading, ranges."""

import copy
import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

from svebm_ext.config import (
    ChainConfig,
    Config,
    EvaluationConfig,
    ObjectiveConfig,
    SentenceModel,
    from_dict,
    to_dict,
    validate,
)
from svebm_ext.errors import ConfigError
from svebm_ext.presets import FORMER_NAMES, PRESETS, is_preset, preset


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name):
    import json

    config = preset(name)
    assert config.preset == name
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    if config.data.corpus != "lines":
        validate(config)
    else:
        with pytest.raises(ConfigError, match=r"data\.train"):
            validate(config)


def test_former_names_of_presets_are_those_of_the_rows():
    assert not FORMER_NAMES.keys() & PRESETS.keys() and set(FORMER_NAMES.values()) <= PRESETS.keys()
    for former, name in {
        "ptb": "ptb-svebm-ib", "ptb-joint": "ptb-svebm-ib-joint", "dd": "dailydialog-svebm-ib",
        "dd-gm-vae-i": "dailydialog-gm-vae-i", "dd-svebm": "dailydialog-svebm", "smd-paper": "smd-svebm-ib-paper",
        "yelp-released": "yelp-svebm-ib-released", "agnews-gru": "agnews-svebm-ib-gru",
    }.items():  # fmt: skip
        assert is_preset(former) and is_preset(name) and preset(former) == preset(name) and preset(name).preset == name
    assert not is_preset("ptbb")


def test_unknown_preset_lists_the_known():
    with pytest.raises(ConfigError, match=r"'ptbb'.*assistant"):
        preset("ptbb")


@pytest.mark.parametrize(
    ("section", "options", "message"),
    [
        ("training", {"batch_size": 0}, r"training\.batch-size: 0"),
        ("training", {"max_steps": -5}, r"max-steps"),
        ("chains", {"step_size": 2.0}, r"step-size: 2\.0.*unstable"),
        ("chains", {"final_step_size": 0.3}, r"final-step-size: 0\.3.*up to step-size 0\.125"),
        ("chains", {"n_chains": 10}, r"10 chains are fewer than the 64 that are picked"),
        ("chains", {"n_chains": 200, "per_iteration": 300}, r"200 chains are fewer than the 300 that are picked"),
        ("chains", {"per_iteration": -1}, r"chains.per-iteration: -1"),
        ("chains", {"metropolis": True, "mode": "short_run"}, r"chains\.metropolis: given for short runs"),
        ("chains", {"metropolis": True, "final_step_size": 0.01}, r"final-step-size: 0\.01 .*chains\.metropolis"),
        ("model", {"embedding_dim": 100}, r"tied"),
        ("model", {"embedding_dropout": 1.0}, r"embedding-dropout"),
        ("model", {"prior_hidden": ()}, r"prior-hidden"),
        ("objective", {"zero_fraction": 0.7, "ramp_fraction": 0.7}, r"exceeds 1"),
        ("objective", {"mutual_information": float("nan")}, r"mutual-information"),
        ("optimiser", {"learning_rate": 0.0}, r"learning-rate"),
        ("evaluation", {"proposal_scale": -1.0}, r"proposal-scale: -1\.0"),
        ("evaluation", {"annealed_sentences": -1}, r"annealed-sentences: -1"),
        ("evaluation", {"max_sentences": -5}, r"max-sentences: -5"),
        ("evaluation", {"annealed_temperatures": 0}, r"annealed-temperatures: 0"),
        ("data", {"max_tokens": 2}, r"max-tokens"),
        ("data", {"corpus": "pinwheel"}, r"model\.kind"),
    ],
)
def test_out_of_range_is_named(section, options, message):
    config = Config()
    with pytest.raises(ConfigError, match=message):
        validate(replace(config, **{section: replace(getattr(config, section), **options)}))


def test_family_without_symbols_refuses_their_weights():
    config = Config(model=SentenceModel(latent="gaussian"), objective=ObjectiveConfig(mutual_information=1.0))
    with pytest.raises(ConfigError, match="no symbols"):
        validate(config)
    validate(replace(config, objective=ObjectiveConfig()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"training": {"patience": 1, "select": "last"}}, r"training\.patience: 1 given, but training\.select last"),
        ({"training": {"patience": 1}, "objective": {"schedule": "cyclical"}}, r"training\.patience: 1 .* cyclical"),
        ({"objective": {"group_by": "wording", "label_weight": 1.0}}, r"group-by: wording .* classes of the labels"),
        ({"objective": {"group_by": "topics", "pseudo_label_weight": 0.0}}, r"group-by: topics .* find no symbols"),
    ],
)
def test_options_that_could_do_nothing_are_refused(options, message):
    config = preset("lines")
    config = replace(config, data=replace(config.data, train=Path("mine.txt")))
    validate(replace(config, objective=replace(config.objective, group_by="wording")))
    for section, values in options.items():
        config = replace(config, **{section: replace(getattr(config, section), **values)})
    with pytest.raises(ConfigError, match=message):
        validate(config)


def test_points_have_nothing_to_wait_for():
    config = preset("gaussians8")
    with pytest.raises(ConfigError, match=r"training\.patience: 2 given, but points are not validated"):
        validate(replace(config, training=replace(config.training, patience=2)))


def test_family_without_a_vector_refuses_to_widen_it():
    config = Config(model=SentenceModel(latent="none"), evaluation=EvaluationConfig(proposal_scale=1.4))
    with pytest.raises(ConfigError, match=r"evaluation\.proposal-scale: 1\.4"):
        validate(config)
    validate(replace(config, evaluation=EvaluationConfig(proposal_scale=1.0)))


def test_reading_is_strict():
    with pytest.raises(ConfigError, match=r"unknown option stepsize"):
        from_dict({"chains": {"stepsize": 0.1}})
    with pytest.raises(ConfigError, match=r"config\.chains\.n_steps: expected int"):
        from_dict({"chains": {"n_steps": 2.5}})
    with pytest.raises(ConfigError, match=r"mode: 'forever'"):
        from_dict({"chains": {"mode": "forever"}})
    with pytest.raises(ConfigError, match="expected an object"):
        from_dict({"chains": 3})
    assert from_dict({"chains": {"step_size": 1}}).chains == ChainConfig(step_size=1.0)


def test_own_files_without_the_preset_for_them_are_not_ignored(tmp_path):
    config = Config()
    with pytest.raises(ConfigError, match=r"data\.train: .*lines"):
        validate(replace(config, data=replace(config.data, train=tmp_path / "x.txt")))


#: Configurations that have every option between them: one of each kind.
KINDS = [preset(name) for name in ("ptb", "smd", "agnews", "gaussians8")]
NUMBERS = {
    (section.name, option.name, str(option.type))
    for config in KINDS
    for section in dataclasses.fields(Config)
    if dataclasses.is_dataclass(getattr(config, section.name))
    for option in dataclasses.fields(getattr(config, section.name))
    if str(option.type) in ("int", "float", "tuple[int, ...]")
}
NUMBERS = [*sorted(NUMBERS), (None, "seed", "int")]
#: Whole numbers of 2^31 that mean something: seeds, "never", and "all of them".
ENDLESS = {
    "seed", "checkpoint_every", "validate_every", "log_every", "sample_every", "max_sentences", "annealed_sentences",
}  # fmt: skip


def with_option(config, section, name, value):
    """Not by `replace`, which checks types in tests; a user's Python does not."""
    config = copy.copy(config)
    holder = config
    if section is not None:
        holder = copy.copy(getattr(config, section))
        object.__setattr__(config, section, holder)
    object.__setattr__(holder, name, value)
    return config


@pytest.mark.parametrize(("section", "name", "kind"), NUMBERS)
def test_every_numeric_option_refuses_what_nothing_can_be_done_with(section, name, kind):
    """By its name, whatever the kind of number: nothing is narrowed, and nothing switches a guard off."""
    config = next(one for one in KINDS if section is None or hasattr(getattr(one, section), name))
    for value in (float("nan"), float("inf"), float("-inf"), -1, 2**31, 2**63, 10**400, 1e308, True, "3", None):
        if value == 2**31 and name in ENDLESS:
            validate(with_option(config, section, name, value))
            continue
        given = (value,) if kind.startswith("tuple") else value
        with pytest.raises(ConfigError, match=f"^(?:{section}\\.)?{name.replace('_', '-')}: "):
            validate(with_option(config, section, name, given))
    default = config if section is None else getattr(config, section)
    if kind == "float" and getattr(default, name) == int(getattr(default, name)):
        validate(with_option(config, section, name, int(getattr(default, name))))  # 1 is 1.0
