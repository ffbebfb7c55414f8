"""Corpora, vocabulary, batching, and generated data."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .tokenize import tokenize  # a module has its name as well, so that it cannot wait

if TYPE_CHECKING:
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

# Imported where first used: who asks for the ending of a file's name does not wait for torch.
_HOMES = {
    "BatchOrder": "batching",
    "Corpus": "corpus",
    "DocumentBatch": "documents",
    "DocumentSplit": "documents",
    "EncodedSplit": "batching",
    "PUBLISHED": "corpora",
    "PointBatch": "synthetic",
    "SentenceBatch": "batching",
    "Split": "corpus",
    "Subwords": "subwords",
    "Surface": "surface",
    "Vocabulary": "vocabulary",
    "WordVectors": "embeddings",
    "choose_labelled": "documents",
    "collate": "batching",
    "collate_documents": "documents",
    "document_vocabulary": "documents",
    "download_corpus": "download",
    "evaluation_batches": "batching",
    "label_classes": "corpus",
    "load_corpus": "corpora",
    "load_text": "own_text",
    "load_word_vectors": "embeddings",
    "log_density": "synthetic",
    "mode_log_densities": "synthetic",
    "padding_fraction": "batching",
    "sample_points": "synthetic",
    "text_bytes": "coverage",
    "unknown_share": "coverage",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
