"""Corpora, vocabulary, batching, and generated data."""

from .batching import BatchOrder, EncodedSplit, SentenceBatch, collate, evaluation_batches, padding_fraction
from .corpora import PUBLISHED, load_corpus
from .corpus import Corpus, Split, label_classes
from .coverage import text_bytes, unknown_share
from .documents import DocumentBatch, DocumentSplit, choose_labelled, collate_documents, document_vocabulary
from .download import download_corpus
from .embeddings import WordVectors, load_word_vectors
from .own_text import load_text
from .subwords import Subwords
from .surface import Surface
from .synthetic import PointBatch, log_density, mode_log_densities, sample_points
from .tokenize import tokenize
from .vocabulary import Vocabulary

__all__ = [
    "PUBLISHED",
    "BatchOrder",
    "Corpus",
    "DocumentBatch",
    "DocumentSplit",
    "EncodedSplit",
    "PointBatch",
    "SentenceBatch",
    "Split",
    "Subwords",
    "Surface",
    "Vocabulary",
    "WordVectors",
    "choose_labelled",
    "collate",
    "collate_documents",
    "document_vocabulary",
    "download_corpus",
    "evaluation_batches",
    "label_classes",
    "load_corpus",
    "load_text",
    "load_word_vectors",
    "log_density",
    "mode_log_densities",
    "padding_fraction",
    "sample_points",
    "text_bytes",
    "tokenize",
    "unknown_share",
]
