"""The loss as CUDA graphs: training goes the same way as without them."""

import copy
import dataclasses

import pytest
import torch

from svebm_ext.data.batching import EncodedSplit, collate
from svebm_ext.models.networks import build_networks
from svebm_ext.presets import preset
from svebm_ext.training.feeds import Share
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.update import Update

B, V, STEPS = 12, 60, 30


def make_config(**objective):
    config = preset("ptb")
    sizes = {"latent_dim": 8, "n_categories": 5, "embedding_dim": 32, "encoder_hidden": 32, "decoder_hidden": 32}
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, **sizes),
        objective=dataclasses.replace(config.objective, **objective),
        training=dataclasses.replace(config.training, batch_size=B),
    )


def make_share(step, device, n_sentences=B):
    generator = torch.Generator().manual_seed(step)
    lengths = torch.randint(2, 9, (n_sentences,), generator=generator)
    words = torch.randint(4, V, (int(lengths.sum()),), generator=generator)
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)))
    split = EncodedSplit(words, offsets, torch.full((n_sentences,), -1))
    return Share(collate(split, torch.arange(n_sentences)).to(device), torch.arange(n_sentences), 0)


def train(networks, config, device, graphs, sizes=None):
    """Networks and outcomes after some updates."""
    networks, runtime = copy.deepcopy(networks), Runtime(device)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, cuda_graphs=graphs))
    update = Update.of(networks, config, runtime)
    graph = update.graph
    assert (graph is not None) == graphs
    outcomes = []
    for step in range(STEPS):
        share = make_share(step, device, sizes[step % len(sizes)] if sizes else B)
        negatives = torch.randn(B, 8, generator=torch.Generator().manual_seed(step)).to(device)
        weight = 0.5 * (step + 1) / STEPS
        outcomes.append(update(share, negatives, weight, step))
    if graph is not None:
        assert graph.reason == "" and graph._graphs is not None
    return networks, outcomes


@pytest.mark.parametrize("sizes", [None, (B - 1, B, B)], ids=["full batches", "some smaller"])
@pytest.mark.parametrize("encoder", [True, False])
def test_training_with_and_without(device, encoder, sizes):
    config = make_config(mutual_information_encoder=encoder, energy_penalty=0.01)
    torch.manual_seed(0)
    networks = build_networks(config.model, V).to(device)
    expected, outcomes = train(networks, config, device, False, sizes)
    found, others = train(networks, config, device, True, sizes)
    for theirs, mine in zip(outcomes, others, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-4, abs=1e-4)
        assert mine.terms == pytest.approx(theirs.terms, rel=1e-3, abs=1e-3)
        assert mine.gradient_norm == pytest.approx(theirs.gradient_norm, rel=1e-3)
        assert mine.prior_gradient_norm == pytest.approx(theirs.prior_gradient_norm, rel=1e-3)
    for (name, theirs), mine in zip(expected.named_parameters(), found.parameters(), strict=True):
        moved = (theirs - dict(networks.named_parameters())[name]).abs().max().item()
        assert moved > 0.0, name
        # Adam divides by the gradient's size: where that is near 0, rounding decides the direction
        assert (mine - theirs).abs().mean().item() < 0.01 * moved, name
