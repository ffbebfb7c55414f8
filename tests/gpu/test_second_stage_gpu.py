"""The second stage of a run, of the prior alone, on a GPU: where the CPU gets."""

import copy
import dataclasses

import torch

from svebm_ext.data import Vocabulary
from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.corpus import Split
from svebm_ext.models.svebm import SVEBM
from svebm_ext.presets import preset
from svebm_ext.prior.second_stage import fit_prior
from svebm_ext.training.encoding import posterior_of


def test_the_prior_goes_where_it_goes_on_the_cpu(device):
    words = [f"w{i}" for i in range(20)]
    generator = torch.Generator().manual_seed(0)
    sentences = [[words[i] for i in torch.randint(0, 20, (6,), generator=generator).tolist()] for _ in range(300)]
    config = preset("ptb")
    sizes = {"latent_dim": 8, "n_categories": 5, "embedding_dim": 32, "encoder_hidden": 32, "decoder_hidden": 32}
    vocabulary = Vocabulary.build(sentences)
    torch.manual_seed(0)
    model = SVEBM(dataclasses.replace(config, model=dataclasses.replace(config.model, **sizes)), vocabulary)
    train = EncodedSplit.from_split(Split(sentences), vocabulary)
    before = copy.deepcopy(model.networks.latent.prior.state_dict())
    found = {}
    for where in ("cpu", device.type):
        networks = copy.deepcopy(model.networks).to(where)
        latent, posterior = networks.latent, posterior_of(networks, train, 1000)
        options = {"seed": 0, "step_size": latent.step_size, "information": 1.0, "say": lambda _: None}
        fit_prior(latent.prior, posterior, 8, **options)
        found[where] = {name: value.cpu() for name, value in networks.latent.prior.state_dict().items()}
    for name, value in found["cpu"].items():
        assert float((value - before[name]).abs().max()) > 1e-3
        # Adam makes a full step of where a gradient near 0 points
        apart = (found[device.type][name] - value).abs()
        assert float(apart.mean()) < 1e-4 and float(apart.max()) < 2e-2, name
