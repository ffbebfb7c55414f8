"""Which texts are worth a look: uncertain ones, ones that are unlike the rest, and a few to label next."""

from __future__ import annotations

from collections import Counter

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.exploration.content import LabelField, Sentence
from svebm_ext.exploration.encoded import Encoded

#: Texts that are proposed for labelling; and how many of the most uncertain they are chosen from: at least so many,
#: and at least this share.
PROPOSED, CANDIDATES, CANDIDATE_SHARE = 100, 200, 0.1
#: Texts that are most like one, by which it is told how new it is; and texts among which they are looked for.
NEIGHBOURS, COMPARED = 5, 10_000


def entropy(answers: Float[Tensor, "B K"]) -> Float[Tensor, "B"]:
    """Entropy of each answer in nats: 0 where one symbol is certain, log K where all are alike."""
    return torch.special.entr(answers).sum(-1)


def spread(z: Float[Tensor, "B D"], n: int) -> list[int]:
    """Rows that are far from one another: the first row, then each time the one that is farthest from those chosen.

    Args:
        z: vectors, the most wanted first.
        n: rows at most; vectors that are equal to chosen ones are left out.

    Source: Gonzalez, Clustering to Minimize the Maximum Intercluster Distance, Theoretical Computer Science 38, 1985.
    """
    chosen: list[int] = []
    row, distance = 0, torch.full((len(z),), torch.inf, dtype=z.dtype, device=z.device)
    while len(chosen) < min(n, len(z)) and float(distance[row]) > 0.0:
        chosen.append(row)
        distance = torch.minimum(distance, (z - z[row]).square().sum(-1))
        row = int(distance.argmax())
    return chosen


def worth_a_label(encoded: Encoded) -> list[int]:
    """Rows whose labels would tell most: uncertain texts, all different, and far from one another in z.

    They are a farthest-point traversal of the most uncertain texts, so that any number of them, from the first on, is
    spread. None for a model without symbols.
    """
    if encoded.answers is None:
        return []
    rows = torch.tensor(encoded.first, dtype=torch.long)
    order = entropy(encoded.answers)[rows].argsort(descending=True, stable=True)
    candidates = rows[order[: max(CANDIDATES, int(CANDIDATE_SHARE * len(rows)))]]
    return candidates[spread(encoded.z.double().cpu()[candidates], PROPOSED)].tolist()


def novelty(encoded: Encoded) -> Float[Tensor, "B"]:
    """How far each text is from its nearest ones in z, in units of the mean over all: 1 is usual, 2 is twice as far.

    The distance is the mean over the `NEIGHBOURS` nearest different texts, equal ones left out.
    """
    rows = torch.tensor(encoded.first, dtype=torch.long)
    number = {encoded.texts[row]: i for i, row in enumerate(encoded.first)}
    z = encoded.z.double().cpu()[rows]
    others = torch.arange(len(z))[:: max(1, -(-len(z) // COMPARED))]
    n = min(NEIGHBOURS, len(others) - 1)
    if n < 1:
        return torch.zeros(len(encoded.texts))
    parts = []
    for own in torch.arange(len(z)).split(1000):
        distance = torch.cdist(z[own], z[others]).masked_fill(own[:, None] == others, torch.inf)
        parts.append(distance.topk(n, largest=False).values.mean(-1))
    mean = torch.cat(parts)
    return (mean / mean.mean().clamp_min(1e-12))[[number[text] for text in encoded.texts]]


def table_of(encoded: Encoded) -> tuple[list[Sentence], list[LabelField]]:
    """Sentences with symbol, probability and labels, and what the labels' numbers mean."""
    fields = [
        LabelField(name, [value for value, _ in Counter(value for value in values if value).most_common()])
        for name, values in encoded.labels.items()
    ]
    numbers = [{value: i for i, value in enumerate(one.values)} for one in fields]
    n = len(encoded.texts)
    uncertain = torch.zeros(n) if encoded.answers is None else entropy(encoded.answers)
    columns = [[ids.get(v, -1) for v in encoded.labels[f.name]] for f, ids in zip(fields, numbers, strict=True)]
    labels = [list(own) for own in zip(*columns, strict=True)] if columns else [[] for _ in range(n)]
    rows = zip(
        encoded.texts, encoded.symbol.tolist(), encoded.probability.tolist(), labels, encoded.split, uncertain.tolist(),
        novelty(encoded).tolist(), encoded.of_group.tolist(), strict=True,
    )  # fmt: skip
    return [
        Sentence(text, k, round(p, 4), own, split, round(nats, 4), round(new, 3), round(of_group, 4))
        for text, k, p, own, split, nats, new, of_group in rows
    ], fields
