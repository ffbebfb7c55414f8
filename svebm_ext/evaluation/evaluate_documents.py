"""All measures of a trained model of bags of words on a test split."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from svebm_ext.data.documents import DocumentSplit
from svebm_ext.evaluation.documents import top_word_lines
from svebm_ext.evaluation.evaluate_own_text import OwnTextEvaluator
from svebm_ext.measures import latent


class DocumentEvaluator(OwnTextEvaluator):
    """The measures that bags of words have: likelihood, symbols against labels, classification, words of each class.

    Sentence in the name of a measure reads document; a document's likelihood leaves out the multinomial coefficient,
    as the objective does, so that it is that of its words in one given order.
    """

    shared = OwnTextEvaluator.shared | {"encodings"}
    test: DocumentSplit

    def split_counts(self) -> dict[str, int]:
        """What the report tells of the size of the test split."""
        return {"test documents": len(self.test), "test documents without a known word": self.test.n_empty}

    def parts(self) -> list[Callable[[], None]]:
        """What is measured, in order."""
        for key in ("bleu", "wkl"):
            self.evaluation.reasons[key] = "a bag of words has no order"
        return [
            self.normaliser,
            self.likelihoods,
            self.annealed,
            self.encodings,
            self.symbols,
            self.plain_ways,
            self.words,
            self.topics,
        ]

    def encodings(self) -> None:
        """mu(x) of every test document: active units, and the symbols for the measures that follow."""
        networks = self.model.networks

        def encoded(rows: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
            batch = self.batch(rows)
            posterior = networks.posterior(batch)
            told = posterior.log_categories, networks.answers(batch, posterior)
            by_vector, answers = (None if part is None else part.float().cpu() for part in told)
            return posterior.mean.float().cpu(), by_vector, answers

        parts = self.processes.map(encoded, torch.arange(len(self.test)).split(500))
        means = [part[0] for part in parts]
        categories = [part[1] for part in parts if part[1] is not None]
        answers = [part[2] for part in parts if part[2] is not None]
        self.evaluation.metrics["active_units"] = latent.active_units(torch.cat(means))
        if categories:
            self._log_categories, self._answers = torch.cat(categories), torch.cat(answers)

    def words(self) -> None:
        """The words that are typical of each symbol."""
        model = self.model
        lines = top_word_lines(model.networks, model.vocabulary, model.label_names, seed=self.seed)
        if lines:
            self.evaluation.first["Words of each symbol"] = lines
