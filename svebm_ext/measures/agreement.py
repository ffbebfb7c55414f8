"""All measures of how codes of sentences agree with the labels of a split, by documented key."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Int
from torch import Tensor

from svebm_ext.data.corpus import Split
from svebm_ext.measures import latent

#: Keys of metrics.json, and the attribute of `latent.ClusterAgreement` that each holds for every label.
AGREEMENT = {
    "homogeneity": "homogeneity",
    "homogeneity_chance": "chance_homogeneity",
    "completeness": "completeness",
    "v_measure": "v_measure",
    "adjusted_mutual_information": "adjusted_mutual_information",
}
#: The same for `latent.ConditionalInformation`.
BEYOND = {
    "information_beyond_question_mark": "information",
    "information_beyond_question_mark_chance": "chance",
    "information_beyond_question_mark_share": "share",
}
QUESTION_MARK = "?"


def question_marks(sentences: Sequence[Sequence[str]]) -> list[str]:
    """Whether each sentence has the token "?", as text: a code of two values that dialogue acts are compared with."""
    return ["question mark" if QUESTION_MARK in sentence else "none" for sentence in sentences]


def agreement_with_labels(
    symbols: Int[Tensor, "B"], split: Split, *, questions: bool = True
) -> dict[str, dict[str, float]]:
    """Each measure of AGREEMENT, and of BEYOND where sentences with and without "?" both occur, by key and label.

    Args:
        symbols: one code for each sentence of the split; of several discrete variables, the number of their joint code.
        split: its labels are compared with, those that no sentence has left out.
        questions: whether what symbols tell beyond the question mark is of interest.

    Raises:
        DataError: another number of symbols than of sentences.
    """
    labels = {name: values for name, values in split.labels.items() if any(values)}
    agreement = {name: latent.cluster_agreement(symbols, values) for name, values in labels.items()}
    measures = {
        key: {name: float(getattr(scores, attribute)) for name, scores in agreement.items()}
        for key, attribute in AGREEMENT.items()
    }
    known = question_marks(split.sentences) if questions else []
    if len(set(known)) == 2:
        beyond = {name: latent.information_beyond(symbols, values, known) for name, values in labels.items()}
        measures |= {
            key: {name: float(getattr(scores, attribute)) for name, scores in beyond.items()}
            for key, attribute in BEYOND.items()
        }
    return measures
