"""Rows of Table 8 that are no SVEBM: how each is trained on the documents of a run, and what it leaves in its folder.

A row's configuration is that of the document model, read so: `model.document_hidden`, `document_dropout`,
`word_dropout`, `latent_dim` are those of the networks; `training` and `optimiser` have iterations, batch sizes and
learning rate. Which documents have a label comes from `data`.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from svebm_ext.baselines.class_mixture import ClassMixture, train_mixture
from svebm_ext.baselines.fitting import Curve, Fit, predict
from svebm_ext.baselines.text_classifier import AverageClassifier, self_train, train_classifier
from svebm_ext.baselines.vampire import TopicModel, pretrain
from svebm_ext.baselines.word_vectors import cooccurrences, train_glove, vectors_for
from svebm_ext.config import BagModel, Config, DataConfig, to_dict
from svebm_ext.data.corpora import ROOT_VARIABLE, load_configured
from svebm_ext.data.corpus import Split
from svebm_ext.data.documents import DocumentSplit, content_words, kept_labels
from svebm_ext.data.embeddings import load_word_vectors
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.evaluation.report import ReportContext, write_report
from svebm_ext.experiments.rows import Run
from svebm_ext.files import JsonObject, write_json
from svebm_ext.judges.semi_supervised import count_matrix, naive_bayes_em, self_training
from svebm_ext.measures.classification import accuracy, expected_calibration_error
from svebm_ext.measures.documentation import CORE_METRICS
from svebm_ext.models.folder import CONFIG
from svebm_ext.presets import preset
from svebm_ext.training.feeds import class_ids, training_label
from svebm_ext.training.loggers import MetricsFile
from svebm_ext.training.run import build_vocabulary
from svebm_ext.training.runtime import Runtime

#: Rounds of self-training, after the supervised one.
ROUNDS = 5
#: Numbers of a word vector, as the published ones have.
VECTOR_DIM = 50


@dataclass(frozen=True)
class Documents:
    """The splits as bags of words, all labels of the training split known; its text, for word vectors."""

    train: DocumentSplit
    valid: DocumentSplit
    test: DocumentSplit
    vocabulary: Vocabulary
    text: Split


@dataclass(frozen=True)
class Task:
    """What a system is given: documents of which few have a label, a configuration and a device."""

    documents: Documents
    train: DocumentSplit
    config: Config
    device: torch.device

    @property
    def networks(self) -> BagModel:
        """Options of the networks."""
        return BagModel.of(self.config.model)

    @property
    def settings(self) -> Fit:
        """Of a training on labelled documents."""
        training = self.config.training
        return Fit(
            training.max_steps, training.labelled_batch_size, self.config.optimiser.learning_rate,
            self.config.optimiser.weight_decay, training.validate_every, self.config.seed,
        )  # fmt: skip

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.train.classes)


#: log p(y|x) of the test documents [B, K], and validation accuracies on the way.
Answer = tuple[Tensor, Curve]


@functools.lru_cache(maxsize=1)
def read_documents(data: DataConfig) -> Documents:
    """The corpus of AG News's preset with other data, every label known; kept for the runs that share it."""
    config = replace(preset("agnews-svebm-ib"), data=data)
    corpus = load_configured(data)
    label, classes = training_label(corpus, config)
    vocabulary = build_vocabulary(corpus, config)
    train = DocumentSplit.from_split(corpus.train, vocabulary, label, classes)
    others = []
    for split in (corpus.valid, corpus.test):
        encoded = DocumentSplit.from_split(split, vocabulary)
        others.append(replace(encoded, labels=class_ids(split, label, classes), classes=classes))
    return Documents(train, others[0], others[1], vocabulary, corpus.train)


def _without_labels(config: Config) -> Config:
    """What does not depend on labels is made once for all numbers of them: the key by which it is kept."""
    return replace(config, data=replace(config.data, n_labelled=0))


# Systems --------------------------------------------------------------------------------------------------------


def naive_bayes(task: Task) -> Answer:
    """Naive Bayes with expectation-maximisation (Nigam et al. 2000)."""
    model = naive_bayes_em(task.train, task.n_classes)
    valid = task.documents.valid
    right = accuracy(model.log_probabilities(valid).argmax(-1), valid.labels)
    return model.log_probabilities(task.documents.test), [(10, right)]


def logistic_regression(task: Task) -> Answer:
    """Self-training logistic regression on TF-IDF."""
    model = self_training(task.train)
    log_probabilities = [
        torch.from_numpy(model.predict_proba(count_matrix(split))).clamp_min(1e-12).log()
        for split in (task.documents.valid, task.documents.test)
    ]
    return log_probabilities[1], [(10, accuracy(log_probabilities[0].argmax(-1), task.documents.valid.labels))]


def _classifier(task: Task, vectors: Tensor | None = None, n_features: int = 0) -> AverageClassifier:
    torch.manual_seed(task.config.seed)
    model = task.networks
    dim = VECTOR_DIM if vectors is None else vectors.shape[1]
    classifier = AverageClassifier(
        task.train.n_words, dim, model.document_hidden, task.n_classes, vectors=vectors, n_features=n_features,
        dropout=model.document_dropout, word_dropout=model.word_dropout,
    )  # fmt: skip
    return classifier.to(task.device)


def _with_vectors(task: Task, vectors: Tensor | None) -> Answer:
    model = _classifier(task, vectors)
    curve = train_classifier(model, task.train, task.documents.valid, task.settings, task.device)
    return predict(model, task.documents.test, task.device), curve


def supervised(task: Task) -> Answer:
    """Average of word vectors that start at random, on the labelled documents alone."""
    return _with_vectors(task, None)


def self_trained(task: Task) -> Answer:
    """The same, taking confident predictions as labels."""
    documents = task.documents
    model, curve = self_train(
        lambda: _classifier(task), task.train, documents.valid, task.settings, task.device, n_rounds=ROUNDS
    )
    return predict(model, documents.test, task.device), curve


@functools.lru_cache(maxsize=1)
def _glove_in_domain(config: Config) -> Tensor:
    documents = read_documents(config.data)
    pairs = cooccurrences(list(content_words(documents.text.sentences)), documents.vocabulary)
    epochs = 15 if config.training.max_steps >= 100 else 1
    return train_glove(pairs, documents.train.n_words, VECTOR_DIM, n_epochs=epochs, seed=config.seed)


def glove_in_domain(task: Task) -> Answer:
    """The same with GloVe vectors of the training documents' text."""
    return _with_vectors(task, _glove_in_domain(_without_labels(task.config)))


def glove_out_of_domain(task: Task) -> Answer:
    """The same with published GloVe vectors."""
    vocabulary = task.documents.vocabulary
    known = load_word_vectors(vector_root(task.config.data.root), vocabulary.tokens)
    return _with_vectors(task, vectors_for(vocabulary, known, seed=task.config.seed))


def vector_root(root: Path | None) -> Path:
    """Folder that holds glove/glove.6B.50d.txt: the data root."""
    return root or Path(os.environ.get(ROOT_VARIABLE, "."))


@functools.lru_cache(maxsize=1)
def _topics(config: Config, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """VAMPIRE's features of the three splits."""
    documents, model, training = read_documents(config.data), BagModel.of(config.model), config.training
    torch.manual_seed(config.seed)
    topics = TopicModel(
        documents.train.n_words, model.latent_dim, model.document_hidden, documents.train.log_frequencies(),
        dropout=model.document_dropout,
    ).to(device)  # fmt: skip
    rate = config.optimiser.learning_rate
    pretrain(
        topics, documents.train, Fit(training.max_steps, training.batch_size, rate, seed=config.seed), device
    )  # fmt: skip
    train, valid, test = (topics.features(split) for split in (documents.train, documents.valid, documents.test))
    return train, valid, test


def vampire(task: Task) -> Answer:
    """The same with the frozen features of a topic model beside the average (Gururangan et al. 2019)."""
    train, valid, test = _topics(_without_labels(task.config), task.device)
    model = _classifier(task, n_features=train.shape[1])
    curve = train_classifier(model, task.train, task.documents.valid, task.settings, task.device, (train, valid))
    log_probabilities = predict(lambda batch: model(batch, test[batch.indices]), task.documents.test, task.device)
    return log_probabilities, curve


def class_mixture(task: Task, *, hard: bool) -> Answer:
    """CatVAE, or Hard EM (Jin et al. 2020)."""
    torch.manual_seed(task.config.seed)
    config = task.config
    options = task.networks
    model = ClassMixture(
        task.train.n_words, task.n_classes, options.latent_dim, options.document_hidden,
        task.train.log_frequencies(), dropout=options.document_dropout, word_dropout=options.word_dropout,
    ).to(task.device)  # fmt: skip
    curve = train_mixture(
        model, task.train, task.documents.valid, task.settings, task.device, hard=hard,
        n_unlabelled=config.training.batch_size, label_weight=config.objective.label_weight,
    )  # fmt: skip
    return predict(model.logits, task.documents.test, task.device), curve


SYSTEMS: dict[str, Callable[[Task], Answer]] = {
    "nb-em": naive_bayes,
    "self-training-lr": logistic_regression,
    "supervised": supervised,
    "self-training": self_trained,
    "glove-id": glove_in_domain,
    "glove-od": glove_out_of_domain,
    "vampire": vampire,
    "hard-em": functools.partial(class_mixture, hard=True),
    "catvae": functools.partial(class_mixture, hard=False),
}


# A run ----------------------------------------------------------------------------------------------------------


def make(run: Run, learn: Callable[[Task], Answer], system: str) -> JsonObject:
    """Train a system, measure it on the test split, and write config.json, metrics.jsonl, metrics.json, report.md.

    Args:
        run: of the row.
        learn: trains the system.
        system: its name.

    Returns:
        The content of metrics.json.
    """
    config, begin = run.config, time.monotonic()
    runtime = Runtime.alone(config.training.device)
    documents = read_documents(_without_labels(config).data)
    labels = kept_labels(documents.train.labels, config, documents.train.classes)
    train = replace(documents.train, labels=labels)
    run.folder.mkdir(parents=True, exist_ok=True)
    write_json(run.folder / CONFIG, {"config": to_dict(config), "system": system})
    answer, curve = learn(Task(documents, train, config, runtime.device))
    seconds = round(time.monotonic() - begin, 3)
    log = MetricsFile(run.folder / "metrics.jsonl")
    for step, value in curve:
        log.write({"step": step, "valid_accuracy": value, "seconds": seconds})
    test = documents.test
    metrics = {
        "accuracy": accuracy(answer.argmax(-1), test.labels),
        "calibration_error": expected_calibration_error(answer.exp(), test.labels),
    }
    counts = {
        "classified examples": int((test.labels >= 0).sum()),
        "labelled documents": int((labels >= 0).sum()),
        "training documents": len(train),
    }
    cuda = runtime.device.type == "cuda"
    context = ReportContext(
        title=f"{run.row.name} on {config.data.corpus}",
        configuration=to_dict(config),
        seed=config.seed,
        device=torch.cuda.get_device_name() if cuda else f"cpu, {torch.get_num_threads()} threads",
        sample_counts=counts,
    )
    return write_report(run.folder, metrics, context, dict.fromkeys(CORE_METRICS, "a classifier has no such measure"))
