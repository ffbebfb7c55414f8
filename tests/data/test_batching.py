import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from svebm_ext.data import (
    BatchOrder,
    EncodedSplit,
    Split,
    Vocabulary,
    collate,
    evaluation_batches,
    label_classes,
    padding_fraction,
)
from svebm_ext.errors import DataError

WORDS = ["a", "b", "c", "d", "e"]
VOCABULARY = Vocabulary(WORDS)
texts = st.lists(st.lists(st.sampled_from(WORDS), max_size=12), min_size=1, max_size=20)


@given(texts, st.data())
def test_collate_equals_pack_padded_sequence(text, data):
    max_tokens = data.draw(st.integers(2, 14))
    dataset = EncodedSplit.from_split(Split(text), VOCABULARY, max_tokens=max_tokens)
    indices = data.draw(st.lists(st.integers(0, len(text) - 1), min_size=1, max_size=30))
    batch = collate(dataset, indices)

    sentences = [VOCABULARY.encode(text[i])[: max_tokens - 2] for i in indices]
    order = sorted(range(len(indices)), key=lambda row: -len(sentences[row]))
    inputs = [torch.tensor([VOCABULARY.BEGIN, *sentences[row]]) for row in order]
    targets = [torch.tensor([*sentences[row], VOCABULARY.END]) for row in order]
    lengths = torch.tensor([len(t) for t in targets])
    expected_inputs = pack_padded_sequence(pad_sequence(inputs), lengths)
    expected_targets = pack_padded_sequence(pad_sequence(targets), lengths)
    assert torch.equal(batch.inputs, expected_inputs.data)
    assert torch.equal(batch.targets, expected_targets.data)
    assert torch.equal(batch.batch_sizes, expected_inputs.batch_sizes)
    assert torch.equal(batch.lengths, lengths)
    assert batch.indices.tolist() == [indices[row] for row in order]
    assert (batch.n_sentences, batch.n_tokens) == (len(indices), int(lengths.sum()))
    # rows and positions put every packed value back where it came from.
    for row in range(batch.n_sentences):
        mine = batch.rows == row
        assert batch.positions[mine].tolist() == list(range(int(lengths[row])))
        assert torch.equal(batch.targets[mine], targets[row])


def test_packed_batch_runs_through_a_recurrent_network():
    text = [["a", "b", "c"], ["d"], []]
    batch = collate(EncodedSplit.from_split(Split(text), VOCABULARY), [2, 0, 1])
    torch.manual_seed(0)
    embedding, gru = torch.nn.Embedding(len(VOCABULARY), 3), torch.nn.GRU(3, 4)
    output, _ = gru(batch.packed(embedding(batch.inputs)))
    alone, _ = gru(embedding(torch.tensor([2, *VOCABULARY.encode(text[0])])).unsqueeze(1))
    torch.testing.assert_close(output.data[batch.rows == 0], alone[:, 0])


def test_truncation_keeps_the_end_token():
    dataset = EncodedSplit.from_split(Split([["a"] * 10, ["b"] * 3, ["c"] * 4]), VOCABULARY, max_tokens=5)
    assert dataset.n_truncated == 2
    assert dataset.words(0) == VOCABULARY.encode(["a"] * 3)
    batch = collate(dataset, [0])
    assert batch.targets.tolist() == [4, 4, 4, VOCABULARY.END]
    assert batch.inputs.tolist() == [VOCABULARY.BEGIN, 4, 4, 4]
    with pytest.raises(DataError, match="max_tokens must be at least 2"):
        EncodedSplit.from_split(Split([["a"]]), VOCABULARY, max_tokens=1)


def test_labels_follow_their_sentences():
    split = Split([["a"], ["a", "b"], ["c"]], {"act": ["ask", "", "tell"]})
    dataset = EncodedSplit.from_split(split, VOCABULARY, label="act", classes=label_classes([split], "act"))
    assert dataset.classes == ("ask", "tell")
    batch = collate(dataset, [0, 1, 2])
    assert batch.indices.tolist() == [1, 0, 2]
    assert batch.labels.tolist() == [-1, 0, 1]
    assert EncodedSplit.from_split(split, VOCABULARY).labels.tolist() == [-1, -1, -1]
    with pytest.raises(DataError, match=r"no label named 'mood'.*act"):
        EncodedSplit.from_split(split, VOCABULARY, label="mood")
    with pytest.raises(DataError, match="'tell'; expected one of ask"):
        EncodedSplit.from_split(split, VOCABULARY, label="act", classes=["ask"])
    with pytest.raises(DataError, match="no label named 'mood'"):
        label_classes([split], "mood")


def test_split_rejects_lists_of_other_lengths():
    with pytest.raises(DataError, match="label 'act' has 1 values for 2 sentences"):
        Split([["a"], ["b"]], {"act": ["ask"]})
    with pytest.raises(DataError, match="1 dialog numbers for 2 sentences"):
        Split([["a"], ["b"]], dialogs=[0])


def test_previous_turns_stay_within_the_dialog():
    split = Split([["a"]] * 6, dialogs=[0, 0, 1, 1, 1, 1])
    assert split.previous_turns(0) == []
    assert split.previous_turns(1) == [0]
    assert split.previous_turns(2) == []
    assert split.previous_turns(5) == [2, 3, 4]
    assert split.previous_turns(5, limit=2) == [3, 4]
    assert Split([["a"]] * 2).previous_turns(1) == []


def test_indices_outside_the_dataset():
    dataset = EncodedSplit.from_split(Split([["a"], ["b"]]), VOCABULARY)
    for wrong in ([2], [-1]):
        with pytest.raises(DataError, match="sentence index outside 0 to 1"):
            collate(dataset, wrong)
    empty = collate(dataset, [])
    assert (empty.n_sentences, empty.n_tokens, len(empty.batch_sizes)) == (0, 0, 0)


def test_moving_a_batch_leaves_batch_sizes_on_the_cpu():
    batch = collate(EncodedSplit.from_split(Split([["a"], ["b"]]), VOCABULARY), [0, 1]).to("meta")
    assert batch.batch_sizes.device.type == "cpu"
    assert {t.device.type for t in (batch.inputs, batch.targets, batch.rows, batch.lengths, batch.labels)} == {"meta"}


lengths_lists = st.lists(st.integers(1, 40), min_size=1, max_size=200)
seeds = st.integers(0, 2**64 - 1)


@given(lengths_lists, st.integers(1, 32), seeds, st.integers(1, 5), st.integers(0, 1000))
def test_every_sentence_once_an_epoch(lengths, batch_size, seed, window, epoch):
    order = BatchOrder(lengths, batch_size, seed, window=window)
    per_epoch = order.batches_per_epoch
    batches = [order.batch(epoch * per_epoch + i) for i in range(per_epoch)]
    assert order.epoch(epoch * per_epoch + per_epoch - 1) == epoch
    assert sorted(torch.cat(batches).tolist()) == list(range(len(lengths)))
    sizes = sorted((len(b) for b in batches), reverse=True)
    assert sizes[:-1] == [batch_size] * (per_epoch - 1)
    assert sizes[-1] == len(lengths) - batch_size * (per_epoch - 1)


@given(lengths_lists, st.integers(1, 32), seeds, st.integers(1, 5), st.lists(st.integers(0, 300), max_size=6))
def test_a_batch_depends_on_seed_and_step_alone(lengths, batch_size, seed, window, steps):
    one = BatchOrder(lengths, batch_size, seed, window=window)
    straight = {step: one.batch(step) for step in sorted(steps)}
    for step in steps:
        assert torch.equal(BatchOrder(lengths, batch_size, seed, window=window).batch(step), straight[step])
        assert torch.equal(one.batch(step), straight[step])


@given(lengths_lists, st.integers(1, 32), seeds, st.integers(1, 5), st.integers(0, 300))
def test_slices_of_the_processes_partition_the_global_batch(lengths, batch_size, seed, world, step):
    whole = BatchOrder(lengths, batch_size, seed).batch(step).tolist()
    parts = [BatchOrder(lengths, batch_size, seed, rank=r, world=world).batch(step).tolist() for r in range(world)]
    for rank, part in enumerate(parts):
        assert part == whole[rank::world]
    assert sorted(i for part in parts for i in part) == sorted(whole)


def test_seeds_and_epochs_differ():
    lengths = list(range(1, 41)) * 5
    first = BatchOrder(lengths, 8, seed=0)
    epoch = [[first.batch(e * 25 + i).tolist() for i in range(25)] for e in range(2)]
    other = BatchOrder(lengths, 8, seed=1)
    assert epoch[0] != epoch[1] != [other.batch(i).tolist() for i in range(25)]


def test_order_is_the_same_in_every_version():
    # Written down once: a run must resume with the same order after numpy or torch is upgraded.
    order = BatchOrder([5, 3, 9, 1, 7, 2, 8], batch_size=3, seed=7, window=2)
    assert [order.batch(i).tolist() for i in range(3, 9)] == [[0], [3, 5, 1], [4, 6, 2], [2], [0, 4, 6], [3, 5, 1]]


def test_uniform_without_windows():
    """With window 1 each sentence is equally likely at each place (chi-square over 1,500 epochs)."""
    from scipy.stats import chisquare

    order = BatchOrder([1, 2, 3, 4, 5, 6], batch_size=2, seed=3, window=1)
    counts = torch.zeros(3, 6)
    for step in range(3 * 1500):
        counts[step % 3, order.batch(step)] += 1
    assert chisquare(counts.flatten().numpy()).pvalue > 1e-4


def test_smaller_batch_does_not_always_hold_the_longest():
    lengths = list(range(1, 11))
    order = BatchOrder(lengths, batch_size=3, seed=0)
    singles = {tuple(b.tolist()) for b in map(order.batch, range(200)) if len(b) == 1}
    assert singles == {(0,), (3,), (6,), (9,)}


@given(lengths_lists, st.integers(1, 32))
def test_evaluation_drops_nothing(lengths, batch_size):
    batches = evaluation_batches(lengths, batch_size)
    flat = torch.cat(batches).tolist()
    assert sorted(flat) == list(range(len(lengths)))
    assert [lengths[i] for i in flat] == sorted(lengths, reverse=True)
    assert all(len(b) == batch_size for b in batches[:-1])


def test_padding_fraction_by_hand():
    assert padding_fraction([[4, 2], [3, 3, 3]]) == pytest.approx(2 / 17)
    assert padding_fraction([]) == 0.0
    assert evaluation_batches([], 3) == []


def test_sorting_leaves_little_padding():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(2, 40, (20_000,), generator=generator)

    def padding(window):
        order = BatchOrder(lengths, 30, seed=1, window=window)
        return padding_fraction(lengths[order.batch(i)] for i in range(order.batches_per_epoch))

    assert padding(100) < 0.02 < 0.4 < padding(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(lengths=[], batch_size=2, seed=0), "no sentences"),
        (dict(lengths=[1], batch_size=0, seed=0), "batch_size and window"),
        (dict(lengths=[1], batch_size=1, seed=0, window=0), "batch_size and window"),
        (dict(lengths=[1], batch_size=1, seed=-1), "seed"),
        (dict(lengths=[1], batch_size=1, seed=2**64), "seed"),
        (dict(lengths=[1], batch_size=1, seed=0, rank=2, world=2), "rank"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(DataError, match=message):
        BatchOrder(**arguments)
    with pytest.raises(DataError, match="step"):
        BatchOrder([1], 1, 0).batch(-1)
    with pytest.raises(DataError, match="batch_size"):
        evaluation_batches([1], 0)


def test_collate_is_fast():
    generator = torch.Generator().manual_seed(0)
    text = [["a"] * int(n) for n in torch.randint(1, 38, (2000,), generator=generator)]
    dataset = EncodedSplit.from_split(Split(text), VOCABULARY)
    order = BatchOrder(dataset.lengths, 128, seed=0)
    order.batch(0)
    seconds = []
    for step in range(15):
        start = time.perf_counter()
        collate(dataset, order.batch(step))
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 5e-3


def test_a_part_of_a_split_is_its_sentences():
    split = Split([["a", "b"], ["c"], ["a", "c", "b"], ["b"]], {"label": ["x", "", "y", "x"]})
    whole = EncodedSplit.from_split(split, Vocabulary.build(split.sentences), label="label")
    rows = torch.tensor([2, 0, 3])
    part = whole.part(rows)
    assert [part.words(i) for i in range(3)] == [whole.words(i) for i in rows.tolist()]
    assert part.labels.tolist() == whole.labels[rows].tolist() and part.classes == whole.classes
    assert len(whole.part(torch.arange(0))) == 0
    both = part.followed_by(whole)
    assert [both.words(i) for i in range(7)] == [
        split_.words(i) for split_ in (part, whole) for i in range(len(split_))
    ]
    assert both.labels.tolist() == [*part.labels.tolist(), *whole.labels.tolist()]
