"""What decoding prepares of the weights is that of the present ones, however these were changed."""

import copy

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.errors import ConfigError
from svebm_ext.models.svebm import SVEBM
from svebm_ext.ops.backend import unavailable_reason, use_backend
from svebm_ext.training.run import train

REASON = unavailable_reason("gru_decode", "cpu")
BACKENDS = [pytest.param("auto", marks=pytest.mark.skipif(bool(REASON), reason=REASON)), "reference"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = tiny_config(write_corpus(folder, labelled=True), objective={"label_weight": 1.0})
    train(config, folder / "out")
    return folder / "out"


@pytest.fixture
def model(run):
    torch.manual_seed(0)
    found = SVEBM.from_pretrained(run)
    with torch.no_grad():  # twelve steps of training leave every sentence alike
        for parameter in found.networks.decoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    return found


def sentences(model, **options):
    return model.generate(12, seed=3, greedy=False, **options)


def fresh(model):
    """A model with these weights that has prepared nothing, from numbers alone."""
    other = SVEBM(model.config, model.vocabulary, model.label_names, model.writing).eval()
    other.load_state_dict({name: value.detach().clone() for name, value in model.state_dict().items()})
    return other


def halve_data(model):
    for parameter in model.parameters():
        parameter.data.copy_(parameter.data * 0.5)


def change_one_row(model):
    model.networks.decoder.embedding.weight.data[5] += 3.0


def negate_one(model):
    model.networks.decoder.recurrent.bias_hh_l0.data[:2].neg_()


def exchange_rows(model):
    data = model.networks.decoder.embedding.weight.data
    data[[4, 5, 6]] = data[[6, 4, 5]]


def exchange_columns(model):
    data = model.networks.decoder.embedding.weight.data
    data.copy_(data.flip(1))


def load_state(model):
    model.load_state_dict({name: value * 0.5 for name, value in model.state_dict().items()})


def load_by_assignment(model):
    model.load_state_dict({name: value * 0.5 for name, value in model.state_dict().items()}, assign=True)


def swap_storage(model):
    for parameter in model.parameters():
        parameter.data = parameter.data * 0.5


def in_inference_mode(model):
    with torch.inference_mode():
        for parameter in model.parameters():
            parameter.data.mul_(0.5)


def through_numpy(model):
    model.networks.decoder.embedding.weight.detach().numpy()[:] *= 0.5


def step_of_an_optimiser(model):
    for parameter in model.networks.decoder.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.SGD(model.networks.decoder.parameters(), lr=0.3).step()


class Scaled(torch.nn.Module):
    """A parametrisation with a factor of its own."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, weight):
        return weight * self.factor


CHANGES = [
    halve_data, change_one_row, negate_one, exchange_rows, exchange_columns, load_state, load_by_assignment,
    swap_storage, in_inference_mode, through_numpy, step_of_an_optimiser,
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("change", CHANGES)
def test_sentences_are_those_of_the_present_weights(model, change, backend):
    with use_backend(backend):
        before = sentences(model)
        change(model)
        after = sentences(model)
        assert after == sentences(fresh(model))
        assert after != before


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["weight_hh_l0", "weight_ih_l0"])
def test_a_parametrised_weight(model, name, backend):
    decoder = model.networks.decoder
    with use_backend(backend):
        torch.nn.utils.parametrize.register_parametrization(decoder.recurrent, name, Scaled())
        before = sentences(model)
        decoder.recurrent.parametrizations[name][0].factor.data.fill_(-2.0)
        after = sentences(model)
        weight = getattr(decoder.recurrent, name).detach().clone()
        torch.nn.utils.parametrize.remove_parametrizations(decoder.recurrent, name)
        assert torch.equal(getattr(decoder.recurrent, name), weight)
        assert after == sentences(fresh(model)) and after != before


@pytest.mark.parametrize("backend", BACKENDS)
def test_inference_mode_around_all(run, backend):
    with use_backend(backend):
        expected = SVEBM.from_pretrained(run)
        with torch.inference_mode():
            model = SVEBM.from_pretrained(run)
            assert sentences(model) == sentences(expected)
            assert model.encode(["the cat sees the moon"]).isfinite().all()
            for parameter in model.parameters():
                parameter.mul_(0.5)
            halved = sentences(model)
        halve_data(expected)
        assert halved == sentences(expected)
        assert sentences(model) == halved  # outside, with what was prepared inside


def test_what_has_not_changed_is_prepared_once(model, monkeypatch):
    from svebm_ext.models import decoders

    packed = []
    monkeypatch.setattr(decoders, "pack_gru", lambda *a, **k: packed.append(1))
    for _ in range(3):
        sentences(model)
    assert len(packed) == 1
    sentences(copy.deepcopy(model))
    assert len(packed) == 2  # a copy prepares for itself


# ---- types


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_default_type_around_a_model_changes_nothing(run, dtype):
    expected = SVEBM.from_pretrained(run)
    texts = ["the cat sees the moon", "nobody forgets it"]
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = SVEBM.from_pretrained(run)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert sentences(model) == sentences(expected)
        assert torch.equal(model.encode(texts), expected.encode(texts))
        found = model.classify(texts), model.reconstruct(texts), model.interpolate(*texts, n=3)
    finally:
        torch.set_default_dtype(before)
    assert found == (expected.classify(texts), expected.reconstruct(texts), expected.interpolate(*texts, n=3))


def test_the_default_device_around_a_folder_changes_nothing(run):
    """A folder's model lies on the device that is asked for, the CPU where none is."""
    expected = SVEBM.from_pretrained(run)
    with torch.device("meta"):
        model = SVEBM.from_pretrained(run)
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert sentences(model) == sentences(expected)
    assert torch.equal(model.encode(["nobody forgets it"]), expected.encode(["nobody forgets it"]))


def test_a_model_in_float64(run):
    single, double = SVEBM.from_pretrained(run), SVEBM.from_pretrained(run).double()
    texts = ["the cat sees the moon", "nobody forgets it"]
    encoded = double.encode(texts)
    assert encoded.dtype == torch.float64
    torch.testing.assert_close(encoded.float(), single.encode(texts))
    probabilities = double.symbol_probabilities(texts)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(probabilities.float(), single.symbol_probabilities(texts))
    torch.testing.assert_close(
        double.nll(texts, log_z=0.0, n_samples=4), single.nll(texts, log_z=0.0, n_samples=4), rtol=1e-4, atol=1e-4
    )
    assert double.generate(3, symbol=1, seed=1) == single.generate(3, symbol=1, seed=1)
    assert double.reconstruct(texts) == single.reconstruct(texts)


@pytest.mark.parametrize("narrow", ["half", "bfloat16"])
@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.generate(2),
        lambda model: model.encode(["the cat"]),
        lambda model: model.classify(["the cat"]),
        lambda model: model.nll(["the cat"], log_z=0.0),
        lambda model: model.reconstruct(["the cat"]),
        lambda model: model.decode(torch.zeros(1, 4)),
        lambda model: model.interpolate("the cat", "a dog"),
    ],
)
def test_a_model_in_16_bits_is_refused_at_once(run, narrow, use):
    model = getattr(SVEBM.from_pretrained(run), narrow)()
    with pytest.raises(ConfigError, match=r"model: its parameters are torch\.b?float16; expected torch\.float32"):
        use(model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sentences_under_autocast(model, dtype):
    expected = sentences(model)
    with torch.autocast("cpu", dtype=dtype):
        assert sentences(model) == expected
        assert len(model.classify(["the cat sees the moon"])) == 1
        assert len(model.reconstruct(["the cat sees the moon"])) == 1
        assert model.nll(["the cat sees the moon"], log_z=0.0, n_samples=2).isfinite().all()
