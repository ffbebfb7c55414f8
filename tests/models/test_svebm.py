"""A trained model as its users meet it, and folders that were damaged or made in bad faith."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_runs import tiny_config, write_corpus

from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.models.svebm import SVEBM
from svebm_ext.training.run import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = tiny_config(
        write_corpus(folder, labelled=True), objective={"label_weight": 1.0}, training={"max_steps": 20}
    )
    train(config, folder / "out")
    return folder / "out"


@pytest.fixture
def model(run):
    return SVEBM.from_pretrained(run)


@pytest.fixture
def copy(run, tmp_path):
    for name in ("config.json", "model.safetensors", "vocab.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    return tmp_path


TEXTS = ["the cat sees the moon", "nobody forgets it", "a dog likes his own shadow in the water", "trees"]


def test_folder_round_trip_is_exact(model, tmp_path):
    model.save_pretrained(tmp_path / "again")
    again = SVEBM.from_pretrained(tmp_path / "again")
    assert again.config == model.config and again.vocabulary == model.vocabulary
    assert again.label_names == ["forgets", "likes", "paints", "sees"]
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert (tmp_path / "again" / "MODEL_CARD.md").exists()


def test_encoding_is_in_the_order_of_the_texts_and_does_not_depend_on_the_batch(model):
    together = model.encode(TEXTS)
    assert together.shape == (4, 4)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(model.encode([text])[0], together[row])
    torch.testing.assert_close(model.encode([text.split() for text in TEXTS]), together)


def test_classification_is_the_most_probable_symbol(model):
    probabilities = model.symbol_probabilities(TEXTS)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(4))
    for row, found in enumerate(model.classify(TEXTS)):
        assert found.symbol == int(probabilities[row].argmax())
        assert found.probability == pytest.approx(float(probabilities[row].max()))
        assert found.label == (model.label_names[found.symbol] if found.symbol < 4 else None)
    assert model.classify([]) == []


def test_generation_depends_on_seed_and_symbol_alone(model):
    assert model.generate(4, seed=1) == model.generate(4, seed=1)
    assert model.generate(6, seed=1)[:4] == model.generate(4, seed=1)
    assert model.generate(4, seed=1, greedy=False) != model.generate(4, seed=2, greedy=False)
    assert len(model.generate(3, symbol=5)) == 3


def test_interpolation_begins_and_ends_at_the_reconstructions(model):
    path = model.interpolate(TEXTS[0], TEXTS[1], n=5)
    assert len(path) == 5
    assert [path[0], path[-1]] == model.reconstruct(TEXTS[:2])


def test_likelihood_of_a_sentence_is_the_importance_weighted_one(model):
    """Against the definition, term by term, for one text and with one fixed log Z."""
    from svebm_ext.models.importance import importance_samples

    log_z, text = 0.7, TEXTS[0]
    found = model.nll([text], n_samples=6, log_z=log_z, seed=3)
    (batch,) = model.batches([text])
    drawn = importance_samples(model.networks, batch, 6, seed=3)
    with torch.no_grad():
        mean, log_variance = model.networks.posterior(batch).moments
        weights = []
        for z in drawn.z[:, 0].double():
            q = torch.distributions.Normal(mean[0].double(), (0.5 * log_variance[0]).exp().double()).log_prob(z).sum()
            p0 = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum()
            likelihood = -model.networks.decoder.nll(batch, z[None].float())[0]
            weights.append(likelihood + model.networks.latent.prior.energy(z[None].float())[0] + p0 - q)
    expected = -(torch.logsumexp(torch.stack(weights), 0) - math.log(6) - log_z)
    torch.testing.assert_close(found[0].double(), expected.double(), rtol=1e-5, atol=1e-4)
    with pytest.raises(ConfigError, match="log_z"):
        model.nll([text])


def test_user_errors_are_named(model):
    for unordered in ({"a": TEXTS[0]}, {TEXTS[0]}, frozenset(TEXTS)):
        with pytest.raises(DataError, match=r"given, expected a list of texts, whose order the answers have"):
            model.classify(unordered)
    with pytest.raises(DataError, match="one string given"):
        model.classify("the cat")
    with pytest.raises(DataError, match="text 1"):
        model.encode(["fine", "   "])
    for arguments in ({"symbol": 6}, {"symbol": -1}, {"temperature": 0.0}):
        with pytest.raises(ConfigError):
            model.generate(2, **arguments)
    for name, value in (("temperature", -1.0), ("top_k", -1), ("top_p", 3.0)):
        with pytest.raises(ConfigError, match=f"^generate: {name} is {value}; expected"):
            model.generate(2, **{name: value})
    with pytest.raises(ConfigError, match="n: 0"):
        model.generate(0)
    with pytest.raises(ConfigError, match="at least 2"):
        model.interpolate("a", "b", n=1)


def test_words_that_the_model_does_not_know_are_read(model):
    assert model.encode(["zyzzyva quux"]).isfinite().all()


# Damaged and hostile folders ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json"])
def test_missing_or_truncated_file(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises((ModelFolderError, DataError), match=name):
        SVEBM.from_pretrained(copy)
    (copy / name).unlink()
    with pytest.raises((ModelFolderError, DataError), match=name):
        SVEBM.from_pretrained(copy)


def test_no_folder(tmp_path):
    with pytest.raises(ModelFolderError, match="no such folder"):
        SVEBM.from_pretrained(tmp_path / "nowhere")


def change_config(folder, change):
    description = json.loads((folder / "config.json").read_text())
    change(description)
    (folder / "config.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["config"].update(extra=1), "extra"),
        (lambda d: d["config"]["model"].update(latent_dim="many"), "latent_dim"),
        (lambda d: d["config"]["model"].update(latent_dim=5), "shape|asks for"),
        (lambda d: d["config"]["model"].update(latent_dim=10**9), "asks for|latent"),
        (lambda d: d["config"]["model"].update(cell="rnn"), "rnn"),
        (lambda d: d["config"]["model"].update(latent="gaussian"), "unknown tensors|must be 0"),
        (lambda d: d.update(format=2), "format"),
        (lambda d: d.update(label_names=[1]), "label_names"),
        (lambda d: d.update(config=[]), "config"),
    ],
)
def test_other_configuration(copy, change, message):
    change_config(copy, change)
    with pytest.raises(ModelFolderError, match=message):
        SVEBM.from_pretrained(copy)


def test_vocabulary_of_another_size(copy):
    content = json.loads((copy / "vocab.json").read_text())
    words = content if isinstance(content, list) else next(v for v in content.values() if isinstance(v, list))
    words.append("onemore")
    (copy / "vocab.json").write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match="embedding"):
        SVEBM.from_pretrained(copy)


@pytest.mark.parametrize("kind", ["missing", "unknown", "shape", "type", "nan"])
def test_other_tensors(copy, kind):
    tensors = load_file(copy / "model.safetensors")
    name = "latent.to_mean.weight"
    if kind == "missing":
        del tensors[name]
    elif kind == "unknown":
        tensors["stranger"] = torch.zeros(1)
    elif kind == "shape":
        tensors[name] = torch.zeros(2, 2)
    elif kind == "type":
        tensors[name] = tensors[name].double()
    else:
        tensors[name][0, 0] = math.nan
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(ModelFolderError, match="stranger" if kind == "unknown" else "to_mean"):
        SVEBM.from_pretrained(copy)


def test_pickle_in_place_of_weights_is_not_opened(copy):
    torch.save({"a": torch.zeros(1)}, copy / "model.safetensors")
    with pytest.raises(ModelFolderError, match="safetensors"):
        SVEBM.from_pretrained(copy)
