"""All measures of a trained model of sentences on a test split, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit, evaluation_batches
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.coverage import MANY_UNKNOWN, text_bytes, unknown_note, unknown_share
from svebm_ext.data.documents import kept_labels
from svebm_ext.evaluation.evaluate_samples import measure_samples
from svebm_ext.evaluation.evaluator import Evaluator
from svebm_ext.evaluation.topic_text import SHOWN, group_lines
from svebm_ext.evaluation.topics import (
    IN_REPORT,
    find_topic_groups,
    find_topics,
    topic_lines,
    topic_sentences,
)
from svebm_ext.evaluation.verdict import accuracy_sentence, agreement_sentence, weak_classes_sentence
from svebm_ext.judges.plain import evenly_spread, tfidf_kmeans, tfidf_logistic_regression
from svebm_ext.latents.base import Posterior
from svebm_ext.measures import latent
from svebm_ext.measures.bleu import corpus_bleu
from svebm_ext.models.latent_variable import Batch
from svebm_ext.models.svebm import SVEBM
from svebm_ext.processes import ALONE, Processes

#: Corpora whose reports say whether the plain way is better, and show topics: others have their own tables.
OWN_TEXT = ("lines", "assistant")
#: Topics are shown with shares and examples of at most so many texts, of the test split if it has at least so many.
TOPIC_TEXTS, FEW_TEST_TEXTS = 5000, 300
#: Most training texts behind trigram chains of topics, and behind the plain classifier.
CHAIN_TEXTS, CLASSIFIER_TEXTS = 5000, 50_000


class Decoded(NamedTuple):
    """Some sentences through the model: their rows [B], mu(x) [B, D], log p(y|mu(x)) and answers, words of mu(x)."""

    rows: Tensor
    means: Tensor
    log_categories: Tensor | None
    answers: Tensor | None
    sentences: list[list[int]]


class SentenceEvaluator(Evaluator):
    """All measures that a model of sentences has; arguments are those of `Evaluator`."""

    shared = Evaluator.shared | {"reconstruction", "samples"}
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

    def plain_ways(self) -> None:
        """Text of one's own: the same measures of k-means and of logistic regression; sentences that compare them."""
        if self.corpus.name not in OWN_TEXT or self._answers is None or self._answers.shape[1] != 1:
            return
        metrics, train, test = self.evaluation.metrics, self.corpus.train, self.corpus.test
        ours: dict[str, float] = metrics.get("adjusted_mutual_information", {})
        if ours:
            clusters = torch.tensor(tfidf_kmeans(train.sentences, test.sentences, self._answers.shape[-1], self.seed))
            plain = {name: latent.cluster_agreement(clusters, test.labels[name], n_permutations=0) for name in ours}
            metrics["adjusted_mutual_information_tfidf"] = {
                name: scores.adjusted_mutual_information for name, scores in plain.items()
            }
        if self._truth is not None and self._predicted is not None:
            rows = (self._truth >= 0).nonzero()[:, 0]
            right = (self._predicted == self._truth)[rows].tolist()
            self.evaluation.summary.append(accuracy_sentence(right, self._plain_classifier(rows)))
            answers, truth = self._predicted[rows].tolist(), self._truth[rows].tolist()
            weak = weak_classes_sentence(answers, truth, self.model.label_names)
            self.evaluation.summary += [] if weak is None else [weak]
            return
        for name, value in ours.items():
            own = self.corpus.name == "lines" and len(ours) == 1
            theirs = metrics["adjusted_mutual_information_tfidf"][name]
            sentence = agreement_sentence(metrics["symbols_used"], None if own else name, value, theirs, len(test))
            self._compare_groups(name, own)
            self.evaluation.summary.append(sentence)

    def _compare_groups(self, label: str, own: bool) -> None:
        """The same of groups of symbols, where these are in two levels."""
        metrics, test, groups = self.evaluation.metrics, self.corpus.test, self.model.groups
        if groups is None:
            return
        clusters = torch.tensor(tfidf_kmeans(self.corpus.train.sentences, test.sentences, groups.n_groups, self.seed))
        plain = latent.cluster_agreement(clusters, test.labels[label], n_permutations=0).adjusted_mutual_information
        metrics.setdefault("adjusted_mutual_information_groups_tfidf", {})[label] = plain
        ours = metrics["adjusted_mutual_information_groups"][label]
        n_groups = metrics["groups_used"]
        sentence = agreement_sentence(n_groups, None if own else label, ours, plain, len(test), what="group")
        self.evaluation.summary.append(sentence)

    def _plain_classifier(self, rows: Tensor) -> list[bool] | None:
        """Whether logistic regression classifies each of some test texts correctly; None where nothing is to learn."""
        names, train = self.model.label_names, self.corpus.train
        label = self.model.config.data.label or next(iter(sorted(train.labels)), "")
        ids = {name: i for i, name in enumerate(names)}
        values = train.labels.get(label, [])
        kept = kept_labels(torch.tensor([ids.get(value, -1) for value in values]), self.model.config, names)
        chosen = evenly_spread((kept >= 0).nonzero()[:, 0].tolist(), CLASSIFIER_TEXTS)
        if not any(train.sentences[i] for i in chosen):
            return None
        predicted = tfidf_logistic_regression(
            [train.sentences[i] for i in chosen],
            [values[i] for i in chosen],
            [self.corpus.test.sentences[i] for i in rows.tolist()],
        )
        assert self._truth is not None
        right = [ids[name] == k for name, k in zip(predicted, self._truth[rows].tolist(), strict=True)]
        self.evaluation.metrics["accuracy_tfidf"] = sum(right) / len(right)
        self.evaluation.counts["labelled texts of the plain classifier"] = len(chosen)
        return right

    def topics(self) -> None:
        """Text of one's own: topics with shares, words, texts, and sentences beside those of trigram chains."""
        if self.corpus.name not in OWN_TEXT or self._answers is None or self._answers.shape[1] != 1:
            return
        test, train = self.corpus.test, _spread(self.corpus.train, CHAIN_TEXTS)
        train_answers = self._answers_of(train)
        if len(test) >= min(FEW_TEST_TEXTS, len(train)):
            rows = evenly_spread(range(len(test)), TOPIC_TEXTS)
            shown, answers, what = _chosen(test, rows), self._answers[list(rows), 0], "test"
        else:
            rows = evenly_spread(range(len(train)), TOPIC_TEXTS)
            shown, answers, what = _chosen(train, rows), train_answers[list(rows)], "training"
        topics, groups = find_topics(self.model, shown, answers), find_topic_groups(self.model, shown, answers)
        kind = "class" if self.model.label_names else "topic"
        # All words, which `classify` shows; texts of those alone that are shown with texts.
        self.evaluation.topics = [
            topic.entry() for topic in (*topics[:SHOWN], *(t._replace(texts=[]) for t in topics[SHOWN:]))
        ]
        self.evaluation.topics_of = f"{len(shown):,} {what} texts"
        if not self.evaluation.summary:
            n, within = len(topics), f" in {len(groups)} groups" if groups else ""
            counted = f"{n} {kind if n == 1 else _plural(kind)}{within}"
            self.evaluation.summary.append(f"{counted} in {self.evaluation.topics_of}.")
        self.evaluation.groups = [group.entry() for group in groups]
        if groups:
            heading = f"Groups of {_plural(kind)}, the largest first"
            self.evaluation.first[heading] = group_lines(groups, topics)
        largest = topics[:IN_REPORT]
        self.evaluation.first[f"The largest {_plural(kind)} of {self.evaluation.topics_of}"] = topic_lines(largest)
        self.evaluation.first[f"Sentences of each {kind}"] = topic_sentences(
            self.model, largest, train, train_answers.argmax(-1).tolist(), seed=self.seed
        )

    def _answered(self, batch: Batch, posterior: Posterior) -> Tensor:
        """log p(y|x) [B, n, K] of a family that has symbols, as the model answers."""
        answers = self.model.networks.answers(batch, posterior)
        assert answers is not None
        return answers

    def _answers_of(self, split: Split) -> Tensor:
        """log p(y|x) [B, K] of texts, as the model answers."""
        encoded, networks = self.encode_split(split), self.model.networks
        assert self._answers is not None
        answers = torch.empty(len(split), self._answers.shape[-1])
        for rows in evaluation_batches(encoded.lengths, 256):
            batch = self.batch(rows, encoded)
            answered = self._answered(batch, networks.posterior(batch))
            answers[batch.indices.cpu()] = answered[:, 0].float().cpu()
        return answers


def _plural(kind: str) -> str:
    return {"class": "classes"}.get(kind, kind + "s")


def _spread(split: Split, limit: int) -> Split:
    """At most so many of the texts, evenly spread, without labels."""
    return _chosen(split, evenly_spread(range(len(split)), limit))


def _chosen(split: Split, rows: Sequence[int]) -> Split:
    texts = None if split.texts is None else [split.texts[i] for i in rows]
    return Split([split.sentences[i] for i in rows], texts=texts)
