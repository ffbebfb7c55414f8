"""What a report says of text of one's own: whether the plain way is better, and the topics with words and texts."""

from __future__ import annotations

from collections.abc import Sequence

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
from svebm_ext.judges.plain import evenly_spread, tfidf_kmeans, tfidf_logistic_regression
from svebm_ext.latents.base import Posterior
from svebm_ext.measures import latent
from svebm_ext.models.latent_variable import Batch

#: Corpora whose reports say whether the plain way is better, and show topics: others have their own tables.
OWN_TEXT = ("lines", "assistant")
#: Topics are shown with shares and examples of at most so many texts, of the test split if it has at least so many.
TOPIC_TEXTS, FEW_TEST_TEXTS = 5000, 300
#: Most training texts behind trigram chains of topics, and behind the plain classifier.
CHAIN_TEXTS, CLASSIFIER_TEXTS = 5000, 50_000


class OwnTextEvaluator(Evaluator):
    """Measures of text of one's own, of sentences and of bags of words; arguments are those of `Evaluator`."""

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
        if self.model.kind.is_ordered:  # a bag of words writes nothing
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
