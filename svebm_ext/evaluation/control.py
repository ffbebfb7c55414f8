"""Class-conditional generation: does a sentence have the class it was asked for, is it fluent, is it new?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from svebm_ext.data.corpus import Split
from svebm_ext.errors import DataError
from svebm_ext.judges.language_model import LanguageModel, perplexity
from svebm_ext.judges.sentiment import Judge, control
from svebm_ext.measures.diversity import copied, distinct, repeated, self_bleu

#: Sentences of each class that measures of diversity look at, since these depend on the number.
DIVERSITY_SENTENCES = 500

#: Generated sentences by the class they were asked for.
Samples = Mapping[str, Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Yardstick:
    """What all systems are measured with.

    Attributes:
        judge: of the classes, trained on real text.
        language_model: trained on real text.
        train: the real training text.
    """

    judge: Judge
    language_model: LanguageModel
    train: Split

    @cached_property
    def known(self) -> set[tuple[str, ...]]:
        """Training sentences."""
        return set(map(tuple, self.train.sentences))

    def counts(self) -> dict[str, int]:
        """What the judge was trained on."""
        return {f"{name} of the judge": count for name, count in self.judge.counts.items()}


def measure_control(samples: Samples, yardstick: Yardstick) -> tuple[dict[str, float], dict[str, str]]:
    """Measures of sentences that were generated for each class, and why some are missing.

    - `control`, `control_CLASS`: percent of sentences that the judge gives the class they were asked for.
    - `sample_ppl`: perplexity a token of all sentences, in mixed order, under the language model; end marks counted.
    - `self_bleu`, `distinct_1`, `distinct_2`, `repeated`: within the first `DIVERSITY_SENTENCES` of a class, mean over
      classes (self-BLEU of 0 to 100, shares of n-grams and of sentences).
    - `copied`: share of sentences that occur word for word in the training text.
    - `sample_length`: mean number of words.

    Raises:
        DataError: a class of the judge has no sentence, or a class is none of the judge's.
    """
    if set(samples) != set(yardstick.judge.classes) or not all(map(len, samples.values())):
        expected = ", ".join(yardstick.judge.classes)
        raise DataError(f"control: samples of {', '.join(samples) or 'no class'}; expected some of each of {expected}")
    everything = [list(sentence) for sentences in samples.values() for sentence in sentences]
    wanted = [name for name, sentences in samples.items() for _ in sentences]
    measures = {
        "control" if name == "overall" else f"control_{name}": 100.0 * share
        for name, share in control(yardstick.judge.classify(everything), wanted).items()
    }
    measures["sample_ppl"] = perplexity(yardstick.language_model, mixed(everything))
    reasons = {}
    within = {
        "self_bleu": self_bleu,
        "distinct_1": lambda sentences: distinct(sentences, 1),
        "distinct_2": lambda sentences: distinct(sentences, 2),
        "repeated": repeated,
    }
    for key, measure in within.items():
        try:
            of_classes = [measure(sentences[:DIVERSITY_SENTENCES]) for sentences in samples.values()]
            measures[key] = sum(of_classes) / len(of_classes)
        except DataError as error:
            reasons[key] = str(error)
    measures["copied"] = copied(everything, yardstick.known)
    measures["sample_length"] = sum(map(len, everything)) / len(everything)
    return measures, reasons


def mixed(sentences: Sequence[Sequence[str]], seed: int = 0) -> list[Sequence[str]]:
    """The sentences in random order, so that a text read as one stream does not turn from one class to the other."""
    order = torch.randperm(len(sentences), generator=torch.Generator().manual_seed(seed))
    return [sentences[i] for i in order.tolist()]
