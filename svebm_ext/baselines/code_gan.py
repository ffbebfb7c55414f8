"""A conditional GAN over the codes of an autoencoder: class and noise in, code out, the decoder makes it a sentence.

Wasserstein GAN with gradient penalty: the critic D(code, class) is trained to tell codes of real sentences from
generated ones of the same class, its gradient between them held near norm 1; the generator G(noise, class) to raise D.
Codes are standardised, and the class enters both networks as a one-hot vector beside the other input.

Sources: Subramanian, Rajeswar, Sordoni, Trischler, Courville & Pal, Towards Text Generation with Adversarially Learned
Neural Outlines, NeurIPS 2018; Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.models.tensor_files import load_parameters
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.randomness import Draw
from svebm_ext.training.checkpoint import load_checkpoint, prefixed, save_checkpoint, section

#: Iterations between checkpoints, and between lines of progress.
CHECKPOINT_EVERY = 1000
#: Ids of the noise of finished generators begin here, far from those of training.
SAMPLE_IDS = 1 << 40


@dataclass(frozen=True)
class CodeGANSettings:
    """Sizes and training.

    Attributes:
        noise_dim: size of the generator's noise.
        hidden: width of the hidden layers of generator and critic.
        n_layers: hidden layers of each.
        batch_size: real codes, and generated ones, of an update.
        max_steps: updates of the generator.
        critic_steps: updates of the critic before each.
        gradient_penalty: factor of the penalty on the critic's gradient norm.
        learning_rate: of Adam with betas .5 and .9 for both.
        seed: of weights and random numbers.
    """

    noise_dim: int = 100
    hidden: int = 512
    n_layers: int = 3
    batch_size: int = 128
    max_steps: int = 50_000
    critic_steps: int = 5
    gradient_penalty: float = 10.0
    learning_rate: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 0 or (value == 0 and name not in ("seed", "gradient_penalty")):
                raise ConfigError(f"conditional GAN: {name} is {value}, expected a number above 0")


class CodeGAN(nn.Module):
    """Generator and critic of codes.

    Args:
        code_dim: D.
        n_classes: K.
        settings: sizes and seed.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, code_dim: int, n_classes: int, settings: CodeGANSettings) -> None:
        super().__init__()
        self.code_dim, self.n_classes, self.settings = code_dim, n_classes, settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.generator = _perceptron(settings.noise_dim + n_classes, code_dim, settings)
            self.critic = _perceptron(code_dim + n_classes, 1, settings)
        self.register_buffer("mean", torch.zeros(code_dim))
        self.register_buffer("scale", torch.ones(code_dim))

    def generate(self, noise: Float[Tensor, "B N"], classes: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """Standardised codes."""
        return self.generator(torch.cat((noise, self._one_hot(classes)), -1))

    def judge(self, codes: Float[Tensor, "B D"], classes: Int[Tensor, "B"]) -> Float[Tensor, "B"]:
        """Critic's score of standardised codes."""
        return self.critic(torch.cat((codes, self._one_hot(classes)), -1))[:, 0]

    @torch.no_grad()
    def sample(self, n: int, *, label: int, seed: int) -> Float[Tensor, "n D"]:
        """Codes of a class, as the decoder takes them.

        Raises:
            ConfigError: the class is outside 0 .. K-1.
        """
        if not 0 <= label < self.n_classes:
            raise ConfigError(f"label: {label} is outside 0 .. {self.n_classes - 1}")
        ids = SAMPLE_IDS + torch.arange(n, device=self.mean.device)
        noise = philox_normal(seed, ids, dim=self.settings.noise_dim, stream=Stream.INITIAL)[0]
        return self.generate(noise, torch.full_like(ids, label)) * self.scale + self.mean

    def _one_hot(self, classes: Int[Tensor, "B"]) -> Float[Tensor, "B K"]:
        return F.one_hot(classes, self.n_classes).float()


def _perceptron(inputs: int, outputs: int, settings: CodeGANSettings) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(settings.n_layers):
        layers += [nn.Linear(inputs, settings.hidden), nn.LeakyReLU(0.2)]
        inputs = settings.hidden
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real: Float[Tensor, "B D"],
    fake: Float[Tensor, "B D"],
    mix: Float[Tensor, "B 1"],
) -> Float[Tensor, ""]:
    """Mean of (|grad D| - 1)^2 at points between real and generated codes (Gulrajani et al. 2017, Eq. 3)."""
    points = (mix * real + (1.0 - mix) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return (gradient.norm(dim=-1) - 1.0).square().mean()


def train_code_gan(
    codes: Float[Tensor, "n D"],
    labels: Int[Tensor, "n_labels"],
    settings: CodeGANSettings,
    path: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> CodeGAN:
    """Train a conditional GAN on codes of labelled sentences; on the CPU a run that was stopped goes on bit for bit.

    Args:
        codes: of real sentences.
        labels: class of each, 0 .. K-1.
        settings: of the training.
        path: checkpoint, taken up where there is one, or None.
        say: receives lines of progress.

    Raises:
        DataError: no codes, unequal numbers, or codes that are not finite.
        ModelFolderError: the checkpoint is damaged, or of other codes or settings.
    """
    if len(codes) != len(labels) or len(codes) == 0:
        raise DataError(f"conditional GAN: {len(codes)} codes with {len(labels)} labels")
    if not bool(codes.isfinite().all()) or int(labels.min()) < 0:
        raise DataError("conditional GAN: codes must be finite numbers, and labels at least 0")
    gan = CodeGAN(codes.shape[1], int(labels.max()) + 1, settings).to(codes.device)
    gan.mean.copy_(codes.mean(0))
    gan.scale.copy_(codes.std(0, correction=0).clamp_min(1e-6))
    training = _Training(gan, (codes - gan.mean) / gan.scale, labels)
    if path is not None and path.exists():
        training.resume(path)
    while training.step < settings.max_steps:
        distance = training.iterate()
        ended = training.step == settings.max_steps
        if ended or training.step % CHECKPOINT_EVERY == 0:
            if path is not None:
                training.save(path)
            if say is not None:
                say(f"conditional GAN: update {training.step:,} of {settings.max_steps:,}, distance {distance:.3f}")
    return gan.eval()


class _Training:
    """Networks, their optimisers and the data of one training."""

    def __init__(self, gan: CodeGAN, codes: Tensor, labels: Tensor) -> None:
        self.gan, self.codes, self.labels, self.step = gan, codes, labels, 0
        rate, betas = gan.settings.learning_rate, (0.5, 0.9)
        self.optimisers = {
            name: torch.optim.Adam(getattr(gan, name).parameters(), lr=rate, betas=betas)
            for name in ("critic", "generator")
        }
        digest = hashlib.sha256(codes.cpu().numpy().tobytes())
        digest.update(labels.cpu().numpy().tobytes())
        self._data = digest.hexdigest()[:16]

    def iterate(self) -> float:
        """Updates of the critic and one of the generator; returns the critic's estimate of the distance."""
        settings, distance = self.gan.settings, 0.0
        for number in range(settings.critic_steps):
            real, classes = self._real(number)
            with torch.no_grad():
                fake = self.gan.generate(self._noise(number), classes)
            mix = self._uniform(number, Stream.EVALUATION)
            gap = (self.gan.judge(real, classes) - self.gan.judge(fake, classes)).mean()
            penalty = gradient_penalty(lambda x, k=classes: self.gan.judge(x, k), real, fake, mix)  # type: ignore[misc]
            self._apply("critic", settings.gradient_penalty * penalty - gap)
            distance = float(gap.detach())
        number = settings.critic_steps
        _, classes = self._real(number)
        self._apply("generator", -self.gan.judge(self.gan.generate(self._noise(number), classes), classes).mean())
        self.step += 1
        return distance

    def _apply(self, name: str, loss: Tensor) -> None:
        parameters = list(getattr(self.gan, name).parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        self.optimisers[name].step()

    def _real(self, number: int) -> tuple[Tensor, Tensor]:
        """Codes drawn with replacement, and their classes."""
        rows = (self._uniform(number, Stream.SELECTION)[:, 0] * len(self.codes)).long().clamp_max(len(self.codes) - 1)
        return self.codes[rows], self.labels[rows]

    def _uniform(self, number: int, stream: Stream) -> Tensor:
        return Draw(self.gan.settings.seed, self.step).uniform(self._ids(number), 1, stream)

    def _noise(self, number: int) -> Tensor:
        settings = self.gan.settings
        return Draw(settings.seed, self.step).normal(self._ids(number), settings.noise_dim, Stream.INITIAL)

    def _ids(self, number: int) -> Tensor:
        """Rows of update `number` of an iteration."""
        size = self.gan.settings.batch_size
        return torch.arange(number * size, (number + 1) * size, device=self.codes.device)

    def save(self, path: Path) -> None:
        """Write networks, moments of the optimisers and step."""
        tensors = prefixed(self.gan.state_dict(), "gan")
        for name, optimiser in self.optimisers.items():
            for index, values in optimiser.state_dict()["state"].items():
                tensors |= prefixed({key: torch.as_tensor(value) for key, value in values.items()}, f"{name}.{index}")
        state = {"step": self.step, "data": self._data, "settings": asdict(self.gan.settings)}
        save_checkpoint(path, tensors, state)

    def resume(self, path: Path) -> None:
        """Take back what `save` wrote; `max_steps` may differ."""
        tensors, state = load_checkpoint(path)
        here = asdict(self.gan.settings) | {"max_steps": state.get("settings", {}).get("max_steps")}
        if state.get("data") != self._data or state.get("settings") != here:
            raise ModelFolderError(f"{path}: of other codes or settings; delete it to train anew")
        load_parameters(self.gan, section(tensors, "gan"), str(path))
        for name, optimiser in self.optimisers.items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in section(tensors, name).items():
                index, field = key.split(".")
                moments.setdefault(int(index), {})[field] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.step = int(state["step"])
