"""Validation during training: the bound that chooses the best model, and samples for the eye."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.config import ObjectiveConfig
from svebm_ext.data.batching import EncodedSplit, SentenceBatch, evaluation_batches
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.evaluation.documents import top_word_lines
from svebm_ext.kinds import EncodedTexts
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.measures.latent import mutual_information
from svebm_ext.models.cut import marked
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.objectives.categories import category_divergence
from svebm_ext.prior.annealing import conditional_log_z, estimate_log_z
from svebm_ext.processes import ALONE, Processes
from svebm_ext.randomness import Draw
from svebm_ext.terminal import counted

#: Validation sentences at most: a stable choice needs no more, and training is not held up.
MAX_SENTENCES = 2000
#: Contexts that log Z of a prior that depends on a context is averaged over.
MAX_CONTEXTS = 128


class Validator:
    """Measures a model on the validation split.

    Args:
        valid: validation split, as the kind encodes it.
        vocabulary: to print words.
        seed: of the posterior samples, the same at every validation.
        max_words: longest printed sample.
        objective: terms that it leaves out altogether are left out of the bound.
        to_text: how ids are printed; words joined by spaces where it is not given.
        device: where the model is.
        processes: that share its texts; all of them measure, and have the same numbers.
    """

    def __init__(
        self,
        valid: EncodedTexts,
        vocabulary: Vocabulary,
        *,
        seed: int,
        max_words: int,
        device: torch.device,
        objective: ObjectiveConfig | None = None,
        to_text: Callable[[list[int]], str] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self._processes = processes
        self._valid, self._vocabulary, self._seed, self._max_words = valid, vocabulary, seed, max_words
        self._device, self._objective = device, objective or ObjectiveConfig()
        self._words = to_text or (lambda ids: " ".join(vocabulary.decode(ids)))
        n = min(len(valid), MAX_SENTENCES)
        self._batches = evaluation_batches(valid.lengths[:n], 256)
        self._n = n

    @property
    def n_texts(self) -> int:
        """Validation texts that are measured."""
        return self._n

    @property
    def largest_class(self) -> float:
        """Share that the largest class has of the labelled ones among them; 0 where none are."""
        labels = self._valid.labels[: self._n]
        labels = labels[labels >= 0]
        return float(labels.bincount().max()) / len(labels) if len(labels) else 0.0

    def _collate(self, indices: Tensor | list[int]) -> SentenceBatch | DocumentBatch:
        return self._valid.collate(indices).to(self._device)

    @torch.no_grad()
    def accuracy(self, model: LatentVariableModel) -> float | None:
        """Share of all labelled validation examples whose most probable symbol is their class, if any are."""
        labelled = (self._valid.labels >= 0).nonzero()[:, 0]
        if len(labelled) == 0:
            return None

        def right(part: Tensor) -> tuple[Tensor, ...]:
            batch = self._collate(labelled[part])
            answers = model.answers(batch, model.posterior(batch))
            return () if answers is None else (answers[:, 0].argmax(-1) == batch.labels,)

        told = self._processes.map_tensors(right, evaluation_batches(self._valid.lengths[labelled], 500))
        return None if () in told else sum(int(one.sum()) for (one,) in told) / len(labelled)

    @torch.no_grad()
    def measure(self, model: LatentVariableModel, *, energy: bool = True, symbols: bool = False) -> dict[str, float]:
        """`valid_nll` (reconstruction), `valid_kl`, `valid_energy`, `valid_log_z`, and their `valid_bound`, in nats.

        Beside them `valid_accuracy`, where the run learns from labels and validation examples have them, and what
        `symbol_use` tells of more than one symbol.

        Where the prior depends on a context, log Z is the mean over contexts of the lower end alone.

        The bound is -ELBO (Eq. 10) with one z per sentence: NLL + KL - F(z+) + log Z; KL includes that of discrete
        variables and the dispersion of mixtures. An autoencoder has none; its reconstruction NLL stands in its place.
        So it does where the objective's w is 0 throughout, and a mutual information of discrete variables that the
        objective leaves out, or a weight of the dispersion, is left out or weighed here as well: it is what is trained.

        Args:
            model: to be measured.
            energy: whether an energy-based prior has been learnt; the bound is that of p(z) = N(0, I) before.
            symbols: whether symbols are being learnt, so that their use is measured.
        """
        model.eval()
        told = self._processes.map_tensors(
            lambda part: self._measure_batch(model, part, energy, symbols), self._batches
        )
        columns = zip(*(sums.tolist() for sums, _, _ in told), strict=True)
        sums = {name: sum(column) for name, column in zip(("nll", "kl", "energy"), columns, strict=True)}
        log_categories, answers = ([some[n] for some in told if some[n].numel() > 0] for n in (1, 2))
        measures = {f"valid_{name}": value / self._n for name, value in sums.items()}
        if log_categories:
            marginal, information = category_divergence(torch.cat(log_categories))
            measures["valid_kl"] += float(marginal + (information if self._objective.category_information else 0.0))
        measures["valid_log_z"] = 0.0
        if isinstance(model.latent, ConditionalEnergyLatent):
            batch = self._collate(list(range(min(self._n, MAX_CONTEXTS))))
            context = model.posterior(batch).context
            assert context is not None
            log_z = conditional_log_z(model.latent.prior, context, step_size=model.latent.step_size, seed=self._seed)
            measures["valid_log_z"] = float(log_z.mean())
        elif energy and isinstance(model.latent, EnergyLatent):
            measures["valid_log_z"] = estimate_log_z(
                model.latent.prior, model.latent.latent_dim, n_chains=256, n_temperatures=100, seed=self._seed,
                reverse=False,
            ).lower  # fmt: skip
        measures["valid_bound"] = measures["valid_nll"]
        if self._objective.kl_weight > 0.0:
            measures["valid_bound"] += measures["valid_kl"] - measures["valid_energy"] + measures["valid_log_z"]
        accuracy = self.accuracy(model)
        if accuracy is not None:
            measures["valid_accuracy"] = accuracy
        measures |= symbol_use(torch.cat(answers)) if answers else {}
        return self._processes.agree(measures)

    def _measure_batch(
        self, model: LatentVariableModel, indices: Tensor, energy: bool, symbols: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sums of NLL, KL and F(z+) in nats [3]; log q of discrete variables, and answers, each empty without."""
        batch = self._collate(indices)
        passed = model(batch, Draw(self._seed, 0), dropout=False)
        terms = passed.posterior.terms(passed.z)
        nothing = torch.zeros(0, device=self._device)
        kl = float(terms["kl"].sum()) if "kl" in terms else 0.0
        if "dispersion" in terms:
            kl += self._objective.dispersion * float(terms["dispersion"].sum())
        positive = float(terms["energy_positive"].sum()) if energy and "energy_positive" in terms else 0.0
        answers = model.answers(batch, passed.posterior) if symbols else None
        sums = torch.tensor([float(passed.nll.sum()), kl, positive], dtype=torch.float64, device=self._device)
        return sums, terms.get("log_categories", nothing), nothing if answers is None else answers

    @torch.no_grad()
    def samples(self, model: LatentVariableModel, step: int, n: int = 3) -> str:
        """A few reconstructions and samples of the prior, as text."""
        assert isinstance(self._valid, EncodedSplit)
        model.eval()
        n = min(n, len(self._valid))
        batch = self._collate(list(range(n)))
        decoded = model.decode(batch, model.encode(batch), max_tokens=self._max_words)
        lines = [f"iteration {step}"]
        for row in range(n):
            lines.append("  text            " + self._words(self._valid.words(int(batch.indices[row]))))
            lines.append("  reconstruction  " + self._decoded(decoded[row]))
        if model.latent.has_prior:
            z = model.sample_prior(batch, seed=self._seed + step)
            lines += [
                "  sample          " + self._decoded(ids) for ids in model.decode(batch, z, max_tokens=self._max_words)
            ]
        return "\n".join(lines)

    def _decoded(self, ids: list[int]) -> str:
        """Text of decoded words, marked where the longest length has cut it."""
        return marked(self._words(ids), len(ids), self._max_words)


class BagValidator(Validator):
    """Measures a model of bags of words on the validation split; arguments are those of `Validator`."""

    @torch.no_grad()
    def samples(self, model: LatentVariableModel, step: int, n: int = 3) -> str:
        """The top words of each class: a bag has no order to be read in."""
        model.eval()
        return "\n".join([f"iteration {step}", *top_word_lines(model, self._vocabulary, seed=self._seed)])


def measured_line(measured: Mapping[str, float], n_texts: int, n_symbols: int) -> str:
    """What a run tells of a validation: on how many texts, and each measure in plain words.

    Args:
        measured: from `Validator.measure`; F and log Z are left out where no energy is learnt yet.
        n_texts: validation texts that were measured.
        n_symbols: K.
    """
    shown = {name.removeprefix("valid_"): value for name, value in measured.items()}
    if not any(shown.get(name) for name in ("energy", "log_z")):
        shown = {name: value for name, value in shown.items() if name not in ("energy", "log_z")}
    parts = []
    for name, value in shown.items():
        if name == "symbols_used":
            parts.append(f"symbols used {value:g} of {n_symbols}")
        elif name == "largest_symbol":
            parts.append(f"largest symbol {value:.0%}")
        else:
            parts.append(f"{name.replace('_', ' ')} {value:.3f}")
    return f"validation on {counted(n_texts, 'text')}: " + "  ".join(parts)


def symbol_use(answers: Float[Tensor, "N n K"]) -> dict[str, float]:
    """How the symbols are used: `valid_symbols_used`, `valid_largest_symbol` and `valid_mi`, I(z, y) in nats.

    Args:
        answers: log probabilities of the symbols of each text. Of several variables, or of one symbol, nothing is told.
    """
    if answers.shape[1] != 1 or answers.shape[2] == 1:
        return {}
    counts = answers[:, 0].argmax(-1).bincount()
    return {
        "valid_symbols_used": float((counts > 0).sum()),
        "valid_largest_symbol": float(counts.max()) / len(answers),
        "valid_mi": mutual_information(answers[:, 0]),
    }
