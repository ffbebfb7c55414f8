"""Text that is encoded into files is the same text: splits, words, ids, notes; killed encodings are taken up."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from svebm_ext.data import EncodedSplit, Vocabulary, load_text
from svebm_ext.data import text_encoding as encoding
from svebm_ext.data.corpus import texts_digest
from svebm_ext.data.examples import Reading
from svebm_ext.data.mapped_lists import MappedTexts, MappedTokens
from svebm_ext.data.mapped_text import Mapping, cache_folder, map_text
from svebm_ext.data.ragged import Ragged
from svebm_ext.data.token_lists import TokenLists
from svebm_ext.data.word_numbers import WordNumbers
from svebm_ext.errors import ConfigError, DataError

WORDS = ["Größe", "it's", "cat", "dog", "the", "runs", "😀", "x" * 300, "blue", "over", "Käse", "ไทย"]


def write_lines(path, n=3000, seed=0):
    rng = random.Random(seed)
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) + rng.choice([".", "", "!"]) for _ in range(n)]
    lines[5::40] = ["The same line again."] * len(lines[5::40])
    path.write_text("\n".join(lines) + "\n")
    return path


def both(path, cache, **options):
    return [load_text(path, memory_map=mode, cache=cache, **options) for mode in ("never", "always")]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(encoding, "BLOCK", 700)


@pytest.mark.parametrize("tokenization", ["words", "whitespace", "bpe"])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_corpus_is_that_of_memory(tokenization, seed, tmp_path):
    path = write_lines(tmp_path / "own.txt")
    held, mapped = both(path, tmp_path / "cache", tokenization=tokenization, seed=seed, vocabulary_size=600)
    assert isinstance(mapped.train.sentences, MappedTokens)
    assert isinstance(mapped.train.texts, MappedTexts)
    assert texts_digest(held) == texts_digest(mapped)
    assert held.notes == mapped.notes
    assert any("also occur in the training split" in note for note in held.notes)
    for own, other in ((held.train, mapped.train), (held.valid, mapped.valid), (held.test, mapped.test)):
        assert list(own.sentences) == list(other.sentences)
        assert list(own.texts) == list(other.texts)
        assert own.texts[3] == other.texts[3]
        assert own.sentences[-1] == other.sentences[-1]
        assert list(own.sentences[7:2:-2]) == list(other.sentences[7:2:-2])
    written = [corpus.writing.merges if tokenization == "bpe" else corpus.writing for corpus in (held, mapped)]
    assert written[0] == written[1]
    vocabularies = [Vocabulary.build(corpus.train.sentences, 9) for corpus in (held, mapped)]
    assert vocabularies[0] == vocabularies[1]
    first, second = (EncodedSplit.from_split(c.train, vocabularies[0], 6) for c in (held, mapped))
    assert second.targets.dtype == torch.int32
    assert first.n_truncated == second.n_truncated > 0
    assert first.fingerprint() == second.fingerprint()
    for rows in ([0], [5, 3, 2000, 5], range(100)):
        batches = first.collate(rows), second.collate(rows)
        for name in ("inputs", "targets", "batch_sizes", "rows", "positions", "lengths", "indices", "labels"):
            assert torch.equal(*(getattr(batch, name) for batch in batches)), name
            assert getattr(batches[1], name).dtype == torch.int64
    rows = torch.tensor([0, 4, 2399, 2400, 2500])
    assert first.part_of_both(second, rows).fingerprint() == first.followed_by(first).part(rows).fingerprint()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_tables_are_read_as_in_memory(suffix, tmp_path):
    texts = write_lines(tmp_path / "own.txt", 900).read_text().splitlines()
    path = tmp_path / f"own{suffix}"
    if suffix == ".csv":
        path.write_text("id,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(texts)))
    else:
        path.write_text("".join(json.dumps({"text": text, "n": i}) + "\n" for i, text in enumerate(texts)))
    held, mapped = both(path, tmp_path / "cache")
    assert texts_digest(held) == texts_digest(mapped)
    assert held.notes == mapped.notes


def test_files_of_their_own_are_mapped_as_well(tmp_path):
    for number, name in enumerate(("train", "valid", "test")):
        write_lines(tmp_path / f"{name}.txt", 800, number)
    files = [tmp_path / f"{name}.txt" for name in ("train", "valid", "test")]
    held, mapped = (load_text(*files, memory_map=mode, cache=tmp_path / "cache") for mode in ("never", "always"))
    assert texts_digest(held) == texts_digest(mapped)
    assert held.notes == mapped.notes


def test_lines_that_are_left_out_are_counted_alike(tmp_path):
    path = write_lines(tmp_path / "own.txt", 900)
    lines = path.read_text().splitlines()
    for place in (3, 4, 800, 899):
        lines[place] = " \u00ad " if place == 4 else ""
    path.write_text("\n".join(lines) + "\n\n")
    held, mapped = both(path, tmp_path / "cache")
    assert held.notes == mapped.notes
    assert f"{path}: 5 empty lines left out" in held.notes
    for mode in ("never", "always"):
        with pytest.raises(
            DataError, match=r"own\.txt:4: empty line; delete it, or leave it out by --data\.empty-lines skip"
        ):
            load_text(path, memory_map=mode, cache=tmp_path / "cache", empty_lines="error")
    lines[3], lines[4] = "a", "b"
    path.write_text("\n".join(lines[:800]) + "\n\n")
    for mode in ("never", "always"):
        with pytest.raises(DataError, match=r"own\.txt:801: empty line"):
            load_text(path, memory_map=mode, cache=tmp_path / "cache", empty_lines="error")
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_it_is_encoded_once_by_content_and_options(tmp_path, monkeypatch):
    path, cache = write_lines(tmp_path / "own.txt", 900), tmp_path / "cache"
    load_text(path, memory_map="always", cache=cache)
    (folder,) = (entry for entry in cache.iterdir() if entry.is_dir())
    moved = path.rename(tmp_path / "moved.txt")

    def refuse(*_, **__):
        raise AssertionError("encoded again")

    with monkeypatch.context() as patched:
        patched.setattr("svebm_ext.data.mapped_text.encode", refuse)
        load_text(moved, memory_map="always", cache=cache, seed=5)
        for changes in ({"lowercase": False}, {"tokenization": "whitespace"}, {"empty_lines": "error"}):
            with pytest.raises(AssertionError, match="encoded again"):
                load_text(moved, memory_map="always", cache=cache, **changes)
        with monkeypatch.context() as other, pytest.raises(AssertionError, match="encoded again"):
            other.setattr("svebm_ext.data.mapped_text._program", lambda: ["another tokeniser"])
            load_text(moved, memory_map="always", cache=cache)
        moved.write_text(moved.read_text() + "one more\n")
        with pytest.raises(AssertionError, match="encoded again"):
            load_text(moved, memory_map="always", cache=cache)
    # a damaged folder is encoded again
    write_lines(moved, 900)
    (folder / encoding.TOKENS).write_bytes(b"\0" * 8)
    held, mapped = both(moved, cache)
    assert list(held.train.sentences) == list(mapped.train.sentences)


def test_notes_name_the_file_as_it_is_called_now(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("id,text\n" + "".join(f"{i},line number {i} is here\n" for i in range(50)))
    load_text(path, memory_map="always", cache=tmp_path / "cache")
    moved = path.rename(tmp_path / "other.csv")
    held, mapped = both(moved, tmp_path / "cache")
    assert held.notes == mapped.notes
    assert "other.csv: text from column" in held.notes[0]


def test_auto_takes_large_files_without_labels(tmp_path, monkeypatch):
    path, options = write_lines(tmp_path / "own.txt", 600), {"cache": tmp_path / "cache"}
    labelled = tmp_path / "own.tsv"
    labelled.write_text("".join(f"{'ab'[i % 2]}\tline {i} of it\n" for i in range(600)))
    assert isinstance(load_text(path, **options).train.sentences, TokenLists)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr("svebm_ext.data.mapped_text.LARGE", 1000)
    assert isinstance(load_text(path, **options).train.sentences, MappedTokens)
    assert not isinstance(load_text(path, memory_map="never", **options).train.sentences, MappedTokens)
    corpus = load_text(labelled, **options)
    assert not isinstance(corpus.train.sentences, MappedTokens)
    assert set(corpus.train.labels["label"]) == {"a", "b"}
    assert isinstance(load_text(labelled, label_column="0", **options).train.sentences, MappedTokens)
    folder = tmp_path / "documents"
    folder.mkdir()
    for i in range(20):
        (folder / f"{i}.txt").write_text("a document " * 100)
    assert not isinstance(load_text(folder, **options).train.sentences, MappedTokens)
    for given, message in (
        (labelled, r"own\.tsv has labels, which are read in memory"),
        (folder, "is a folder of documents"),
        ("-", "standard input can be read only once"),
        (["some", "texts"], "train is data in memory"),
    ):
        with pytest.raises(ConfigError, match=f"always given, but .*{message}"):
            load_text(given, memory_map="always", **options)
    with pytest.raises(ConfigError, match="always given, but text with labels"):
        load_text(path, labelled=labelled, memory_map="always", **options)


def test_the_cache_folder_is_that_of_the_option_or_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SVEBM_CACHE", str(tmp_path / "of-environment"))
    assert cache_folder(tmp_path / "own") == tmp_path / "own"
    assert cache_folder() == tmp_path / "of-environment"
    monkeypatch.delenv("SVEBM_CACHE")
    assert cache_folder().name == "texts"


#: Encodes a file in a process of its own, in blocks of 500 lines, slowly.
PROGRAM = """
import sys, time
from svebm_ext.data import load_text, text_encoding
text_encoding.BLOCK = 500
commit = text_encoding.GrowingFiles.commit
def slow(self, note):
    commit(self, note)
    time.sleep(0.2)
text_encoding.GrowingFiles.commit = slow
load_text(sys.argv[1], memory_map="always", cache=sys.argv[2], tokenization=sys.argv[3])
"""


@pytest.mark.parametrize("tokenization", ["words", "bpe"])
def test_a_killed_encoding_is_taken_up_at_its_last_block(tokenization, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(encoding, "BLOCK", 500)
    path = f"{write_lines(tmp_path / 'a.txt', 2200)},{write_lines(tmp_path / 'b.txt', 2600, 1)}"
    cache, whole = tmp_path / "cache", tmp_path / "whole"
    command = [sys.executable, "-c", PROGRAM, path, str(cache), tokenization]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while _lines_done(cache) < 2500 and time.monotonic() < deadline:  # into the second file
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    n_done = _lines_done(cache)
    assert 2500 <= n_done < 4800
    (partial,) = cache.glob("*.partial")
    for name in (encoding.TEXTS, encoding.TEXT_ENDS):  # a block that was not whole
        with open(partial / name, "ab") as file:
            file.write(b"half of a block")
    resumed = load_text(path, memory_map="always", cache=cache, tokenization=tokenization)
    assert f"encoding goes on after {n_done:,} lines" in capfd.readouterr().err
    assert not list(cache.rglob("*.partial"))
    assert not list(cache.rglob(encoding.STATE))
    expected = load_text(path, memory_map="always", cache=whole, tokenization=tokenization)
    assert texts_digest(resumed) == texts_digest(expected)
    assert resumed.notes == expected.notes
    files = sorted(file.relative_to(whole) for file in whole.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(cache) for file in cache.rglob("*") if file.is_file())
    for file in files:
        assert (cache / file).read_bytes() == (whole / file).read_bytes(), file


class Killed(Exception):
    """An encoding ends here, as by a kill."""


@pytest.mark.parametrize("at", [1, 3, 5, "end"])
def test_an_encoding_that_forgets_words_goes_on_as_if_it_had_not_stopped(at, tmp_path, monkeypatch):
    monkeypatch.setattr("svebm_ext.data.word_numbers.LEAST_KNOWN", 500)
    rng = random.Random(0)
    path = tmp_path / "own.txt"
    lines = [" ".join([*rng.choices(WORDS, k=4), f"rare{i // 2}", f"now{i // 600}"]) for i in range(3600)]
    path.write_text("\n".join(lines) + "\n")
    commit, n_read, tokenize = encoding.GrowingFiles.commit, [], encoding._Block.words_of

    def stop(self, note):
        commit(self, note)
        if note["n"] == 700 * at:
            raise Killed

    def count(self, given, words, source):
        return tokenize(self, given, lambda text: n_read.append(text) or words(text), source)

    with monkeypatch.context() as patched:
        if at == "end":
            patched.setattr(encoding, "sync_folder", lambda _: None)
            patched.setattr(encoding.os, "rename", lambda *_: (_ for _ in ()).throw(Killed))
        else:
            patched.setattr(encoding.GrowingFiles, "commit", stop)
        with pytest.raises(Killed):
            load_text(path, memory_map="always", cache=tmp_path / "cache", vocabulary_size=100)
    monkeypatch.setattr(encoding._Block, "words_of", count)
    load_text(path, memory_map="always", cache=tmp_path / "cache", vocabulary_size=100)
    assert len(n_read) == (0 if at == "end" else 3600 - 700 * at)  # what was encoded is not encoded again
    load_text(path, memory_map="always", cache=tmp_path / "whole", vocabulary_size=100)
    (first,), (second,) = ((tmp_path / name).glob(f"*/{encoding.ABOUT}") for name in ("cache", "whole"))
    names = sorted(file.name for file in first.parent.iterdir())
    assert encoding.RENUMBERED in names
    assert names == sorted(file.name for file in second.parent.iterdir())
    for name in names:
        assert (first.parent / name).read_bytes() == (second.parent / name).read_bytes(), name


def _lines_done(cache):
    for state in cache.glob(f"*.partial/{encoding.STATE}"):
        try:
            return json.loads(state.read_text())["note"]["n"]
        except (OSError, ValueError, KeyError):
            return 0
    return 0


def test_rare_words_are_forgotten_where_there_are_too_many():
    known = WordNumbers(4)
    first, _ = known.block([["a", "a", "b"], ["c", "a", "b"]])
    assert first.tolist() == [0, 0, 1, 2, 0, 1]
    assert not known.forget()
    second, _ = known.block([["d", "e", "a"], ["b"]])
    assert second.tolist() == [3, 4, 0, 1]
    assert known.forget()  # five words; of the counts 4, 3, 1, 1, 1 those above the second largest stay
    assert [word for _, word in known.words()] == ["a"]
    third, _ = known.block([["e", "a", "f"]])
    assert third.tolist() == [5, 0, 6]  # a word that comes again has another number
    everything = np.concatenate((first, second, third))
    assert known.places(everything).tolist() == [0, 0, 3, 3, 0, 3, 3, 3, 0, 3, 1, 0, 2]


def test_texts_of_many_rare_words_keep_the_vocabulary(tmp_path, monkeypatch):
    monkeypatch.setattr("svebm_ext.data.word_numbers.LEAST_KNOWN", 1000)
    rng = random.Random(0)
    usual = [f"word{i}" for i in range(50)]
    path = tmp_path / "own.txt"
    path.write_text("".join(" ".join([*rng.choices(usual, k=5), f"rare{i}"]) + "\n" for i in range(6000)))
    held, mapped = both(path, tmp_path / "cache", vocabulary_size=50)
    vocabularies = [Vocabulary.build(corpus.train.sentences, 50) for corpus in (held, mapped)]
    assert vocabularies[0] == vocabularies[1]
    first, second = (EncodedSplit.from_split(c.train, vocabularies[0]) for c in (held, mapped))
    assert first.fingerprint() == second.fingerprint()
    assert len(set(mapped.train.sentences.counts())) < 2100 < len(set(held.train.sentences.counts()))
    assert mapped.train.sentences.counts()["<unk>"] > 2000
    assert not list((tmp_path / "cache").rglob("known-*"))


def test_ragged_files_are_read_by_any_rows(tmp_path):
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 99, rng.integers(0, 6)).astype(np.int32) for _ in range(50_000)]
    np.concatenate(lists).tofile(tmp_path / "numbers")
    np.cumsum([len(numbers) for numbers in lists]).astype(np.int64).tofile(tmp_path / "ends")
    ragged = Ragged(tmp_path / "numbers", tmp_path / "ends", np.int32, len(lists))
    for rows in (
        range(0, 30), range(49_990, 50_000), range(0, 50_000, 997), np.array([49_999, 0, 3, 3]), np.array([], np.int64),
        np.arange(0, 50_000, 7)[::-1],
    ):  # fmt: skip
        flat, lengths = ragged.read(rows)
        chosen = [lists[i] for i in rows]
        assert flat.tolist() == [int(i) for numbers in chosen for i in numbers]
        assert lengths.tolist() == [len(numbers) for numbers in chosen] == ragged.lengths(rows).tolist()
    with pytest.raises(IndexError):
        ragged.read(np.array([50_000]))
    os.truncate(tmp_path / "numbers", 100)
    with pytest.raises(DataError, match="shorter than it was"):
        ragged.read(range(40_000, 40_010))


def test_several_processes_encode_once(tmp_path):
    path, cache = write_lines(tmp_path / "own.txt", 2000), tmp_path / "cache"
    command = [sys.executable, "-c", PROGRAM, str(path), str(cache), "words"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert len([entry for entry in cache.iterdir() if entry.is_dir()]) == 1


def test_map_text_leaves_small_files_alone(tmp_path):
    path = write_lines(tmp_path / "own.txt", 100)
    assert map_text(path, Reading(), "words", True, Mapping()) is None


def test_a_cache_that_is_no_folder_is_named(tmp_path, monkeypatch):
    path, file = write_lines(tmp_path / "own.txt", 900), tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match=r"^data\.cache: .*file is a file; expected a folder"):
        load_text(path, memory_map="always", cache=file)
    with pytest.raises(ConfigError, match=r"^data\.cache: .*cannot be made \(Not a directory\)"):
        load_text(path, memory_map="always", cache=file / "deeper")
    monkeypatch.setenv("SVEBM_CACHE", str(file))
    with pytest.raises(ConfigError, match=r"^SVEBM_CACHE: .*file is a file"):
        load_text(path, memory_map="always")
