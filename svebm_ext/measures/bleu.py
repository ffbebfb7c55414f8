"""BLEU of reconstructions on tokenised text."""

from collections.abc import Sequence
from dataclasses import dataclass

from svebm_ext.errors import DataError


@dataclass(frozen=True)
class BleuScore:
    """Corpus BLEU-4 from 0 to 100, and the signature that says how it was computed."""

    score: float
    signature: str


def corpus_bleu(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> BleuScore:
    """Corpus BLEU-4 of tokenised hypotheses, one reference each.

    Counts of matching 1- to 4-grams are summed over the whole corpus, so a sentence shorter than four tokens costs
    nothing by itself. Tokens are compared as they are (`tokenize="none"`, case kept): they are joined with blanks and
    split at white space again.

    Args:
        hypotheses: tokens of each reconstruction, without begin, end and padding symbols.
        references: tokens of each original sentence, in the same order.

    Raises:
        DataError: for no sentences, or unequal numbers of hypotheses and references.

    Source: Papineni et al., BLEU, ACL 2002; Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018 (sacrebleu).
    """
    if len(hypotheses) != len(references):
        raise DataError(f"BLEU needs one reference per hypothesis, got {len(hypotheses)} and {len(references)}")
    if not hypotheses:
        raise DataError("BLEU needs at least one sentence, got none")
    from sacrebleu.metrics import BLEU

    # `force` only silences the advice not to score tokenised text, which is what is wanted here.
    metric = BLEU(tokenize="none", force=True)
    result = metric.corpus_score([" ".join(tokens) for tokens in hypotheses], [[" ".join(row) for row in references]])
    return BleuScore(score=float(result.score), signature=str(metric.get_signature()))
