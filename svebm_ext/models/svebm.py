"""SVEBM: a trained text model as its users meet it: texts in, texts, symbols and numbers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.corpus import Split
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.sentence_vectors import SentenceVectors
from svebm_ext.data.subwords import Subwords
from svebm_ext.data.texts import Texts, each_text
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.data.writing import Writing
from svebm_ext.errors import ConfigError
from svebm_ext.kinds import EncodedTexts, kind_of
from svebm_ext.models.answers import Answering
from svebm_ext.models.card import model_card
from svebm_ext.models.cut import marked
from svebm_ext.models.decoders import Decoding
from svebm_ext.models.hub import model_folder, push
from svebm_ext.models.latent_variable import Batch, LatentVariableModel
from svebm_ext.models.networks import networks_of
from svebm_ext.models.of_symbol import Asked, generated_words
from svebm_ext.models.pretrained import WEIGHTS, FolderContent, read_folder, write_folder
from svebm_ext.models.reading import chunks_of
from svebm_ext.models.responses import batches_of_contexts, words_of_responses
from svebm_ext.models.tensor_files import load_parameters, uninitialised
from svebm_ext.models.text_likelihood import nll_of_texts
from svebm_ext.ops.arguments import Arguments, shown

if TYPE_CHECKING:
    from typing_extensions import Unpack

CALLS = Arguments("model")
#: Texts that are generated at a time.
GENERATED = 256


class SVEBM(Answering):
    """Text model with a continuous vector z and a symbol y (Pang & Wu, ICML 2021).

    The baselines are the same class with another latent family (`config.model.latent`).

    Args:
        config: the configuration it is built from and saved with.
        vocabulary: words of the model.
        label_names: name of each symbol, where the model learnt from labels.
        writing: how its words are written, or its subwords; None joins words by spaces.

    Example:
        >>> model = SVEBM.from_pretrained("runs/assistant")  # doctest: +SKIP
        >>> model.generate(5, symbol=3)  # doctest: +SKIP
    """

    def __init__(
        self,
        config: Config,
        vocabulary: Vocabulary,
        label_names: Sequence[str] = (),
        writing: Writing | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        self.label_names = list(label_names)
        self.writing = writing
        #: Hash of the texts of one's own that it was trained on, by which a file that is not the run's is noticed.
        self.texts_sha256: str | None = None
        encoder = config.model.pretrained_encoder
        #: Vectors of sentences by the frozen encoder, opened when texts come in; None where the model has none.
        self.vectors: SentenceVectors | None = None if encoder is None else SentenceVectors(encoder)
        #: What its examples are, chosen once.
        self.kind = kind_of(config.model).of_texts()
        self.networks: LatentVariableModel = networks_of(config, len(vocabulary))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters: float32, or float64 after `double()`.

        Raises:
            ConfigError: another one, in which the ops do not compute.
        """
        dtype = next(self.parameters()).dtype
        if dtype not in (torch.float32, torch.float64):
            raise ConfigError(
                f"model: its parameters are {dtype}; expected torch.float32 or torch.float64 (call .float()); for "
                'products in 16 bits keep those and generate with precision="fast", or train under torch.autocast'
            )
        return dtype

    @property
    def max_words(self) -> int:
        """Most words of a sentence, begin and end marks not counted."""
        return self.config.data.max_tokens - 2

    # Texts in and out -------------------------------------------------------------------------------------------

    def batches(self, texts: Texts) -> Iterator[SentenceBatch | DocumentBatch]:
        """Texts (strings, or lists of words) as packed batches, or as bags of words; `indices` tell which are where.

        Raises:
            DataError: something that is no text, or a text without a word; the message names its place.
        """
        for chunk in chunks_of(self, texts):
            yield from chunk.batches(self.device)

    def of_each(
        self, texts: Texts, of_batch: Callable[[SentenceBatch | DocumentBatch], Tensor], first: int = 0
    ) -> Tensor | None:
        """What a function makes of the rows of batches, in the order of the texts; None where there are none."""
        results = [chunk.in_order(self.device, of_batch) for chunk in chunks_of(self, texts, first=first)]
        return torch.cat(results) if results else None

    def encode_split(self, split: Split, *, keep: bool = False) -> EncodedTexts:
        """A split as the networks read it; `keep`: vectors of its sentences beside the run, where they have some."""
        if self.vectors is not None:
            split = self.vectors.with_vectors(split, self.writing, keep=keep)
        return self.kind.encode(split, self.vocabulary, self.config)

    def n_without_known_word(self, texts: Texts) -> int:
        """How many texts (DataError: one is none) have no word of the vocabulary: nothing can be told of them."""
        words = (self.kind.words(text, self.config.data, self.writing) for text in each_text(texts))
        return sum(not any(map(self.vocabulary.knows, sentence)) for sentence in words)

    def to_text(self, ids: Sequence[int]) -> str:
        """Text of the ids, written as the training text is."""
        return self.written(self.vocabulary.decode(list(ids)))

    def written(self, words: Sequence[str]) -> str:
        """Text of the words, written as the training text is; joined by spaces where nothing is known of that."""
        return " ".join(words) if self.writing is None else self.writing.to_text(words)

    def to_read(self, words: Sequence[str]) -> str:
        """The same of decoded words for the eye: " ..." stands behind a sentence that the longest length has cut."""
        return marked(self.written(words), len(words), self.max_words)

    def shown(self, word: str) -> str:
        """A word of the vocabulary for the eye: of a subword, the text that it stands for."""
        return self.writing.to_text([word]).strip() or word if isinstance(self.writing, Subwords) else word

    @torch.no_grad()
    def encode(self, texts: Texts) -> Float[Tensor, "B D"]:
        """Posterior means mu(x), in the order of the texts."""
        means = self.of_each(texts, lambda batch: self.networks.encode(batch).to(self.dtype))
        none = (0, self.networks.latent.latent_dim)
        return torch.empty(none, dtype=self.dtype, device=self.device) if means is None else means

    @torch.no_grad()
    def decode(
        self,
        z: Float[Tensor, "B D"],
        *,
        greedy: bool = True,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        precision: str = "fp32",
    ) -> list[str]:
        """Text of each vector: the most probable word at each step, or ancestral samples.

        Args:
            z: vectors.
            greedy: take the most probable word instead of sampling.
            temperature: divides the logits before sampling.
            top_k: sample among the k most probable words only; 0: all.
            top_p: ... and among the fewest most probable words with this probability together; 1: all.
            seed: of the samples; row i depends on the seed and i alone.
            precision: "fast": native kernels may round weights and states to 16 bits; words that are nearly as
                probable may change places.

        Raises:
            ConfigError: an option out of range.
        """
        words = self.decode_words(
            z, greedy=greedy, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, precision=precision
        )
        return [self.written(sentence) for sentence in words]

    @torch.no_grad()
    def decode_words(
        self, z: Float[Tensor, "B D"], *, seed: int = 0, ids: Tensor | None = None, **options: Unpack[Decoding]
    ) -> list[list[str]]:
        """The same by words, as the vocabulary has them; `ids` [B] address the random numbers, by default 0 .. B-1."""
        if CALLS.tensor("z", z, "[B, D]").dim() != 2 or not z.is_floating_point():
            CALLS.fail("z", shown(z), f"vectors [B, {self.networks.latent.latent_dim}]")
        z = z.to(self.dtype)
        ids = torch.arange(z.shape[0], dtype=torch.int64, device=z.device) if ids is None else ids
        sentences: list[list[int]] = []
        for part, part_ids in zip(z.split(GENERATED), ids.split(GENERATED), strict=True):
            sentences += self.networks.decoder.decode(
                part,
                max_tokens=self.max_words,
                seed=seed,
                ids=part_ids,
                **options,
                **self.networks.symbol_argument(part),
            )
        return [self.vocabulary.decode(sentence) for sentence in sentences]

    def generate(
        self,
        n: int,
        *,
        symbol: Asked | None = None,
        read_back: bool | None = None,
        seed: int = 0,
        **options: Unpack[Decoding],
    ) -> list[str]:
        """Sentences from the prior: z by Langevin from p(z), or from p(z|y = symbol), then x from p(x|z).

        Args:
            n: how many.
            symbol: y, 0 .. K-1, or None for the marginal prior (Eq. 4). As a text it is an address: "3" for all of
                group 3 and "3.2" for a symbol of it, where the symbols have groups. Several numbers: any of them.
            read_back: of a symbol, keep sentences that the model itself reads as that symbol
                (`svebm_ext.models.of_symbol`); None: where words guided the symbols.
            seed: of z and of sampled words.
            options: greedy, temperature, top_k, top_p, precision, as for `decode`.

        Raises:
            ConfigError: a symbol or option out of range, or a model without symbols or prior.
        """
        return list(map(self.written, self.generate_words(n, symbol=symbol, read_back=read_back, seed=seed, **options)))

    def generate_words(
        self,
        n: int,
        *,
        symbol: Asked | None = None,
        read_back: bool | None = None,
        seed: int = 0,
        **options: Unpack[Decoding],
    ) -> list[list[str]]:
        """Words of sentences from the prior; arguments and errors as for `generate`."""
        return generated_words(self, n, symbol=symbol, read_back=read_back, seed=seed, **options)

    @torch.no_grad()
    def respond(
        self,
        contexts: Sequence[Sequence[str]],
        *,
        symbol: int | None = None,
        n_samples: int = 1,
        seed: int = 0,
        **options: Unpack[Decoding],
    ) -> list[str]:
        """A response to each context: z by Langevin from p(z|c), or from p(z|y = symbol, c), then x from p(x|z, c).

        Of several samples the one is taken that is most like the others (`svebm_ext.models.consensus`): safer than a
        single one, less various.

        Args:
            contexts: the turns before each response, oldest first; none where a dialog begins. Only the last
                `model.context_turns` count. A model that was trained with speaker marks expects them ("<driver> hi").
            symbol: y, 0 .. K-1, or None for the marginal prior.
            n_samples: z of each context.
            seed: of z and of sampled words.
            options: greedy, temperature, top_k, top_p, precision, as for `decode`.

        Raises:
            ConfigError: a symbol or option out of range, or a model that was not trained on dialogs.
            DataError: a context that is one turn in place of a list.
        """
        self.kind.check_responses()
        responses: list[str] = []
        for number, batch in enumerate(batches_of_contexts(self, contexts)):
            words = self.response_to(batch, n_samples=n_samples, seed=seed + number, symbol=symbol, **options)
            responses += map(self.written, words)
        return responses

    def response_to(
        self,
        batch: Batch,
        *,
        n_samples: int = 1,
        seed: int = 0,
        symbol: int | None = None,
        **options: Unpack[Decoding],
    ) -> list[list[str]]:
        """Words of a response to each row of a batch of dialogs; arguments and errors as for `respond`."""
        return words_of_responses(self, batch, n_samples=n_samples, seed=seed, symbol=symbol, **options)

    def reconstruct(self, texts: Texts) -> list[str]:
        """Greedy decoding of mu(x)."""
        return self.decode(self.encode(texts))

    def interpolate(self, start: str, end: str, n: int = 7) -> list[str]:
        """n sentences decoded on the straight line between the posterior means of two texts, ends included."""
        n = CALLS.integer("n", n)
        if n < 2:
            raise ConfigError(f"n: {n} given, expected at least 2 points")
        z = self.encode([start, end])
        weights = torch.linspace(0, 1, n, dtype=z.dtype, device=z.device)[:, None]
        return self.decode((1 - weights) * z[0] + weights * z[1])

    # Likelihood -------------------------------------------------------------------------------------

    @torch.no_grad()
    def nll(
        self,
        texts: Texts,
        *,
        n_samples: int = 100,
        log_z: float | None = None,
        proposal_scale: float = 1.0,
        seed: int = 0,
        first: int = 0,
    ) -> Float[Tensor, "B"]:
        """-log p(x) of each text in nats, importance-weighted with M samples of q(z|x).

        Args:
            texts: B texts.
            n_samples: M.
            log_z: log normaliser of the prior (`log_z_upper` in metrics.json); needed by the energy family.
            proposal_scale: factor on the standard deviations of q(z|x) (`nll_proposal_scale` in metrics.json).
            seed: of the samples.
            first: number of the first text, which addresses its samples: parts of a list have those of the whole.

        Raises:
            ConfigError: the family has no likelihood, or log_z is missing.
        """  # fmt: skip
        return nll_of_texts(
            self, texts, n_samples=n_samples, log_z=log_z, proposal_scale=proposal_scale, seed=seed, first=first
        )

    # Folder in, folder out --------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path, metrics: dict | None = None) -> None:
        """Write a complete model folder: config.json, model.safetensors, vocab.json, metrics.json, MODEL_CARD.md."""
        write_folder(Path(folder), self._content(), self.card(metrics), metrics)

    def push_to_hub(self, repository: str, *, private: bool = False, metrics: dict | None = None) -> str:
        """Put a model folder into a repository "user/name" of the Hugging Face Hub; see `svebm_ext.models.hub.push`."""
        return push(lambda folder: self.save_pretrained(folder, metrics), repository, private=private)

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, device: str | torch.device = "cpu", *, revision: str | None = None
    ) -> SVEBM:
        """Model of a folder, or of a repository "user/name" of the Hugging Face Hub; see `hub.model_folder`.

        Raises:
            ModelFolderError: missing or damaged file, wrong shapes, unknown keys, vocabulary of another size.
        """
        folder = model_folder(folder, revision)
        content = read_folder(folder)
        with uninitialised("cpu"):  # where the tensors are, whatever torch's default device is
            model = cls(content.config, content.vocabulary, content.label_names, content.writing)
        model.texts_sha256 = content.texts_sha256
        if content.groups is not None:
            model.groups = content.groups
        if model.vectors is not None:
            model.vectors = SentenceVectors.of_folder(model.vectors.name, content.encoder, folder)
        model.networks.float()  # what torch's default type is does not matter to what a folder holds
        load_parameters(model.networks, content.tensors, str(folder / WEIGHTS))
        return model.eval().to(device)

    def description(self) -> dict:
        """What config.json holds: the configuration and the names of the symbols."""
        return self._content().description()

    def card(self, metrics: dict | None = None) -> str:
        """MODEL_CARD.md: what the model is, what it was trained on, what was measured."""
        n = sum(p.numel() for p in self.parameters())
        return model_card(self.config, len(self.vocabulary), n, self.label_names, metrics, self.groups)

    def _content(self) -> FolderContent:
        encoder, tensors = None if self.vectors is None else self.vectors.identity, self.networks.state_dict()
        return FolderContent(
            self.config,
            self.vocabulary,
            self.label_names,
            self.writing,
            self.texts_sha256,
            tensors,
            encoder,
            self.groups,
        )
