"""As certain as right: a temperature for the answers of a model whose symbols words have guided.

Answers multiply what z says by what the words say, and both come from the same words, so that they are too certain. One
number mends that, the same for all texts, so that no answer changes: their logarithms are divided by T, for which the
mean probability of the answers to held-out texts is the share of them that is right. That share is measured where
enough of these texts have labels. Elsewhere it is what cross-validation of the labels told, or, without labels, how
many symbols half of the text finds again. Answers that are less certain than that stay as they are.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (temperature scaling; there T is the likeliest).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.data.batching import evaluation_batches
from svebm_ext.kinds import EncodedTexts
from svebm_ext.models.features import evenly_spread
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.training.feeds import TextFeed

#: Labelled held-out texts whose share of right answers is taken, at least; texts that certainty is measured on, at
#: least (training texts make up for missing ones) and at most.
LEAST_LABELLED, LEAST_TEXTS, MOST_TEXTS = 100, 100, 2000
#: Between which log T is looked for, and in how many halvings. Answers are never made more certain.
LOG_TEMPERATURES, HALVINGS = (0.0, 6.0), 40


@torch.no_grad()
def calibrate(networks: LatentVariableModel, feed: TextFeed, config: Config, say: Callable[[str], None]) -> None:
    """Set the temperature of a guided model's answers, where it is known how many of them are right.

    Args:
        networks: trained; their guide gets the temperature.
        feed: held-out and training sentences.
        config: whether the run learns from labels.
        say: receives a line.
    """
    guide = networks.guide
    if guide is None:
        return
    networks.eval()
    guide.log_temperature.zero_()
    share, rows = float(guide.reliability), _evenly(torch.arange(len(feed.valid)))
    why = "half of the text finds so many of the symbols again; nothing tells whether they are right"
    answers = _answers(networks, feed.valid, rows)
    if config.objective.label_weight > 0:
        why = "so many are right in cross-validation"
        labelled = (feed.valid.labels[rows] >= 0).nonzero()[:, 0]
        if len(labelled) >= LEAST_LABELLED:
            answers, truth = answers[labelled], feed.valid.labels[rows[labelled]]
            share = float((answers.argmax(1) == truth).double().mean())
            why = f"so many of {len(truth):,} held-out labels are right"
        elif share == 0.0:
            say("answers: no class has two labels, so nothing tells how many are right; probabilities are too high")
    if share == 0.0:
        return
    if len(answers) < LEAST_TEXTS:
        unlabelled = (feed.train.labels < 0).nonzero()[:, 0] if config.objective.label_weight > 0 else None
        rows = _evenly(torch.arange(len(feed.train)) if unlabelled is None else unlabelled)
        answers = torch.cat((answers, _answers(networks, feed.train, rows)))
    if not len(answers):
        return
    before = float(answers.exp().amax(1).mean())
    guide.log_temperature.fill_(log_temperature(answers, share))
    after = float((answers / guide.log_temperature.double().exp()).softmax(1).amax(1).mean())
    temperature = float(guide.log_temperature.exp())
    say(f"answers: mean probability {after:.0%} by temperature {temperature:.3g}, {before:.0%} without: {why}")


def log_temperature(log_probabilities: Float[Tensor, "N K"], share: float) -> float:
    """log T for which softmax(log p / T) has a largest entry of `share` on average.

    Args:
        log_probabilities: of N answers (float64).
        share: above 0. Where no T of the range gives it, that end of the range which comes closest.
    """
    low, high = LOG_TEMPERATURES
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        certainty = (log_probabilities * torch.tensor(-middle).exp()).softmax(1).amax(1).mean()
        low, high = (middle, high) if certainty > share else (low, middle)
    return 0.5 * (low + high)


def _evenly(rows: Tensor) -> Tensor:
    """At most MOST_TEXTS of the rows."""
    return rows[evenly_spread(len(rows), MOST_TEXTS)]


def _answers(networks: LatentVariableModel, split: EncodedTexts, rows: Tensor) -> Float[Tensor, "N K"]:
    """log p(y|x) of some texts of a split, as it was learnt (float64)."""
    device = next(networks.parameters()).device
    parts = evaluation_batches(split.lengths[rows], 256)
    answers = torch.zeros(len(rows), networks.energy_latent.n_categories, dtype=torch.float64)
    for part in parts:
        batch = split.collate(rows[part]).to(device)
        told = networks.answers(batch, networks.posterior(batch), calibrated=False)
        assert told is not None
        answers[part] = told[:, 0].double().cpu()
    return answers
