"""The loss as a function of tensors alone, which is what CUDA graphs are made of: the same training without graphs.

Here the function takes the graphs' place; tests/gpu/test_loss_graph_gpu.py has the graphs.
"""

import copy
import dataclasses

import pytest
import torch
from tiny_runs import tiny_training

from svebm_ext.training.loss_graph import LossGraph, loss_graph_of
from svebm_ext.training.optimisers import Optimisers
from svebm_ext.training.update import Update


def train(setting, capture=None, steps=range(4)):
    """Networks and outcomes after some updates, and the graph if there is one."""
    config, runtime, networks, feed = setting
    networks = copy.deepcopy(networks)
    graph = None if capture is None else LossGraph(networks.latent.prior, capture)
    negatives = torch.randn(6, config.model.latent_dim, generator=torch.Generator().manual_seed(1))
    update = Update(networks, Optimisers(networks, config.optimiser), config, runtime, graph)
    outcomes = [update(feed.batch(step), negatives, 0.1 * (step + 1), step) for step in steps]
    return networks, outcomes, graph


@pytest.mark.parametrize("encoder", [True, False])
def test_training_is_the_same(tmp_path, encoder):
    objective = {"mutual_information": 2.0, "mutual_information_encoder": encoder, "energy_penalty": 0.01}
    setting = tiny_training(tmp_path, objective=objective)
    calls = []

    def capture(module, sample):
        assert all(x.is_leaf for x in sample)
        assert [x.requires_grad for x in sample] == [True, True, True, True, False, False]
        calls.append(len(list(module.parameters())))
        return module

    expected, outcomes, _ = train(setting)
    found, others, _ = train(setting, capture)
    assert calls == [len(list(expected.latent.prior.parameters()))]
    for (name, theirs), mine in zip(expected.named_parameters(), found.parameters(), strict=True):
        assert torch.equal(mine, theirs), name
    for theirs, mine in zip(outcomes, others, strict=True):
        assert mine.loss == theirs.loss
        assert mine.terms == theirs.terms
    assert not any(torch.equal(x, y) for x, y in zip(setting[2].parameters(), found.parameters(), strict=True))


def test_a_batch_of_another_size_is_computed_without_it(tmp_path):
    setting = tiny_training(tmp_path, training={"batch_size": 7})
    sizes = []

    def capture(module, sample):
        def call(*inputs):
            sizes.append(len(inputs[0]))
            return module(*inputs)

        return call

    feed, size = setting[3], setting[0].training.batch_size
    batches = [feed.batch(step).n_total for step in range(40)]
    assert size in batches and min(batches) < size
    first = batches.index(size)
    other = next(step for step, n in enumerate(batches) if n < size)
    train(setting, capture, (other, first, other, first))
    assert sizes == [size, size]


def test_where_nothing_can_be_captured_training_goes_on_without(tmp_path):
    setting = tiny_training(tmp_path)

    def capture(module, sample):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    expected, _, _ = train(setting)
    with pytest.warns(UserWarning, match="without CUDA graphs: operation not permitted") as caught:
        found, _, graph = train(setting, capture)
    assert len(caught) == 1 and graph.reason == "operation not permitted when stream is capturing"
    assert all(torch.equal(x, y) for x, y in zip(expected.parameters(), found.parameters(), strict=True))


def test_only_for_what_it_can_compute(tmp_path):
    config, runtime, networks, _ = tiny_training(tmp_path)
    gpu = dataclasses.replace(runtime, device=torch.device("cuda"))
    assert loss_graph_of(networks, config, gpu) is not None
    assert loss_graph_of(networks, config, runtime) is None
    assert loss_graph_of(networks, config, dataclasses.replace(gpu, world_size=2)) is None

    def changed(section, **options):
        return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **options)})

    for other in (
        changed("training", cuda_graphs=False),
        changed("objective", update="alternating"),
        changed("objective", label_weight=1.0),
        changed("objective", pseudo_label_weight=1.0),
        changed("objective", bag_of_words=1.0),
        changed("objective", marginal_momentum=0.9),
    ):
        assert loss_graph_of(networks, other, gpu) is None
    gaussian = tiny_training(tmp_path, model={"latent": "gaussian"})
    assert loss_graph_of(gaussian[2], gaussian[0], gpu) is None
