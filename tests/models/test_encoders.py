"""Encoders against torch's own networks, one sentence at a time."""

import pytest
import torch

from svebm_ext.data.batching import EncodedSplit, collate
from svebm_ext.data.corpus import Split
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.encoders import RecurrentEncoder

SENTENCES = [["a", "b", "c"], ["b"], ["c", "a", "a", "b", "c"], ["a", "a"]]


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("pooling", ["final", "mean"])
def test_features_do_not_see_padding_nor_other_sentences(cell, pooling):
    vocabulary = Vocabulary.build(SENTENCES)
    batch = collate(EncodedSplit.from_split(Split(SENTENCES), vocabulary), [0, 1, 2, 3])
    torch.manual_seed(0)
    encoder = RecurrentEncoder(len(vocabulary), 5, 4, cell, pooling)
    features = encoder(batch)
    assert features.shape == (4, encoder.feature_dim)
    for row, index in enumerate(batch.indices.tolist()):
        words = torch.tensor([*vocabulary.encode(SENTENCES[index]), Vocabulary.END])
        output, state = encoder.recurrent(encoder.embedding(words))
        final = state[0] if cell == "lstm" else state
        expected = torch.cat((final[0], final[1])) if pooling == "final" else output.mean(0)
        torch.testing.assert_close(features[row], expected)


def test_a_gradient_can_be_asked_for_in_evaluation_mode():
    """cuDNN refuses the gradient of a layer that ran in evaluation mode; torch on a CPU does not."""
    vocabulary = Vocabulary.build(SENTENCES)
    batch = collate(EncodedSplit.from_split(Split(SENTENCES), vocabulary), [0, 1, 2, 3])
    encoder = RecurrentEncoder(len(vocabulary), 5, 4, "lstm").eval()
    seen = []
    encoder.recurrent.register_forward_pre_hook(lambda layer, _: seen.append(layer.training))
    encoder(batch)
    with torch.no_grad():
        encoder(batch)
    assert seen == [True, False]
    assert not encoder.recurrent.training
