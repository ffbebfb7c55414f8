"""What a report says of text of one's own: whether the plain way is better, and the topics with words and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from svebm_ext.data.batching import evaluation_batches
from svebm_ext.data.corpus import Split
from svebm_ext.data.documents import kept_labels
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
from svebm_ext.judges.plain import evenly_spread, tfidf_kmeans_starts, tfidf_logistic_regression
from svebm_ext.latents.base import Posterior
from svebm_ext.measures import latent
from svebm_ext.models.latent_variable import Batch

#: Corpora whose reports say whether the plain way is better, and show topics: others have their own tables.
OWN_TEXT = ("lines", "assistant")
#: Topics are shown with shares and examples of at most so many texts, of the test split if it has at least so many.
TOPIC_TEXTS, FEW_TEST_TEXTS = 5000, 300
#: Most training texts behind trigram chains of topics, and behind the plain classifier.
CHAIN_TEXTS, CLASSIFIER_TEXTS = 5000, 50_000


#: Starts of k-means beside the model; parts of the test texts, each of which is left out once.
KMEANS_STARTS, PARTS = 3, 10


@dataclass(frozen=True)
class _Control:
    """k-means beside symbols: its adjusted mutual information with a label from each start, and the standard error of
    the difference."""

    each: list[float]
    error: float

    @property
    def mean(self) -> float:
        return sum(self.each) / len(self.each)

    @classmethod
    def of(cls, symbols: Tensor, starts: Sequence[Tensor], labels: Sequence[str]) -> _Control:
        """Both beside the labels of the test texts, "" where one has none; the error by the jackknife of groups."""
        rows = [i for i, label in enumerate(labels) if label]

        def agreement(codes: Tensor, chosen: Sequence[int]) -> float:
            told = latent.cluster_agreement(codes[list(chosen)], [labels[i] for i in chosen], n_permutations=0)
            return told.adjusted_mutual_information

        each = [agreement(codes, rows) for codes in starts]
        if len(rows) < 2 * PARTS:
            return cls(each, 0.0)
        kept = [[row for i, row in enumerate(rows) if i % PARTS != part] for part in range(PARTS)]
        leads = torch.tensor([agreement(symbols, some) - agreement(starts[0], some) for some in kept])
        return cls(each, float(((PARTS - 1) / PARTS * (leads - leads.mean()).square().sum()).sqrt()))


class OwnTextEvaluator(Evaluator):
    """Measures of text of one's own, of sentences and of bags of words; arguments are those of `Evaluator`."""

    def plain_ways(self) -> None:
        """Text of one's own: the same measures of k-means and of logistic regression; sentences that compare them."""
        if self.corpus.name not in OWN_TEXT or self._answers is None or self._answers.shape[1] != 1:
            return
        metrics, test = self.evaluation.metrics, self.corpus.test
        ours: dict[str, float] = metrics.get("adjusted_mutual_information", {})
        symbols = self._answers[:, 0].argmax(-1)
        controls: dict[str, _Control] = {}
        if ours:
            starts = self._kmeans(self._answers.shape[-1])
            controls = {name: _Control.of(symbols, starts, test.labels[name]) for name in ours}
            metrics["adjusted_mutual_information_tfidf"] = {name: one.mean for name, one in controls.items()}
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
            plain, n_used = controls[name], metrics["symbols_used"]
            sentence = agreement_sentence(
                n_used, None if own else name, value, plain.each, len(test), error=plain.error
            )
            self._compare_groups(name, own)
            self.evaluation.summary.append(sentence)

    def _compare_groups(self, label: str, own: bool) -> None:
        """The same of groups of symbols, where these are in two levels."""
        metrics, test, groups = self.evaluation.metrics, self.corpus.test, self.model.groups
        if groups is None:
            return
        assert self._answers is not None
        of = torch.tensor(groups.of)[self._answers[:, 0].argmax(-1)]
        plain = _Control.of(of, self._kmeans(groups.n_groups), test.labels[label])
        metrics.setdefault("adjusted_mutual_information_groups_tfidf", {})[label] = plain.mean
        ours, n_groups = metrics["adjusted_mutual_information_groups"][label], metrics["groups_used"]
        sentence = agreement_sentence(
            n_groups, None if own else label, ours, plain.each, len(test), error=plain.error, what="group"
        )
        self.evaluation.summary.append(sentence)

    def _kmeans(self, k: int) -> list[Tensor]:
        """Clusters of the test texts by k-means, of several starts."""
        train, test = self.corpus.train.sentences, self.corpus.test.sentences
        return [torch.tensor(codes) for codes in tfidf_kmeans_starts(train, test, k, self.seed, KMEANS_STARTS)]

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
        others = (train, train_answers) if what == "test" else None
        topics = find_topics(self.model, shown, answers, others)
        groups = find_topic_groups(self.model, shown, answers, others)
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
            self.evaluation.summary += self._held_out_labels(kind)
        self.evaluation.groups = [group.entry() for group in groups]
        if groups:
            heading = f"Groups of {_plural(kind)}, the largest first"
            self.evaluation.first[heading] = group_lines(groups, topics)
        largest = topics[:IN_REPORT]
        self.evaluation.first[f"The largest {_plural(kind)} of {self.evaluation.topics_of}"] = topic_lines(largest)
        if self.model.kind.is_ordered:  # a bag of words writes nothing
            self.evaluation.first[f"Sentences of each {kind}"] = topic_sentences(
                self.model, largest, train, train_answers.argmax(-1).tolist(), seed=self.seed
            )

    def _held_out_labels(self, kind: str) -> list[str]:
        """How often the words that teach the model are right about a label that was held out, where that is known."""
        guide = self.model.networks.guide
        share = 0.0 if guide is None or kind != "class" else float(guide.reliability)
        told = (
            f"{share:.0%} of the labels are told rightly by the words of the other labelled texts (cross-validation)."
        )
        return [told] if share else []

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
