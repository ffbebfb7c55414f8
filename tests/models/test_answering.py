"""Answers by threads, in order; texts read in chunks; names of symbols."""

import itertools
import json
import threading
import time

import pytest
import torch
from tiny_runs import OBJECTS, SUBJECTS, VERBS, tiny_model

from svebm_ext.errors import ConfigError, DataError
from svebm_ext.models import reading
from svebm_ext.models.answering import Answerer, Novelty, in_threads
from svebm_ext.models.reading import chunks_of
from svebm_ext.models.symbol_names import SymbolNames

TEXTS = [f"{a} {b} {c}" for c in OBJECTS for b in VERBS for a in SUBJECTS]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.mark.parametrize("n_threads", [1, 2, 4])
@pytest.mark.parametrize("n", [0, 1, 2, 9])
def test_results_are_in_order_and_none_is_far_ahead(n_threads, n):
    begun, under_way, most = 0, 0, 0
    lock = threading.Lock()

    def items():
        nonlocal begun
        for i in range(n):
            begun += 1
            yield i

    def work(i):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02 * (i % 3))
        with lock:
            under_way -= 1
        return i, torch.get_num_threads()

    before = torch.get_num_threads()
    results = []
    for result, threads in in_threads(work, items(), n_threads):
        results.append(result)
        assert begun <= len(results) + n_threads + 2
        assert threads == (1 if n_threads > 1 and n > 1 else before)
    assert results == list(range(n)) and most <= n_threads and torch.get_num_threads() == before


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_what_comes_before_an_error_is_given_first(n_threads, n):
    def items():
        yield from range(n)
        raise DataError("wrong")

    results = []
    with pytest.raises(DataError, match="wrong"):
        results.extend(in_threads(lambda i: i, items(), n_threads))
    assert results == list(range(n))
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda i: 1 // i, iter([1, 0, 2]), n_threads))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("answers")]


def test_a_stopped_iteration_leaves_no_threads(model):
    results = in_threads(lambda i: i, iter(range(100)), 2)
    assert next(results) == 0
    results.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("answers")]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_chunks_and_batches_change_no_answer(model, monkeypatch, size):
    """Against one text at a time: probabilities, vectors and likelihoods, in order, of a list or of a generator."""
    alone = torch.cat([model.symbol_probabilities([text]) for text in TEXTS])
    vectors = torch.cat([model.encode([text]) for text in TEXTS])
    nll = torch.cat([model.nll([text], n_samples=3, log_z=0.5, first=i) for i, text in enumerate(TEXTS)])
    monkeypatch.setattr(reading, "BATCH", size)
    monkeypatch.setattr(reading.chunks_of, "__defaults__", (2 * size + 1, 0))
    for texts in (TEXTS, (text for text in TEXTS), [text.split() for text in TEXTS]):
        torch.testing.assert_close(model.symbol_probabilities(texts), alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.encode(TEXTS), vectors, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.nll(TEXTS, n_samples=3, log_z=0.5), nll, rtol=1e-5, atol=1e-4)
    answers = model.classify(iter(TEXTS))
    assert [answer.symbol for answer in answers] == alone.argmax(-1).tolist()


def test_a_generator_is_not_kept(model):
    """Chunks are asked for one after the other."""
    taken = 0

    def texts():
        nonlocal taken
        for text in TEXTS:
            taken += 1
            yield text

    chunks = chunks_of(model, texts(), size=10)
    assert [(chunk.start, len(chunk)) for chunk in (next(chunks), next(chunks))] == [(0, 10), (10, 10)]
    assert taken == 20
    with pytest.raises(DataError, match="text 101: empty, expected at least one word"):
        list(chunks_of(model, [*TEXTS, "the", " "], size=10))


def test_batches_have_sentences_of_one_length(model, monkeypatch):
    monkeypatch.setattr(reading, "BATCH", 10)
    lengths = [batch.lengths for batch in model.batches(TEXTS)]
    assert all(int(a.min()) >= int(b.max()) for a, b in itertools.pairwise(lengths))
    indices = torch.cat([batch.indices for batch in model.batches(TEXTS)])
    assert indices.sort().values.tolist() == list(range(len(TEXTS)))


def test_answers_are_those_of_the_model(model):
    answers, n_unknown = Answerer(model)([*TEXTS, "xyzzy"])
    assert [answer[:3] for answer in answers] == [one[:3] for one in model.classify([*TEXTS, "xyzzy"])]
    assert n_unknown == 1 and Answerer(model)([]) == ([], 0)
    novelty = Answerer(model, novelty=Novelty(0.5, 1.3))(TEXTS[5:])[0]
    with_start = Answerer(model, novelty=Novelty(0.5, 1.3))(TEXTS[5:], 5)[0]
    nll = model.nll(TEXTS, n_samples=4, log_z=0.5, proposal_scale=1.3)
    entropy = torch.distributions.Categorical(model.symbol_probabilities(TEXTS).double()).entropy()
    n_tokens = torch.tensor([len(text.split()) + 1 for text in TEXTS])  # all words are known
    expected = (nll / n_tokens + 2.0 * entropy)[5:].tolist()
    assert [one.novelty for one in with_start] == pytest.approx(expected, abs=1e-4)
    assert [one.novelty for one in novelty] != pytest.approx(expected, abs=1e-4)


def test_classes_are_sums_of_their_symbols():
    names = SymbolNames(("a", "b", "a", "", ""), frozenset({4}))
    p = torch.tensor([[0.25, 0.3, 0.2, 0.15, 0.1], [0.0, 0.1, 0.1, 0.2, 0.6], [0.1, 0.1, 0.15, 0.6, 0.05]])
    probability, symbol = names.most_probable(p)
    torch.testing.assert_close(probability, torch.tensor([0.45, 0.6, 0.6]))
    assert symbol.tolist() == [0, 4, 3]
    assert [names.label(k) for k in range(5)] == ["a", "b", "a", None, ""]
    assert names.classes() == [0, 1, 0, 2, 3]
    assert SymbolNames(("a",), frozenset({0})).label(0) == ""  # hidden, whatever its name


GOOD = {"format": 1, "symbols": {"3": {"name": " card \n lost"}, "1": {"name": "", "hidden": True}, "0": {}}}


def test_names_are_read(tmp_path):
    path = tmp_path / "symbols.json"
    path.write_text(json.dumps(GOOD))
    assert SymbolNames.load(path, 4) == SymbolNames(("", "", "", "card lost"), frozenset({1}))
    path.write_text('{"format": 1, "symbols": {}}')
    assert SymbolNames.load(path, 2).classes() == [0, 1]
    path.write_text('{"format": 1, "symbols": {"1": {"name": "x"}}}', encoding="utf-8-sig")  # as some editors save it
    assert SymbolNames.load(path, 2).names == ("", "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", r"no names of symbols; expected \{\"format\""),
        ("{", r"cannot be read as JSON"),
        ("", r"cannot be read as JSON"),
        ('{"symbols": {}}', r"format None; this program reads 1"),
        ('{"format": 2, "symbols": {}}', r"format 2; this program reads 1"),
        ('{"format": true, "symbols": {}}', r"format True; this program reads 1"),
        ('{"format": 1, "symbols": []}', r"no names of symbols"),
        ('{"format": 1, "symbols": {}, "names": {}}', r"unknown key 'names'; "),
        ('{"format": 1, "symbols": {"4": {"name": "x"}}}', r"symbol '4' is none of this model, whose .* are 0 .. 3"),
        ('{"format": 1, "symbols": {"-1": {"name": "x"}}}', r"symbol '-1' is none"),
        ('{"format": 1, "symbols": {"01": {"name": "x"}}}', r"symbol '01' is none"),
        ('{"format": 1, "symbols": {"\u0663": {"name": "x"}}}', r"is none"),
        ('{"format": 1, "symbols": {"99999999999999999999": {"name": "x"}}}', r"is none"),
        ('{"format": 1, "symbols": {"1": "x"}}', r"symbol 1: str given, expected"),
        ('{"format": 1, "symbols": {"1": {"name": 3}}}', r"symbol 1: name 3, hidden False; expected a text"),
        ('{"format": 1, "symbols": {"1": {"hidden": "yes"}}}', r"symbol 1: name '', hidden 'yes'"),
        ('{"format": 1, "symbols": {"1": {"hiden": true}}}', r"symbol 1: unknown key 'hiden'; did you mean hidden"),
        ('{"format": 1, "symbols": {"1": {"name": "a\\u001b[31m"}}}', r"characters that are not seen"),
        ('{"format": 1, "symbols": {"1": {"name": "a\\u0007"}}}', r"characters that are not seen"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "symbols.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message) as raised:
        SymbolNames.load(path, 4)
    assert str(raised.value).startswith(str(path))
    with pytest.raises(DataError, match="gone: no such file"):
        SymbolNames.load(tmp_path / "gone", 4)


def test_a_model_has_to_have_symbols_without_names():
    with pytest.raises(ConfigError, match="has no symbols"):
        Answerer(tiny_model(objective={"mutual_information": 0.0}, latent="gaussian"))
    labelled = tiny_model(label_names=list("abcde"))
    with pytest.raises(ConfigError, match="symbols: this model has learnt labels"):
        Answerer(labelled, SymbolNames(("",) * 5))
    assert {answer.label for answer in Answerer(labelled)(TEXTS)[0]} <= set("abcde")
