"""Feed of documents as bags of words, and how their networks start."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from svebm_ext.config import BagModel, Config
from svebm_ext.data.corpus import Corpus
from svebm_ext.data.documents import DocumentSplit
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import DataError
from svebm_ext.judges.semi_supervised import NaiveBayes, guessed_classes, naive_bayes_em
from svebm_ext.models.document import WORD_STD, DocumentDecoder, DocumentEncoder
from svebm_ext.models.encoders import FeatureEncoder
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.training.feeds.base import TextFeed
from svebm_ext.training.feeds.share import Share
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.validation import BagValidator


class DocumentFeed(TextFeed):
    """Documents of a corpus as bags of words, in random order; arguments are those of `TextFeed`.

    Raises:
        ConfigError: as `TextFeed`.
        DataError: a class has too few examples, or no document has a known word.
    """

    validator = BagValidator
    window = 1
    train: DocumentSplit
    valid: DocumentSplit

    def __init__(self, corpus: Corpus, vocabulary: Vocabulary, config: Config, runtime: Runtime) -> None:
        super().__init__(corpus, vocabulary, config, runtime)
        kind = config.objective.pseudo_labels
        self._guided = kind == "words"
        if config.objective.pseudo_label_weight > 0 and kind != "words":
            guesses = guessed_classes(self.train, self.naive_bayes, kind)
            guesses[self.train.labels >= 0] = 0.0
            self.guesses = F.pad(guesses, (0, config.model.n_categories - guesses.shape[1]))

    def check_examples(self) -> None:
        """Refuse documents without a known word (DataError)."""
        if self.train.n_empty == len(self.train):
            raise DataError(
                "no training document has a word of the vocabulary; --data.no-remove-stop-words keeps stop words and "
                "single characters, which are the words of Chinese here"
            )

    @functools.cached_property
    def naive_bayes(self) -> NaiveBayes:
        """Naive Bayes with EM on the documents and labels of the run.

        Raises:
            DataError: a class has no labelled document.
        """
        return naive_bayes_em(self.train, len(self.label_names))

    def n_guessed(self, share: Share) -> int:
        """Documents of an iteration that have a guess: those without a label, or all of them where words guide."""
        if self._guided:
            return super().n_guessed(share)
        assert self.guesses is not None
        return int((self.guesses[share.examples].sum(-1) > 0).sum())

    def start(self, networks: LatentVariableModel, config: Config) -> None:
        """Background and table of classes of the generator, first features of the encoder; see `start_words`."""
        encoder = networks.encoder.recurrent if isinstance(networks.encoder, FeatureEncoder) else networks.encoder
        assert isinstance(encoder, DocumentEncoder)
        assert isinstance(networks.decoder, DocumentDecoder)
        start_words(encoder, networks.decoder, self, config)

    def described(self, corpus: Corpus, vocabulary: Vocabulary, config: Config) -> str:
        """Sizes of the corpus, and documents without a known word."""
        sizes = " / ".join(f"{len(split):,}" for split in (corpus.train, corpus.valid, corpus.test))
        n_labelled = int((self.train.labels >= 0).sum())
        lines = [
            f"{corpus.name}: {sizes} documents (train / valid / test), {n_labelled:,} labelled, "
            f"{self.train.n_words:,} words, {self.steps_per_epoch:,} iterations an epoch"
        ]
        if self.train.n_empty:
            lines.append(f"{self.train.n_empty:,} training documents have no word of the vocabulary")
        if self.train.n_longer:
            most = BagModel.of(config.model).document_words
            lines.append(f"{self.train.n_longer:,} training documents are longer, and count as {most:,} words each")
        return "\n".join([*lines, *corpus.notes])


def start_words(encoder: DocumentEncoder, decoder: DocumentDecoder, feed: DocumentFeed, config: Config) -> None:
    """Give a generator of bags of words its background, and its table of classes a start where one is asked for.

    The table starts at log p(w|y) - log p(w), naive Bayes with EM on the labels of the run: softmax(background + T_y)
    then is p(w|y). Table rows beyond the classes of the label start at 0. The encoder's first 2K features (as many as
    there are) start at plus and minus log p(w|y) less its mean over classes, scaled to the spread of the others.
    """
    background = feed.train.log_frequencies()
    with torch.no_grad():
        decoder.background.copy_(background)
        if BagModel.of(config.model).class_words_start == "naive_bayes" and decoder.class_words is not None:
            table = feed.naive_bayes.log_words.float() - background
            decoder.class_words[: len(table)].copy_(table)
            ratios = table - table.mean(0)
            signed = torch.stack((ratios, -ratios)).flatten(0, 1)[: encoder.feature_dim] * (WORD_STD / ratios.std())
            encoder.words.weight[:, : len(signed)] = signed.T
