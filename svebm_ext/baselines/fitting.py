"""What the classifiers of documents share: a loop that keeps the best validated parameters, and predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.data.batching import BatchOrder
from svebm_ext.data.documents import DocumentBatch, DocumentSplit, collate_documents
from svebm_ext.errors import DataError

Logits = Callable[[DocumentBatch], Tensor]
#: Validation accuracy by iteration.
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Fit:
    """Settings of one training.

    Attributes:
        n_steps: iterations.
        batch_size: documents an iteration.
        learning_rate: of Adam.
        weight_decay: L2 penalty.
        validate_every: iterations between validations.
        seed: of the order of documents, of dropout and of initial parameters.
    """

    n_steps: int
    batch_size: int = 50
    learning_rate: float = 5e-3
    weight_decay: float = 0.0
    validate_every: int = 50
    seed: int = 0


def fit(
    model: nn.Module, loss: Callable[[int], Tensor], settings: Fit, score: Callable[[], float] | None = None
) -> Curve:
    """Train with Adam; the parameters of the best validation are kept, the last ones without validations.

    Args:
        model: in place.
        loss: of an iteration, from 0.
        settings: iterations and learning rate.
        score: validation accuracy of the model as it stands; None does not validate.

    Returns:
        The scores by iteration.
    """
    optimiser = torch.optim.Adam(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    curve: Curve = []
    best: dict[str, Tensor] = {}
    for step in range(settings.n_steps):
        model.train()
        optimiser.zero_grad(set_to_none=True)
        loss(step).backward()
        optimiser.step()
        done = step + 1
        if score is not None and (done % settings.validate_every == 0 or done == settings.n_steps):
            model.eval()
            value_now = score()
            if not curve or value_now > max(value for _, value in curve):
                best = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            curve.append((done, value_now))
    if best:
        model.load_state_dict(best)
    model.eval()
    return curve


class Labelled:
    """Batches of the documents that have a label.

    Args:
        documents: labels -1 where there is none.
        settings: batch size and seed.
        device: where batches go.

    Raises:
        DataError: no document has a label.
    """

    def __init__(self, documents: DocumentSplit, settings: Fit, device: torch.device) -> None:
        self._documents, self._device = documents, device
        self._rows = (documents.labels >= 0).nonzero()[:, 0]
        if len(self._rows) == 0:
            raise DataError("no document has a label to learn from")
        lengths = documents.lengths[self._rows]
        self._order = BatchOrder(lengths, min(settings.batch_size, len(self._rows)), settings.seed, window=1)

    def batch(self, step: int) -> DocumentBatch:
        """The batch of an iteration."""
        return collate_documents(self._documents, self._rows[self._order.batch(step)]).to(self._device)


@torch.no_grad()
def predict(logits: Logits, documents: DocumentSplit, device: torch.device) -> Float[Tensor, "B K"]:
    """log p(y|x) of all documents, in their order, on the CPU."""
    parts = []
    for rows in torch.arange(len(documents)).split(1000):
        batch = collate_documents(documents, rows).to(device)
        parts.append(logits(batch).float().log_softmax(-1).cpu())
    return torch.cat(parts)


def share_right(logits: Logits, documents: DocumentSplit, device: torch.device) -> float:
    """Share of the labelled documents whose most probable class is theirs; nan where none has a label."""
    known = documents.labels >= 0
    right = predict(logits, documents, device).argmax(-1)[known] == documents.labels[known]
    return float(right.double().mean())
