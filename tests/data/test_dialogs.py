"""Turns of dialogs with the turns before them: contexts, batches, speaker marks, all checked by hand."""

from dataclasses import replace

import pytest

from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.dialogs import DialogSplit, mark_speakers, without_mark
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError, DataError

VOCABULARY = Vocabulary(["a", "b", "c", "d", "e"])
END = VOCABULARY.END
#: Two dialogs, of four turns and of one.
TURNS = Split([["a"], ["b", "b"], ["c"], ["d", "d", "d"], ["e"]], dialogs=[0, 0, 0, 0, 1])


def contexts(batch):
    """Words of the turns before each row, read off the packed batch as the networks do."""
    found = {}
    begin = 0
    for size in batch.turn_sizes.tolist():
        for place, turn in enumerate(batch.turns[begin : begin + size].tolist()):
            words = batch.context.targets[batch.context.rows == turn].tolist()
            found.setdefault(place, []).append(words)
        begin += size
    return [found[place] for place in batch.places.tolist()]


def ids(words):
    return [*VOCABULARY.encode(words), END]


def test_contexts_are_the_turns_before():
    batch = DialogSplit.from_split(TURNS, VOCABULARY).collate([0, 1, 2, 3, 4])
    assert batch.indices.tolist() == [3, 1, 0, 2, 4]  # longest response first
    expected = {
        3: [ids("a"), ids("bb"), ids("c")],
        1: [ids("a")],
        0: [[END]],  # a dialog begins: the empty turn
        2: [ids("a"), ids("bb")],
        4: [[END]],
    }
    assert contexts(batch) == [expected[i] for i in batch.indices.tolist()]
    assert batch.turn_sizes.tolist() == [5, 2, 1]
    assert batch.context.n_sentences == 4  # a, bb, c and the empty turn, each once however often it is needed
    assert (
        batch.targets.tolist() == EncodedSplit.from_split(TURNS, VOCABULARY).collate([0, 1, 2, 3, 4]).targets.tolist()
    )


def test_contexts_have_a_limit():
    split = DialogSplit.from_split(TURNS, VOCABULARY, n_turns=2)
    assert [list(split.context(i)) for i in range(5)] == [[], [0], [0, 1], [1, 2], []]
    assert contexts(split.collate([3, 4])) == [[ids("bb"), ids("c")], [[END]]]


def test_one_turn_many_times():
    batch = DialogSplit.from_split(TURNS, VOCABULARY).collate([2, 2, 2])
    assert contexts(batch) == [[ids("a"), ids("bb")]] * 3


def test_moving_a_batch_leaves_sizes_on_the_cpu():
    batch = DialogSplit.from_split(TURNS, VOCABULARY).collate([0, 3]).to("meta")
    assert {t.device.type for t in (batch.batch_sizes, batch.turn_sizes, batch.context.batch_sizes)} == {"cpu"}
    assert {t.device.type for t in (batch.targets, batch.turns, batch.places, batch.context.targets)} == {"meta"}


def test_a_corpus_without_dialogs_is_refused():
    with pytest.raises(DataError, match="the corpus has no dialogs"):
        DialogSplit.from_split(Split([["a"]]), VOCABULARY)


def test_repeated_rows_keep_their_context():
    split = DialogSplit.from_split(TURNS, VOCABULARY)
    batch = split.collate([1, 4, 3])
    repeated = batch.repeat(3)
    expected = [context for context in contexts(batch) for _ in range(3)]
    assert repeated.indices.tolist() == [index for index in batch.indices.tolist() for _ in range(3)]
    assert contexts(repeated) == expected


def test_speaker_marks():
    split = replace(TURNS, labels={"speaker": ["driver", "assistant", "driver", "assistant", "driver"]})
    marked = mark_speakers(Corpus("talk", split, split, split)).test.sentences
    assert marked[1] == ["<assistant>", "b", "b"] and marked[4] == ["<driver>", "e"]
    assert [without_mark(sentence) for sentence in marked] == TURNS.sentences
    assert without_mark(["<unk>", "a"]) == ["<unk>", "a"] and without_mark([]) == []
    with pytest.raises(ConfigError, match="corpus talk has no label speaker"):
        mark_speakers(Corpus("talk", TURNS, TURNS, TURNS))
