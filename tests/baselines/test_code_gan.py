"""The conditional GAN over codes: a known mixture, the penalty in closed form, resuming."""

from dataclasses import replace

import pytest
import torch

from svebm_ext.baselines import code_gan
from svebm_ext.baselines.code_gan import CodeGAN, CodeGANSettings, gradient_penalty, train_code_gan
from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.training.checkpoint import load_checkpoint, save_checkpoint

#: Modes of each class: class 0 has two of them, class 1 one.
MODES = torch.tensor([[6.0, 5.0], [6.0, -3.0], [-2.0, 1.0]])
SETTINGS = CodeGANSettings(noise_dim=4, hidden=64, n_layers=2, batch_size=64, learning_rate=1e-3)


def mixture(n=3000):
    generator = torch.Generator().manual_seed(0)
    modes = torch.randint(3, (n,), generator=generator)
    return MODES[modes] + 0.3 * torch.randn(n, 2, generator=generator), (modes == 2).long()


@pytest.mark.slow
def test_codes_of_a_class_come_from_its_modes():
    codes, labels = mixture()
    gan = train_code_gan(codes, labels, replace(SETTINGS, max_steps=1200))
    for label, expected in ((0, {0, 1}), (1, {2})):
        distances = torch.cdist(gan.sample(1000, label=label, seed=1), MODES)
        nearest = distances.argmin(-1)
        assert sum(int((nearest == mode).sum()) for mode in expected) > 970
        assert all(int((nearest == mode).sum()) > 500 / len(expected) for mode in expected)
        assert float((distances.min(-1).values < 1.5).double().mean()) > 0.85


def test_penalty_of_a_linear_critic_is_known():
    slope = torch.tensor([3.0, 4.0], requires_grad=True)
    real, fake, mix = torch.randn(5, 2), torch.randn(5, 2), torch.rand(5, 1)
    penalty = gradient_penalty(lambda x: x @ slope, real, fake, mix)
    assert float(penalty.detach()) == pytest.approx((5.0 - 1.0) ** 2)
    penalty.backward()
    torch.testing.assert_close(slope.grad, 2 * (5.0 - 1.0) * slope.detach() / 5.0)


def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, monkeypatch):
    codes, labels = mixture(200)
    settings = replace(SETTINGS, max_steps=4, critic_steps=2)
    whole = train_code_gan(codes, labels, settings, tmp_path / "whole")
    train_code_gan(codes, labels, replace(settings, max_steps=2), tmp_path / "halves")
    halves = train_code_gan(codes, labels, settings, tmp_path / "halves")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, halves.state_dict()[name]), name
    iterate = code_gan._Training.iterate
    monkeypatch.setattr(code_gan._Training, "iterate", lambda self: pytest.fail("trained again"))
    train_code_gan(codes, labels, settings, tmp_path / "halves")
    monkeypatch.setattr(code_gan._Training, "iterate", iterate)
    with pytest.raises(ModelFolderError, match="other codes or settings"):
        train_code_gan(codes + 1.0, labels, settings, tmp_path / "halves")
    with pytest.raises(ModelFolderError, match="other codes or settings"):
        train_code_gan(codes, labels, replace(settings, hidden=32), tmp_path / "halves")
    tensors, state = load_checkpoint(tmp_path / "halves")
    save_checkpoint(tmp_path / "broken", {k: v for k, v in tensors.items() if k != "gan.mean"}, state)
    with pytest.raises(ModelFolderError, match="mean"):
        train_code_gan(codes, labels, settings, tmp_path / "broken")


def test_updates_move_one_network_each():
    codes, labels = mixture(50)
    training = code_gan._Training(CodeGAN(2, 2, replace(SETTINGS, critic_steps=1)), codes, labels)
    before = {name: value.clone() for name, value in training.gan.state_dict().items()}
    training._apply("critic", training.gan.judge(codes, labels).mean())
    after = training.gan.state_dict()
    assert all(
        torch.equal(after[name], before[name]) == name.startswith("generator")
        for name, _ in training.gan.named_parameters()
    )


def test_what_cannot_be_trained_or_sampled_is_told():
    codes, labels = mixture(10)
    with pytest.raises(DataError, match="10 codes with 9 labels"):
        train_code_gan(codes, labels[1:], SETTINGS)
    with pytest.raises(DataError, match="finite"):
        train_code_gan(codes * float("inf"), labels, SETTINGS)
    with pytest.raises(ConfigError, match="hidden is 0"):
        CodeGANSettings(hidden=0)
    with pytest.raises(ConfigError, match=r"outside 0 \.\. 1"):
        CodeGAN(2, 2, SETTINGS).sample(3, label=2, seed=0)
