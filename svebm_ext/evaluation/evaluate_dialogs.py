"""All measures of a trained model of dialogs on a test split: responses, reconstructions, symbols as actions."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from svebm_ext.data.batching import evaluation_batches
from svebm_ext.data.corpora import ROOT_VARIABLE
from svebm_ext.data.dialogs import DialogSplit, without_mark
from svebm_ext.data.embeddings import WordVectors, load_word_vectors
from svebm_ext.errors import DataError
from svebm_ext.evaluation.evaluate_sentences import SentenceEvaluator
from svebm_ext.evaluation.report import ACTIONS, RESPONSES
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.markdown import table_row
from svebm_ext.measures import latent
from svebm_ext.measures.bleu import corpus_bleu
from svebm_ext.measures.embedding_similarity import embedding_similarity
from svebm_ext.models.cut import marked
from svebm_ext.models.dialog import DialogNetworks
from svebm_ext.randomness import Draw

#: Symbols and utterances of each on the page of actions.
N_ACTIONS, N_UTTERANCES = 12, 5
#: On the page of responses: contexts, symbols and responses of each; samples behind p(y|c), and behind its responses.
N_CONTEXTS, N_SYMBOLS, N_RESPONSES = 4, 4, 3
N_SAMPLES, N_TRIES = 128, 8


class DialogEvaluator(SentenceEvaluator):
    """The measures that responses in dialogs have.

    A response is decoded greedily at a z from the prior given the context; a consensus is the one of several that is
    most like the others; a reconstruction is decoded at mu(x, c). The paper's Table 3 is of responses.
    """

    shared = SentenceEvaluator.shared | {"divergences", "responses"}
    test: DialogSplit

    def parts(self) -> list[Callable[[], None]]:
        """What is measured, in order."""
        reason = "dialogs are measured by their responses"
        if isinstance(self.model.networks.latent, ConditionalEnergyLatent):
            reason = "the prior's log Z is another for each context, and is not estimated for all"
        self.evaluation.reasons |= dict.fromkeys(("nll", "ppl", "elbo", "log_z_lower", "log_z_upper"), reason)
        self.evaluation.reasons["wkl"] = "responses depend on contexts, which samples of the prior alone do not have"
        return [self.divergences, self.reconstruction, self.responses, self.symbols, self.actions, self.choices]

    def divergences(self) -> None:
        """-log p(x|z, c) at z from q(z|x, c), and at the z of another response; KL of q to the prior's reference."""
        networks = self.model.networks
        family = networks.latent

        def measured(rows: Tensor) -> dict[str, float]:
            batch = self.batch(rows)
            passed = networks(batch, Draw(self.seed, 0), dropout=False)
            sums = {
                "reconstruction_nll": float(passed.nll.sum()),
                "reconstruction_nll_shuffled": float(networks.nll(batch, passed.z.roll(1, 0)).sum()),
                "kl": 0.0,
            }
            if isinstance(passed.posterior, GaussianPosterior):
                sums["kl"] = float(latent.kl_to_standard_normal(*passed.posterior.moments).sum())
            elif family.has_prior:
                sums["kl"] = float((passed.posterior.log_prob(passed.z) - family.log_prior(passed.z)).sum())
            return sums

        parts = self.processes.map(measured, evaluation_batches(self.test.lengths, 256))
        sums = {key: sum(part[key] for part in parts) for key in parts[0]}
        if not family.has_prior:
            del sums["kl"]
            self.evaluation.reasons["kl"] = "an autoencoder has no prior"
        self.evaluation.metrics.update({key: value / len(self.test) for key, value in sums.items()})

    def reconstruction(self) -> None:
        """BLEU, token accuracy and similarity of greedy decoding from mu(x, c); active units."""
        super().reconstruction()
        self._compare("reconstruction", "bleu_without_speakers", self._reconstructions)

    def responses(self) -> None:
        """BLEU and similarity of greedy responses at one z of the prior for each context, and of those at several."""
        responses = self._responses("response", 1)
        n_samples = self.model.config.evaluation.response_samples
        self._responses("consensus", n_samples)
        self.evaluation.counts["responses behind a consensus"] = n_samples
        chosen = range(0, len(self.test), max(1, len(self.test) // 6))
        self.evaluation.texts["Responses"] = [
            line
            for i in chosen
            for line in (
                f"context:  {' / '.join(self._text(turn) for turn in self.test.context(i)) or '(a dialog begins)'}",
                f"text:     {self._text(i)}",
                f"response: {marked(' '.join(responses[i]), len(responses[i]), self.model.max_words)}",
            )
        ]

    def _responses(self, kind: str, n_samples: int) -> list[list[str]]:
        """Responses to the test split, the consensus of so many each, whose measures begin with `kind`."""

        def responded(numbered: tuple[int, Tensor]) -> list[tuple[int, list[str]]]:
            batch = self.batch(numbered[1])
            words = self.model.response_to(batch, n_samples=n_samples, seed=self.seed + numbered[0])
            return list(zip(batch.indices.tolist(), words, strict=True))

        batches = list(enumerate(evaluation_batches(self.test.lengths, 256)))
        decoded = dict(pair for part in self.processes.map(responded, batches) for pair in part)
        responses = [decoded[i] for i in range(len(self.test))]
        bleu = corpus_bleu(responses, self.corpus.test.sentences)
        self.evaluation.metrics |= {f"{kind}_bleu": bleu.score, "bleu_signature": bleu.signature}
        self._compare(kind, f"{kind}_bleu_without_speakers", responses)
        return responses

    def _compare(self, kind: str, bleu_key: str, hypotheses: list[list[str]]) -> None:
        """BLEU without marks, and similarities by word vectors, of hypotheses for the test split."""
        metrics = self.evaluation.metrics
        plain = [without_mark(sentence) for sentence in hypotheses]
        references = [without_mark(sentence) for sentence in self.corpus.test.sentences]
        metrics[bleu_key] = corpus_bleu(plain, references).score
        keys = [f"{kind}_{name}" for name in ("average", "extrema", "greedy")]
        try:
            similarity = embedding_similarity(plain, references, self._word_vectors)
        except DataError as error:
            self.evaluation.reasons |= dict.fromkeys(keys, str(error))
            return
        metrics.update(zip(keys, (similarity.average, similarity.extrema, similarity.greedy), strict=True))
        self.evaluation.counts[f"{kind} pairs without known words"] = similarity.n_skipped

    @functools.cached_property
    def _word_vectors(self) -> WordVectors:
        """Vectors of the words of the test split, and of those that the model can say."""
        root = self.model.config.data.root or os.environ.get(ROOT_VARIABLE)
        if not root:
            raise DataError("word vectors need a data root (--data.root) with glove/glove.6B.50d.txt")
        sentences = (*self.corpus.test.sentences, self.model.vocabulary.tokens)
        words = {form for sentence in sentences for word in sentence for form in (word, word.lower())}
        return load_word_vectors(Path(root), words)

    # Pages ------------------------------------------------------------------------------------------------------

    def actions(self) -> None:
        """The page of actions: the most frequent symbols, and the utterances that have them most certainly."""
        if self._log_categories is None:
            return
        probability, categories = self._log_categories.exp().max(-1)
        certainty = probability.prod(-1)
        groups: dict[tuple[int, ...], list[int]] = {}
        for i, symbol in enumerate(map(tuple, categories.tolist())):
            groups.setdefault(symbol, []).append(i)
        frequent = sorted(groups, key=lambda symbol: (-len(groups[symbol]), symbol))[:N_ACTIONS]
        labels = self.corpus.test.labels
        heading = ["symbol", "turns", *(f"most frequent {name}" for name in labels), "utterances"]
        lines = [table_row(heading), table_row(["---"] * len(heading))]
        for symbol in frequent:
            members = groups[symbol]
            cells = ["-".join(map(str, symbol)), str(len(members))]
            for values in labels.values():
                name, count = Counter(values[i] for i in members).most_common(1)[0]
                cells.append(f"{name} ({count / len(members):.0%})")
            members.sort(key=lambda i: -float(certainty[i]))
            lines.append(table_row([*cells, "<br>".join(_distinct(map(self._text, members), N_UTTERANCES))]))
        about = (
            f"Actions found without labels on the test split of {self.corpus.name} (as Table 4 of the paper): the "
            f"{len(frequent)} most frequent of {len(groups)} symbols y = argmax p(y|z, c) at z = mu(x, c), and the "
            "utterances that have them with the highest probability."
        )
        self.evaluation.pages[ACTIONS] = "\n".join(["# Actions", "", about, "", *lines]) + "\n"

    def choices(self) -> None:
        """The page of responses: those to one context under each of its most probable symbols."""
        family = self.model.networks.latent
        if not isinstance(family, ConditionalEnergyLatent):
            return
        long = [i for i in range(len(self.test)) if len(self.test.context(i)) >= 2]
        lines = [
            "# Responses under different symbols",
            "",
            f"Contexts of the test split of {self.corpus.name} (as Table 5 of the paper), their most probable symbols "
            f"p(y|c), a mean over {N_SAMPLES} samples of p(z|c), and greedy responses at samples of p(z|y, c).",
        ]
        for i in long[:: max(1, len(long) // N_CONTEXTS)][:N_CONTEXTS]:
            lines += ["", *(f"> {_escaped(self._text(turn))}  " for turn in self.test.context(i))]
            lines += ["", f"In the corpus: {_escaped(self._text(i))}", ""]
            lines += [table_row(["symbol", "p(y|c)", "responses"]), table_row(["---"] * 3)]
            for symbol, probability in self._probable_symbols(i, family):
                texts = self._responses_under(i, symbol)
                lines.append(table_row([str(symbol), f"{probability:.3f}", "<br>".join(texts)]))
        self.evaluation.pages[RESPONSES] = "\n".join(lines) + "\n"

    def _probable_symbols(self, index: int, family: ConditionalEnergyLatent) -> list[tuple[int, float]]:
        """The symbols of largest p(y|c), with that."""
        batch = self.batch(torch.full((N_SAMPLES,), index))
        z = self.model.networks.sample_prior(batch, seed=self.seed)
        networks = self.model.networks
        assert isinstance(networks, DialogNetworks)
        shift = family.prior.context_shift(networks.encoder.context(batch))
        top = family.prior.log_posterior_symbol(z, shift).exp().mean(0).topk(min(N_SYMBOLS, family.n_categories))
        return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))

    def _responses_under(self, index: int, symbol: int) -> list[str]:
        """Different responses to a context under a symbol."""
        batch = self.batch(torch.full((N_TRIES,), index))
        z = self.model.networks.sample_prior(batch, seed=self.seed, symbol=symbol)
        responses = self.model.networks.decode(batch, z, max_tokens=self.model.max_words)
        words = map(self.model.vocabulary.decode, responses)
        return _distinct(map(self.model.to_read, words), N_RESPONSES)

    def _text(self, index: int) -> str:
        return " ".join(self.corpus.test.sentences[index])


def _distinct(texts: Iterable[str], n: int) -> list[str]:
    """The first n different texts, their marks shown as they are."""
    return [_escaped(text) for text in list(dict.fromkeys(texts))[:n]]


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")
