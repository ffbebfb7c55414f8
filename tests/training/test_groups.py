"""Symbols in two levels as a part of runs: learnt with the networks, found by wording, found afterwards, and kept."""

import dataclasses
import json
import math
import random

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_mutual_info_score
from tiny_runs import TOPICS, stopped, tiny_config, tiny_training, write_corpus

from svebm_ext.config import validate, with_changes
from svebm_ext.data import EncodedSplit, Split, Vocabulary
from svebm_ext.errors import ConfigError
from svebm_ext.models.features import WordFeatures
from svebm_ext.models.svebm import SVEBM
from svebm_ext.objectives.elbo import Averager, total_loss
from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.presets import preset
from svebm_ext.prior.groups import SymbolGroups, log_groups_of
from svebm_ext.prior.regrouping import Clusters
from svebm_ext.prior.symbols import log_symbols_of
from svebm_ext.randomness import Draw
from svebm_ext.training.guides.bags import bags_of_split
from svebm_ext.training.guides.unlabelled import find_symbols
from svebm_ext.training.guides.wording import by_wording, by_wording_and_topic, choose_n_groups, shares_of
from svebm_ext.training.run import train
from svebm_ext.training.terms import terms_of

LEARNT = {"model": {"n_groups": 2}, "objective": {"mutual_information": 1.0, "group_information": 3.0}}


def test_the_loss_has_both_informations_with_their_weights(tmp_path):
    config, _, networks, feed = tiny_training(tmp_path, **LEARNT)
    networks.energy_latent.groups = SymbolGroups.even(6, 2)
    share = feed.batch(0)
    forward = networks(share.batch, Draw(0, 0))
    average = Averager(share.n_total)
    log_symbol = log_symbols_of(networks.energy_latent.prior.logits(forward.z))
    expected = mutual_information(log_groups_of(log_symbol, SymbolGroups((0, 0, 0, 1, 1, 1))))[0]

    def loss(**objective):
        changed = with_changes(config, {"objective": objective})
        terms = terms_of(networks, forward, share, None, changed, average, None)
        return total_loss(terms, 0.5, changed.objective), terms

    with_groups, terms = loss()
    without, plain = loss(group_information=0.0)
    torch.testing.assert_close(terms.group_information, expected)
    assert plain.group_information is None and float(expected.detach()) > 0
    torch.testing.assert_close(with_groups, without - 3.0 * expected)


def test_learnt_groups_are_even_kept_and_resumed(tmp_path):
    config = tiny_config(write_corpus(tmp_path), **LEARNT)
    model, _ = train(config, tmp_path / "whole")
    assert model.groups == SymbolGroups((0, 0, 0, 1, 1, 1))
    logged = [json.loads(line) for line in (tmp_path / "whole/metrics.jsonl").read_text().splitlines()]
    assert any(0.0 < row.get("mi_groups", 0.0) < 0.7 for row in logged)
    stopped(lambda: train(config, tmp_path / "run"), at=9)
    assert json.loads((tmp_path / "run/config.json").read_text())["groups"] == [0, 0, 0, 1, 1, 1]
    again, _ = train(config, tmp_path / "run", resume=True)
    assert again.groups == model.groups
    for name, numbers in model.networks.state_dict().items():
        torch.testing.assert_close(again.networks.state_dict()[name], numbers, rtol=0, atol=0)
    assert SVEBM.from_pretrained(tmp_path / "run").groups == model.groups


def test_lambda_1_alone_makes_two_groups_certain_and_even(tmp_path):
    """I(z; c) of two groups is at most ln 2, and comes near it."""
    config = tiny_config(
        write_corpus(tmp_path),
        model={"n_groups": 2},
        objective={"kl_weight": 0.1, "mutual_information": 0.0, "group_information": 5.0},
        training={"max_steps": 80, "batch_size": 32, "validate_every": 80, "checkpoint_every": 80},
        optimiser={"learning_rate": 5e-3, "prior_learning_rate": 5e-3},
    )
    train(config, tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    information = [row["mi_groups"] for row in rows if "mi_groups" in row]
    assert information[0] < 0.1 and 0.5 < sum(information[-5:]) / 5 <= math.log(2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"n_groups": 7}}, "n-groups: 7 groups of 6 symbols"),
        ({"model": {"n_groups": -1}}, "n-groups: -1 given"),
        ({"model": {"n_groups": 2, "latent": "gaussian"}, "objective": {"mutual_information": 0.0}}, "n-groups: 2"),
        ({"objective": {"group_information": 1.0}}, "group-information: needs a number"),
        ({"model": {"n_groups": 0}, "objective": {"group_information": 1.0}}, "group-information: needs a number"),
        ({"model": {"n_groups": 2}, "objective": {"group_information": -1.0}}, "group-information: -1.0 given"),
        (
            {"model": {"n_groups": 2}, "objective": {"group_information": 1.0, "label_weight": 1.0}},
            "group-information: labels or words",
        ),
    ],
)
def test_groups_that_cannot_be_are_refused(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        validate(tiny_config(tmp_path / "corpus.txt", **changes))


@pytest.mark.parametrize("kind", ["gaussians8", "smd-svebm-ib"])
def test_points_and_dialogs_have_no_groups(kind):
    config = preset(kind)
    with pytest.raises(ConfigError, match="n-groups: 3 given; groups need sentences or documents"):
        validate(dataclasses.replace(config, model=dataclasses.replace(config.model, n_groups=3)))


@pytest.mark.parametrize("latent", ["gaussian", "none"])
def test_a_number_that_is_left_open_is_none_where_there_are_no_symbols(tmp_path, latent):
    objective = {"mutual_information": 0.0}
    config = tiny_config(write_corpus(tmp_path), model={"n_groups": 0, "latent": latent}, objective=objective)
    model, _ = train(config, tmp_path / "run")
    assert model.groups is None and "groups" not in json.loads((tmp_path / "run/config.json").read_text())


@pytest.mark.parametrize(("n_symbols", "asked", "found"), [(6, 0, None), (6, 3, 3), (12, 1, None)])
def test_symbols_are_put_into_groups_at_the_end_of_a_run(tmp_path, n_symbols, asked, found):
    config = tiny_config(write_corpus(tmp_path), model={"n_groups": asked, "n_categories": n_symbols})
    model, _ = train(config, tmp_path / "run")
    assert (None if model.groups is None else model.groups.n_groups) == found
    assert SVEBM.from_pretrained(tmp_path / "run").groups == model.groups


@pytest.mark.parametrize("group_by", ["topics", "wording"])
def test_more_groups_than_a_text_has_symbols_are_refused_before_the_training(tmp_path, group_by):
    path = write_corpus(tmp_path, n=90)
    config = with_changes(
        preset("lines"),
        {"data": {"train": path}, "model": {"n_groups": 30}, "objective": {"group_by": group_by}},
    )
    with pytest.raises(ConfigError, match="n-groups: 30 given, expected no more groups than the"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run/checkpoints").exists()


def hierarchy(n=720, seed=0):
    """Sentences of three topics with four themes each, of words of the topic and of the theme; and both of each."""
    rng = random.Random(seed)
    texts, topic, theme = [], [], []
    for i in range(n):
        a, b = i % 3, i // 3 % 4
        words = list(TOPICS.values())[a]
        own = [f"{words[b]}{kind}" for kind in "abcdef"]
        texts.append(" ".join(rng.sample(words, 6) + rng.sample(own, 2)))
        topic.append(a)
        theme.append(4 * a + b)
    return texts, topic, theme


@pytest.mark.slow
def test_both_levels_of_a_made_up_text_are_found_by_a_whole_run(tmp_path):
    texts, topic, theme = hierarchy()
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(texts) + "\n")
    config = with_changes(
        preset("lines"),
        {
            "data": {"train": path},
            "model": {
                "n_categories": 12, "latent_dim": 8, "embedding_dim": 24, "encoder_hidden": 16, "decoder_hidden": 24,
            },
            "training": {"max_steps": 60, "prior_steps": 30, "validate_every": 30, "device": "cpu", "sample_every": 0},
        },
    )  # fmt: skip
    model, _ = train(config, tmp_path / "run")
    symbol = model.symbol_probabilities(texts).argmax(-1)
    assert adjusted_mutual_info_score(theme, symbol.tolist()) > 0.9
    assert model.groups.n_groups == 3  # chosen
    group = torch.tensor(model.groups.of)[symbol].tolist()
    assert adjusted_mutual_info_score(topic, group) > 0.9
    by_sum = model.group_probabilities(texts)
    p = model.symbol_probabilities(texts).double()
    expected = torch.stack([p[:, list(members)].sum(-1) for members in model.groups.members], dim=-1)
    torch.testing.assert_close(by_sum.double(), expected, rtol=1e-5, atol=1e-6)
    answers = model.classify(texts[:5])
    assert [a.group for a in answers] == group[:5]
    assert [a.group_probability for a in answers] == pytest.approx([float(p) for p in expected[:5].max(-1).values])


def conversation(n=900, seed=0):
    """Questions, answers and wishes about six things."""
    generator = np.random.default_rng(seed)
    words = np.array([[f"t{topic}w{i}" for i in range(30)] for topic in range(6)])
    forms = [
        ["do you {} {} {} ?", "would you {} {} {} ?", "can you {} {} {} ?"],
        ["i am {} {} {} .", "i was {} {} {} .", "i see {} {} {} ."],
        ["please {} the {} {} !", "please {} a {} {} !", "please {} my {} {} !"],
    ]
    kind, about = generator.integers(0, 3, n), generator.integers(0, 6, n)
    texts = [
        forms[k][generator.integers(len(forms[k]))].format(*generator.choice(words[t], 3)).split()
        for k, t in zip(kind, about, strict=True)
    ]
    return texts, kind, about


@pytest.fixture(scope="module")
def spoken():
    texts, kind, about = conversation()
    vocabulary = Vocabulary.build(texts)
    split = EncodedSplit.from_split(Split(texts), vocabulary)
    features = WordFeatures(len(vocabulary))
    features.fit(split)
    return bags_of_split(split, features), kind, about


def test_groups_by_wording_hold_symbols_by_topic(spoken):
    bags, kind, about = spoken
    guide = by_wording_and_topic(bags, 18, 3, seed=0)
    symbol = guide.log_probabilities(bags).argmax(1)
    groups = np.array(guide.groups)
    assert adjusted_mutual_info_score(kind, groups[symbol]) > 0.95
    assert (groups[symbol] == by_wording(bags, 3, 0).log_probabilities(bags).argmax(1)).mean() >= 0.98
    both = 6 * kind + about
    assert adjusted_mutual_info_score(both, symbol) > 0.8
    flat = by_wording(bags, 18, 0).log_probabilities(bags).argmax(1)
    assert adjusted_mutual_info_score(both, symbol) > adjusted_mutual_info_score(both, flat) + 0.2
    lines = []
    assert choose_n_groups(bags, 18, seed=0, say=lines.append) == 3 and "3, on which halves" in lines[0]


@pytest.mark.parametrize(("n_symbols", "n_groups", "found"), [(18, 3, 3), (18, 1, None), (18, 0, 3), (8, 0, None)])
def test_groups_by_wording_are_those_that_are_asked_for(spoken, n_symbols, n_groups, found):
    guide = find_symbols(spoken[0], n_symbols, seed=0, group_by="wording", n_groups=n_groups)
    assert (None if guide.groups is None else max(guide.groups) + 1) == found


def written_from_templates(n=600, themes=4, phrases=4, seed=0):
    """Sentences from 4 phrases of each of 4 themes: words of the phrase, which say nothing else, and some of the theme.

    One phrase of the first theme is as long as three, so that it lies far from all others.
    """
    generator = np.random.default_rng(seed)
    theme, phrase = generator.integers(themes, size=n), generator.integers(phrases, size=n)
    texts = []
    for t, f in zip(theme, phrase, strict=True):
        long = 12 if (t, f) == (0, 0) else 4
        texts.append(
            [f"phrase{t}{f}{i}" for i in range(long)] + [f"theme{t}{i}" for i in generator.integers(9, size=4)]
        )
    vocabulary = Vocabulary.build(texts)
    split = EncodedSplit.from_split(Split(texts), vocabulary)
    features = WordFeatures(len(vocabulary))
    features.fit(split)
    return bags_of_split(split, features), theme, phrases * theme + phrase


@pytest.mark.parametrize("n_groups", [0, 4])
def test_groups_of_phrases_are_the_themes(n_groups):
    bags, theme, phrase = written_from_templates()
    guide = find_symbols(bags, 16, seed=0, n_groups=n_groups)
    symbol, groups = guide.log_probabilities(bags).argmax(1), np.array(guide.groups)
    assert adjusted_mutual_info_score(phrase, symbol) > 0.95
    assert adjusted_mutual_info_score(theme, groups[symbol]) > 0.95
    sizes = np.bincount(groups[symbol])
    assert len(sizes) == 4 and (np.diff(sizes) <= 0).all()  # the largest comes first


@pytest.mark.parametrize(("n_symbols", "n_groups"), [(16, 1), (9, 0)])
def test_symbols_that_are_few_or_of_one_level_have_no_groups(n_symbols, n_groups):
    assert find_symbols(written_from_templates(300)[0], n_symbols, seed=0, n_groups=n_groups).groups is None


def test_there_are_as_many_groups_as_asked_for():
    """Of topics that no symbol has most of, each is given one, so that none is empty."""
    bags, _, _ = written_from_templates(400)
    guide = find_symbols(bags, 16, seed=0, n_groups=15)
    assert sorted(set(guide.groups)) == list(range(15))


@pytest.mark.slow
def test_a_run_keeps_the_groups_by_wording(tmp_path):
    texts, kind, _ = conversation(500)
    path = tmp_path / "talk.txt"
    path.write_text("\n".join(map(" ".join, texts)) + "\n")
    config = with_changes(
        preset("lines"),
        {
            "data": {"train": path, "tokenization": "whitespace"},
            "model": {
                "n_categories": 12, "n_groups": 3, "latent_dim": 6, "embedding_dim": 16, "encoder_hidden": 12,
                "decoder_hidden": 16,
            },
            "objective": {"group_by": "wording"},
            "training": {"max_steps": 20, "prior_steps": 10, "validate_every": 10, "device": "cpu", "sample_every": 0},
        },
    )  # fmt: skip
    stopped(lambda: train(config, tmp_path / "run"), at=15)
    kept = json.loads((tmp_path / "run/config.json").read_text())["groups"]
    model, _ = train(config, tmp_path / "run", resume=True)
    assert list(model.groups.of) == kept and model.groups.n_groups == 3
    group = torch.tensor(kept)[model.symbol_probabilities(texts).argmax(-1)]
    assert adjusted_mutual_info_score(kind, group.tolist()) > 0.9


def test_things_are_shared_out_in_proportion():
    assert shares_of(10, np.array([6, 3, 1])).tolist() == [6, 3, 1]
    assert shares_of(4, np.array([100, 1, 0])).tolist() == [2, 1, 1]
    assert shares_of(5, np.array([9, 1, 1])).tolist() == [3, 1, 1]  # no more than there are
    assert shares_of(3, np.array([9, 9, 9])).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="things"):
        shares_of(2, np.array([9, 9, 9]))


def test_clusters_in_two_levels_lie_within_those_of_the_first():
    """Four far places with clusters near them: 5, 3, 2 and 2; symbols of a group are clusters of one place."""
    generator = torch.Generator().manual_seed(0)
    places = 50.0 * torch.eye(4)
    near = [places[i] + 4.0 * torch.randn(n, 4, generator=generator) for i, n in enumerate((5, 3, 2, 2))]
    centres = torch.cat(near)
    repeats = torch.tensor([40] * 5 + [30] * 3 + [20] * 4)
    means = centres.repeat_interleave(repeats, 0)
    means = means + 0.01 * torch.randn(means.shape, generator=generator)
    groups = SymbolGroups((2, 2, 0, 0, 0, 0, 0, 1, 1, 1, 3, 3))
    clusters = Clusters.fit(means, means, 12, seed=0, groups=groups)
    assert torch.cdist(clusters.centres, centres).min(1).values.max() < 0.1
    place = torch.cdist(clusters.centres, places).argmin(1)
    for members in groups.members:
        assert len(set(place[list(members)].tolist())) == 1
    assert len(set(place[[members[0] for members in groups.members]].tolist())) == 4
    assert place[2] == 0 and place[7] == 1  # the largest cluster is the group with most symbols


def test_fewer_means_than_symbols_of_a_group_leave_no_number_undefined():
    means = torch.tensor([[0.0, 0.0], [10.0, 0.0], [10.0, 1.0]])
    clusters = Clusters.fit(means, means, 6, seed=0, groups=SymbolGroups((0, 0, 0, 0, 1, 1)))
    assert clusters.centres.isfinite().all() and clusters.log_weights.isfinite().all()
    same = Clusters.fit(torch.ones(4, 2), torch.ones(4, 2), 6, seed=0, groups=SymbolGroups.even(6, 3))
    torch.testing.assert_close(same.centres, torch.ones(6, 2))


def test_a_run_regroups_within_its_groups(tmp_path, monkeypatch):
    from svebm_ext.prior import regrouping

    seen = []
    fit = regrouping.Clusters.fit
    monkeypatch.setattr(regrouping.Clusters, "fit", lambda *given: seen.append(given[-1]) or fit(*given))
    objective = {**LEARNT["objective"], "regroup_at": 0.5}
    train(tiny_config(write_corpus(tmp_path), model=LEARNT["model"], objective=objective), tmp_path / "run")
    assert seen == [SymbolGroups((0, 0, 0, 1, 1, 1))]
