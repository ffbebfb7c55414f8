"""What measures say in plain sentences: how good a model is, and whether it is better than the plain way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from svebm_ext.measures.classification import wilson_interval

#: Accuracy on fewer labelled texts is given with its 95 % interval.
FEW_TEXTS = 100
#: Classes that are named as weak, at most.
WEAKEST = 3
#: Quantile of chi-squared with one degree of freedom: McNemar's test at 5 %.
CHI_SQUARED = 3.841
#: I(z, y) below which several symbols say next to nothing (nats).
LITTLE_INFORMATION = 0.1
#: Standard errors within which ends of log Z that have crossed agree.
CROSSING_ERRORS = 3.0
KMEANS, LOGISTIC_REGRESSION = "TF-IDF + k-means", "TF-IDF + logistic regression"
#: Standard errors that a lead in AMI has, at least.
CLEAR = 2.0
UNCLEAR = "Neither is clearly better here."
BETTER, EQUAL, WORSE = "The model is better here.", "Both are equally good here.", "The plain way is better here."


def crossing_remark(lower: float, upper: float, error: float) -> str | None:
    """What there is to say of a lower end of log Z above its upper end; None where it is not.

    Args:
        lower, upper: the ends, in nats.
        error: Monte Carlo standard error of their difference.
    """
    gap = lower - upper
    if not gap > 0:
        return None
    if gap <= CROSSING_ERRORS * error:
        return (
            f"The lower end is {gap:.2g} nats above the upper one, within their Monte Carlo error ({error:.2g} nats): "
            "they agree"
        )
    return (
        f"The lower end is {gap:.2g} nats above the upper one, more than their Monte Carlo error ({error:.2g} nats) "
        "explains: take more chains or temperatures"
    )


def agreement_sentence(
    n_topics: int,
    label: str | None,
    ours: float,
    plain: Sequence[float],
    n_texts: int | None = None,
    *,
    error: float = 0.0,
    what: str = "topic",
) -> str:
    """How well topics agree with labels, and whether k-means agrees better.

    A lead counts where it is one on every start of k-means, by CLEAR standard errors of the test texts.

    Args:
        n_topics: topics that some test text has.
        label: name of the label; None where there is only one, the user's own.
        ours: adjusted mutual information of the model.
        plain: that of k-means from several starts; none where it was not measured.
        n_texts: test texts that topics were counted on.
        error: standard error of the difference, of which test texts there are.
        what: topic, or group of topics.
    """
    against = "your labels" if label is None else f"label {label!r}"
    counted = "" if n_texts is None else f" in {n_texts:,} test texts"
    text = f"{_counted(n_topics, what)}{counted}; against {against} AMI {ours:.2f}"
    if not plain:
        return f"{text} (0 is chance, 1 is identity)."
    clear = CLEAR * error
    verdict = BETTER if ours - max(plain) > clear else WORSE if min(plain) - ours > clear else UNCLEAR
    least, most = (f"{end:.2f}" for end in (min(plain), max(plain)))
    told = f"{KMEANS}: {sum(plain) / len(plain):.2f}" + (f", {least} to {most} by its start" if least != most else "")
    return f"{text} ({told}; 0 is chance, 1 is identity). {verdict}"


def accuracy_sentence(right: Sequence[bool], plain_right: Sequence[bool] | None) -> str:
    """Accuracy on labelled texts, and whether logistic regression has a better one.

    A lead counts where McNemar's test finds it at 5 %; a smaller one is said to be no more than chance.

    Args:
        right: whether the model classified each labelled test text correctly.
        plain_right: whether logistic regression did, if it was measured.
    """
    n, n_right = len(right), sum(right)
    text = f"Accuracy {100 * n_right / n:.1f} %"
    if n < FEW_TEXTS:
        low, high = wilson_interval(n_right, n)
        text += f" ({100 * low:.1f} to {100 * high:.1f}, {n} {'text' if n == 1 else 'texts'})"
    else:
        text += f" on {n:,} labelled test texts"
    if plain_right is None:
        return text + "."
    ours = sum(a and not b for a, b in zip(right, plain_right, strict=True))
    theirs = sum(b and not a for a, b in zip(right, plain_right, strict=True))
    verdict = EQUAL
    if ours != theirs:
        verdict = BETTER if ours > theirs else WORSE
        if (ours - theirs) ** 2 < CHI_SQUARED * (ours + theirs):
            verdict = verdict.rstrip(".") + ", but by no more than chance explains."
    aside = f"{LOGISTIC_REGRESSION}: {100 * sum(plain_right) / n:.1f} %"
    return f"{text[:-1]}; {aside}). {verdict}" if text.endswith(")") else f"{text} ({aside}). {verdict}"


def weak_classes_sentence(answers: Sequence[int], truth: Sequence[int], names: Sequence[str]) -> str | None:
    """The classes that are recognised worse than the others, with what they are taken for; None where there are none.

    A class is one of them where even the upper end of the 95 % interval of its share of right answers lies below the
    share over all classes. WEAKEST of them are named.

    Args:
        answers: class that the model gives to each labelled test text.
        truth: class that it has; a number beyond `names` is one that was not learnt.
        names: of the classes.
    """
    counts, right = Counter(truth), Counter(k for k, said in zip(truth, answers, strict=True) if k == said)
    overall = right.total() / max(1, len(truth))
    weak = [k for k, n in counts.items() if k < len(names) and wilson_interval(right[k], n)[1] < overall]
    weak = sorted(weak, key=lambda k: (right[k] / counts[k], k))[:WEAKEST]
    told = []
    for k in weak:
        wrong = Counter(said for was, said in zip(truth, answers, strict=True) if was == k != said)
        other, n = wrong.most_common(1)[0]
        told.append(f"{names[k]!r} ({right[k]} of {counts[k]} right, {n} taken for {names[other]!r})")
    return f"Weakest class{'' if len(told) == 1 else 'es'}: {', '.join(told)}." if told else None


def symbol_warnings(
    symbols: Sequence[int], n_symbols: int, information: float, labels: Mapping[str, Sequence[str]]
) -> list[str]:
    """Sentences about symbols that hardly tell texts apart; none where they do.

    Args:
        symbols: of each test text.
        n_symbols: K, the symbols that the model has.
        information: I(z, y) in nats.
        labels: of the test texts by name, "" where one has none. A label whose largest class has more than half of
            the texts makes a symbol as large no matter for a warning.
    """
    if n_symbols < 2 or not symbols:
        return []
    warnings, counts = [], Counter(symbols)
    share = max(counts.values()) / len(symbols)
    if share > 0.5 and not any(_largest_share([v for v in values if v]) > 0.5 for values in labels.values()):
        warnings.append(f"one symbol has {share:.0%} of the test texts")
    asked = min(n_symbols, len(symbols))
    if len(counts) < asked / 2:
        warnings.append(f"{len(counts)} of {asked} symbols are in use on the test texts")
    if information < LITTLE_INFORMATION:
        warnings.append(f"I(z, y) is {information:.2f} nats: z says next to nothing about the symbol")
    return warnings


def _largest_share(values: Sequence[str]) -> float:
    return max(Counter(values).values()) / len(values) if values else 0.0


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
