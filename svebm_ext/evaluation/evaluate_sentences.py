"""All measures of a trained model of sentences on a test split, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit, collate, evaluation_batches
from svebm_ext.data.corpus import Split
from svebm_ext.data.coverage import MANY_UNKNOWN, text_bytes, unknown_note, unknown_share
from svebm_ext.data.dialogs import sentence_encoder
from svebm_ext.evaluation import latent
from svebm_ext.evaluation.bleu import corpus_bleu
from svebm_ext.evaluation.evaluate_samples import measure_samples
from svebm_ext.evaluation.evaluator import Evaluator


class SentenceEvaluator(Evaluator):
    """All measures that a model of sentences has; arguments are those of `Evaluator`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        unknown = unknown_share(self.corpus.test.sentences, self.model.vocabulary)
        self.found.metrics["unknown_share"] = unknown
        if unknown > MANY_UNKNOWN:
            self.found.warnings.append(unknown_note(unknown, self.model.config.data))
        self._greedy: list[list[str]] = []
        self._reconstructions: list[list[str]] = []

    def encode_split(self, split: Split) -> EncodedSplit:
        """A split as the model reads it."""
        config = self.model.config
        return sentence_encoder(config.model)(split, self.model.vocabulary, config.data.max_tokens)

    def split_counts(self, test: Any) -> dict[str, int]:
        """What the report tells of the size of the test split."""
        return {"test sentences": len(test), "test sentences cut to max-tokens": test.n_truncated}

    def n_bytes(self, rows: Tensor) -> int:
        """UTF-8 bytes of some test sentences, those alone that the model reads."""
        sizes = text_bytes(self.corpus.test, self.model.max_words)
        return sum(sizes[i] for i in rows.tolist())

    def batch(self, rows: Tensor, split: Any = None) -> Any:
        """Examples of a split, the test split unless another is given, as a batch of the model."""
        return collate(self.test if split is None else split, rows).to(self.model.device)

    def parts(self) -> list[Callable[[], None]]:
        """What is measured, in order."""
        return [
            self.normaliser,
            self.likelihoods,
            self.annealed,
            self.reconstruction,
            self.symbols,
            self.samples,
            self.grammar,
        ]

    def reconstruction(self) -> None:
        """BLEU and token accuracy of greedy decoding from mu(x); active units."""
        family = self.model.networks.latent
        if not family.has_features:
            for key in ("bleu", "active_units"):
                self.found.reasons[key] = "a model without latent variables does not reconstruct"
            return
        networks, words = self.model.networks, self.model.max_words
        means = torch.empty(len(self.test), family.latent_dim)
        log_categories: dict[int, Tensor] = {}
        answers: dict[int, Tensor] = {}
        decoded: dict[int, list[int]] = {}
        for rows in evaluation_batches(self.test.lengths, 256):
            batch = self.batch(rows)
            posterior = family.posterior(networks.encoder(batch))
            z = family.mean(posterior)
            means[batch.indices.cpu()] = z.float().cpu()
            categories = family.log_categories(posterior)
            if categories is not None:
                log_categories.update(zip(batch.indices.tolist(), categories.float().cpu(), strict=True))
                answered = cast(Tensor, networks.answers(batch, posterior))
                answers.update(zip(batch.indices.tolist(), answered.float().cpu(), strict=True))
            decoded.update(zip(batch.indices.tolist(), networks.decode(batch, z, max_tokens=words), strict=True))
        vocabulary = self.model.vocabulary
        hypotheses = [vocabulary.decode(decoded[i]) for i in range(len(self.test))]
        self._reconstructions = hypotheses
        bleu = corpus_bleu(hypotheses, self.corpus.test.sentences)
        end = [vocabulary.END]
        exact = latent.reconstruction_accuracy(
            [decoded[i] + end for i in range(len(self.test))], [self.test.words(i) + end for i in range(len(self.test))]
        )
        self.found.metrics.update(
            bleu=bleu.score,
            bleu_signature=bleu.signature,
            reconstruction_accuracy=exact.token,
            reconstruction_exact=exact.sentence,
            active_units=latent.active_units(means),
        )
        if log_categories:
            self._log_categories = torch.stack([log_categories[i] for i in range(len(self.test))])
            self._answers = torch.stack([answers[i] for i in range(len(self.test))])
        self.found.texts["Reconstructions"] = [
            line
            for i in range(min(5, len(self.test)))
            for line in (
                f"text:           {self.model.written(self.corpus.test.sentences[i])}",
                f"reconstruction: {self.model.written(hypotheses[i])}",
            )
        ]

    def samples(self) -> None:
        """wKL and reverse perplexity of sentences from the prior, greedy and ancestral; samples to read."""
        self._greedy = measure_samples(
            self.model, self.corpus, self.found, seed=self.seed, say=self._say, aggregate=self.aggregate_posterior
        )

    def aggregate_posterior(self, n: int) -> Tensor:
        """z [n, D] of the mean of q(z|x) over the training split: each sentence in turn, all of them again if need be.

        The order is a seeded permutation, so that consecutive z are of unrelated sentences.
        """
        split, networks = self.encode_split(self.corpus.train), self.model.networks
        z = torch.empty(n, networks.latent.latent_dim, device=self.model.device)
        order = self._shuffled(len(split))
        place = torch.argsort(order).to(z.device)
        for first in range(0, n, len(split)):
            chosen = order[: n - first]
            for rows in evaluation_batches(split.lengths[chosen], 256):
                batch = self.batch(chosen[rows], split)
                ids = first + place[batch.indices]
                posterior = networks.latent.posterior(networks.encoder(batch))
                z[ids] = networks.latent.importance_samples(posterior, 1, seed=self.seed, ids=ids)[0]
        return z

    def grammar(self) -> None:
        """On the embedded corpus: its entropy, and the share of samples that its grammar accepts."""
        if self.corpus.name != "assistant":
            return
        from svebm_ext.data.assistant import assistant_grammar

        grammar = assistant_grammar()
        self.found.metrics["entropy"] = grammar.entropy
        if self._greedy:
            chosen = self._greedy[: self.options.grammar_samples]
            self.found.metrics["grammar_accept"] = sum(map(grammar.accepts, chosen)) / len(chosen)
            self.found.counts["grammar samples"] = len(chosen)
