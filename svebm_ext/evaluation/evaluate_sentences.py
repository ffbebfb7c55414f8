"""All measures of a trained model of sentences on a test split, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit, evaluation_batches
from svebm_ext.data.corpus import Corpus
from svebm_ext.data.coverage import MANY_UNKNOWN, text_bytes, unknown_note, unknown_share
from svebm_ext.evaluation.evaluate_own_text import OwnTextEvaluator
from svebm_ext.evaluation.evaluate_samples import measure_samples
from svebm_ext.measures import latent
from svebm_ext.measures.bleu import corpus_bleu
from svebm_ext.models.svebm import SVEBM
from svebm_ext.processes import ALONE, Processes


class Decoded(NamedTuple):
    """Some sentences through the model: their rows [B], mu(x) [B, D], log p(y|mu(x)) and answers, words of mu(x)."""

    rows: Tensor
    means: Tensor
    log_categories: Tensor | None
    answers: Tensor | None
    sentences: list[list[int]]


class SentenceEvaluator(OwnTextEvaluator):
    """All measures that a model of sentences has; arguments are those of `Evaluator`."""

    shared = OwnTextEvaluator.shared | {"reconstruction", "samples"}
    test: EncodedSplit

    def __init__(
        self,
        model: SVEBM,
        corpus: Corpus,
        *,
        seed: int = 0,
        say: Callable[[str], None] = print,
        processes: Processes = ALONE,
    ) -> None:
        super().__init__(model, corpus, seed=seed, say=say, processes=processes)
        unknown = unknown_share(self.corpus.test.sentences, self.model.vocabulary)
        self.evaluation.metrics["unknown_share"] = unknown
        if unknown > MANY_UNKNOWN:
            self.evaluation.warnings.append(unknown_note(unknown, self.model.config.data))
        self._greedy: list[list[str]] = []
        self._reconstructions: list[list[str]] = []

    def split_counts(self) -> dict[str, int]:
        """What the report tells of the size of the test split."""
        return {"test sentences": len(self.test), "test sentences cut to max-tokens": self.test.n_truncated}

    def n_bytes(self, rows: Tensor) -> int:
        """UTF-8 bytes of some test sentences, those alone that the model reads."""
        sizes = text_bytes(self.corpus.test, self.model.max_words)
        return sum(sizes[i] for i in rows.tolist())

    def parts(self) -> list[Callable[[], None]]:
        """What is measured, in order."""
        return [
            self.normaliser,
            self.likelihoods,
            self.annealed,
            self.reconstruction,
            self.symbols,
            self.plain_ways,
            self.samples,
            self.grammar,
            self.topics,
        ]

    def reconstruction(self) -> None:
        """BLEU and token accuracy of greedy decoding from mu(x); active units."""
        family = self.model.networks.latent
        if not family.has_features:
            for key in ("bleu", "active_units"):
                self.evaluation.reasons[key] = "a model without latent variables does not reconstruct"
            return
        means = torch.empty(len(self.test), family.latent_dim)
        log_categories: dict[int, Tensor] = {}
        answers: dict[int, Tensor] = {}
        decoded: dict[int, list[int]] = {}
        for part in self.processes.map(self._decoded, evaluation_batches(self.test.lengths, 256)):
            indices = part.rows.tolist()
            means[part.rows] = part.means
            if part.log_categories is not None and part.answers is not None:
                log_categories.update(zip(indices, part.log_categories, strict=True))
                answers.update(zip(indices, part.answers, strict=True))
            decoded.update(zip(indices, part.sentences, strict=True))
        vocabulary = self.model.vocabulary
        hypotheses = [vocabulary.decode(decoded[i]) for i in range(len(self.test))]
        self._reconstructions = hypotheses
        bleu = corpus_bleu(hypotheses, self.corpus.test.sentences)
        end = [vocabulary.END]
        exact = latent.reconstruction_accuracy(
            [decoded[i] + end for i in range(len(self.test))], [self.test.words(i) + end for i in range(len(self.test))]
        )
        self.evaluation.metrics.update(
            bleu=bleu.score,
            bleu_signature=bleu.signature,
            reconstruction_accuracy=exact.token,
            reconstruction_exact=exact.sentence,
            active_units=latent.active_units(means),
        )
        if log_categories:
            self._log_categories = torch.stack([log_categories[i] for i in range(len(self.test))])
            self._answers = torch.stack([answers[i] for i in range(len(self.test))])
        self.evaluation.texts["Reconstructions"] = [
            line
            for i in range(min(5, len(self.test)))
            for line in (
                f"text:           {self.model.written(self.corpus.test.sentences[i])}",
                f"reconstruction: {self.model.to_read(hypotheses[i])}",
            )
        ]

    def _decoded(self, rows: Tensor) -> Decoded:
        """Some sentences of the test split through the model: mu(x), symbols, and what mu(x) decodes to."""
        batch, networks = self.batch(rows), self.model.networks
        posterior = networks.posterior(batch)
        z, categories = posterior.mean, posterior.log_categories
        sentences = networks.decode(batch, z, max_tokens=self.model.max_words)
        answers = None if categories is None else self._answered(batch, posterior).float().cpu()
        log_categories = None if categories is None else categories.float().cpu()
        return Decoded(batch.indices.cpu(), z.float().cpu(), log_categories, answers, sentences)

    def samples(self) -> None:
        """wKL and reverse perplexity of sentences from the prior, greedy and ancestral; samples to read."""
        self._greedy = measure_samples(
            self.model, self.corpus, self.evaluation, seed=self.seed, say=self._say,
            aggregate=self.aggregate_posterior, processes=self.processes,
        )  # fmt: skip

    def aggregate_posterior(self, n: int) -> Tensor:
        """z [n, D] of the mean of q(z|x) over the training split: each sentence in turn, all of them again if need be.

        The order is a seeded permutation, so that consecutive z are of unrelated sentences.
        """
        split, networks = self.encode_split(self.corpus.train), self.model.networks
        z = torch.empty(n, networks.latent.latent_dim, device=self.model.device)
        order = self._shuffled(len(split))
        place = torch.argsort(order).to(z.device)
        batches = [
            (first, order[: n - first][rows])
            for first in range(0, n, len(split))
            for rows in evaluation_batches(split.lengths[order[: n - first]], 256)
        ]

        def sampled(part: tuple[int, Tensor]) -> tuple[Tensor, Tensor]:
            batch = self.batch(part[1], split)
            ids = part[0] + place[batch.indices]
            return ids.cpu(), networks.posterior(batch).importance_samples(1, seed=self.seed, ids=ids)[0].cpu()

        for ids, samples in self.processes.map(sampled, batches):
            z[ids] = samples.to(z)
        return z

    def grammar(self) -> None:
        """On the embedded corpus: its entropy, and the share of samples that its grammar accepts."""
        if self.corpus.name != "assistant":
            return
        from svebm_ext.data.assistant import assistant_grammar

        grammar = assistant_grammar()
        self.evaluation.metrics["entropy"] = grammar.entropy
        if self._greedy:
            chosen = self._greedy[: self.options.grammar_samples]
            self.evaluation.metrics["grammar_accept"] = sum(map(grammar.accepts, chosen)) / len(chosen)
            self.evaluation.counts["grammar samples"] = len(chosen)
