"""The judge against a text whose classes are known, and the control that it measures."""

import random

import pytest
import torch

from svebm_ext.data.corpus import Split
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import DataError, ModelFolderError
from svebm_ext.evaluation import control as control_module
from svebm_ext.evaluation.control import Yardstick, measure_control, mixed
from svebm_ext.judges.language_model import (
    LanguageModel,
    LanguageModelSettings,
    load_language_model,
    perplexity,
    save_language_model,
    train_language_model,
)
from svebm_ext.judges.language_model.network import AWDLSTM
from svebm_ext.judges.sentiment import Judge, control, train_judge

TINY = LanguageModelSettings(embedding_dim=8, hidden=8, n_layers=1, batch_size=4, bptt=10, epochs=1)
MARKS = {"negative": ["bad", "not good"], "positive": ["good", "not bad"]}


def reviews(n, seed):
    """Sentences whose class only pairs of words tell."""
    rng, sentences, labels = random.Random(seed), [], []
    for number in range(n):
        name = list(MARKS)[number % 2]
        labels.append("" if number % 10 == 9 else name)
        words = [rng.choice(["the", "food", "is", "here"]) for _ in range(rng.randint(1, 4))]
        sentences.append([*words, *rng.choice(MARKS[name]).split()])
    return Split(sentences, {"sentiment": labels})


def trained():
    return train_judge(reviews(400, 0), reviews(100, 1), "sentiment", n_features=1 << 12)


def test_the_judge_learns_what_pairs_of_words_tell():
    judge = trained()
    assert judge.classes == ("negative", "positive")
    assert judge.accuracy == {"overall": 1.0, "negative": 1.0, "positive": 1.0}
    # sentences without a label are left out
    assert judge.counts == {"training sentences": 360, "test sentences": 90}
    assert judge.classify([["is", "not", "good"], ["not", "bad"]]) == ["negative", "positive"]
    assert judge.classify([]) == []


def test_a_saved_judge_gives_the_same_scores(tmp_path):
    judge = trained()
    judge.save(tmp_path / "judge.safetensors")
    again = Judge.load(tmp_path / "judge.safetensors")
    texts = reviews(20, 2).sentences
    assert torch.equal(again.scores(texts), judge.scores(texts))
    assert (again.classes, again.accuracy, again.counts) == (judge.classes, judge.accuracy, judge.counts)
    (tmp_path / "other").write_bytes(b"no safetensors")
    for name in ("other", "absent"):
        with pytest.raises(ModelFolderError):
            Judge.load(tmp_path / name)


def test_what_cannot_be_judged_is_told():
    with pytest.raises(DataError, match="1 classes, expected 2"):
        train_judge(Split([["a"]], {"sentiment": ["x"]}), reviews(4, 0), "sentiment")
    with pytest.raises(DataError, match="no test sentence"):
        train_judge(reviews(40, 0), Split([["a"]], {"sentiment": [""]}), "sentiment", n_features=64)
    with pytest.raises(DataError, match="1 judged sentences for 2"):
        control(["a"], ["a", "b"])


def test_control_counts_by_class():
    wanted, judged = ["p"] * 4 + ["n"] * 2, ["p", "p", "p", "n", "n", "p"]
    assert control(judged, wanted) == {"overall": 4 / 6, "p": 3 / 4, "n": 1 / 2}


def test_samples_are_measured(monkeypatch):
    streams = []
    monkeypatch.setattr(control_module, "perplexity", lambda model, text: streams.append(text) or 12.0)
    train = reviews(50, 3)
    yardstick = Yardstick(trained(), LanguageModel(AWDLSTM(5, TINY), Vocabulary(["a"])), train)
    copied = train.sentences[0]
    samples = {
        "negative": [["the", "food", "is", "bad"], ["bad"], ["bad"], copied],
        "positive": [["is", "good"], ["good"], ["here", "bad"], ["not", "bad"]],
    }
    found, reasons = measure_control(samples, yardstick)
    assert reasons == {} and copied[-1] in ("bad", "good")
    assert (found["control"], found["control_negative"], found["control_positive"]) == (87.5, 100.0, 75.0)
    assert found["sample_ppl"] == 12.0 and found["repeated"] == pytest.approx((1 / 4 + 0) / 2)
    everything = samples["negative"] + samples["positive"]
    assert sorted(streams[0]) == sorted(everything) and streams[0] != everything
    assert found["copied"] == sum(s in train.sentences for s in everything) / 8 > 0
    assert found["sample_length"] == sum(map(len, everything)) / 8

    found, reasons = measure_control({name: [["bad"]] * 3 for name in samples}, yardstick)
    assert "distinct_2" not in found and "no sentence has 2 words" in reasons["distinct_2"]
    for wrong in ({"negative": [["bad"]]}, {"negative": [["bad"]], "positive": []}):
        with pytest.raises(DataError, match="expected some of each"):
            measure_control(wrong, yardstick)


def test_mixing_keeps_all_sentences():
    text = [[str(number)] for number in range(30)]
    assert mixed(text) == mixed(text) != text and sorted(mixed(text)) == sorted(text)


def test_a_saved_language_model_gives_the_same_perplexity(tmp_path):
    text = reviews(60, 4).sentences
    model = train_language_model(text[:40], text[40:], TINY, vocabulary=Vocabulary.build(text))
    save_language_model(model, tmp_path / "lm.safetensors", {"sentences": 40})
    again, about = load_language_model(tmp_path / "lm.safetensors")
    assert about == {"sentences": 40} and again.vocabulary == model.vocabulary
    assert perplexity(again, text) == perplexity(model, text)
    assert again.valid_perplexities == model.valid_perplexities
    trained().save(tmp_path / "judge.safetensors")
    with pytest.raises(ModelFolderError, match="not a language model"):
        load_language_model(tmp_path / "judge.safetensors")
