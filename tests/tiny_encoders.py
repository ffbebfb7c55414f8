"""Encoders of sentences for tests: one that needs no package, and tiny ones of the real packages."""

import hashlib

import numpy as np

from svebm_ext.data.sentence_encoders import FoundEncoder

DIM = 6


def vector_of(text, dim=DIM):
    """A vector of the words of a text: sums of fixed random ones, so that texts of the same words are alike."""
    total = np.zeros(dim)
    for word in text.lower().split():
        number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        total += np.random.default_rng(number).standard_normal(dim)
    return (total + 1e-3).astype(np.float32)


class CountingEncoder:
    """Takes the place of what opens encoders; counts the texts that it has encoded and how often it was opened."""

    def __init__(self, dim=DIM):
        self.dim, self.texts, self.n_opened = dim, [], 0

    def open(self, found, device="cpu"):
        self.n_opened += 1
        return self.encode, self.dim

    def encode(self, texts):
        self.texts += texts
        return np.stack([vector_of(text, self.dim) for text in texts])


def write_encoder(folder, content=b"weights"):
    """A folder that looks like one of an encoder: its weights are some bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(content)
    (folder / "config.json").write_text("{}")
    return folder


def counting(monkeypatch, dim=DIM):
    """A `CountingEncoder` in place of the packages."""
    encoder = CountingEncoder(dim)
    monkeypatch.setattr(FoundEncoder, "open", lambda found, device="cpu": encoder.open(found, device))
    return encoder


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "cat", "dog", "sees", "likes", "moon", "boat", "it"]


def write_network(folder):
    """A tiny model of sentence-transformers with random weights; its vectors have 8 numbers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    plain = folder.parent / f"{folder.name}-plain"
    plain.mkdir(parents=True)
    (plain / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(plain)
    BertTokenizerFast(vocab_file=str(plain / "vocab.txt")).save_pretrained(plain)
    SentenceTransformer(str(plain), device="cpu", local_files_only=True).save(str(folder))
    return folder, plain


def write_static(folder):
    """A tiny model of model2vec; its vectors have 5 numbers. Returns the folder and the table of its words."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = WORDS[1:2] + WORDS[5:]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    table = np.random.default_rng(0).standard_normal((len(words), 5)).astype(np.float32)
    StaticModel(table, tokenizer, config={"normalize": False}).save_pretrained(folder)
    return folder, dict(zip(words, table, strict=True))
