"""Model folders on the Hugging Face Hub, by the package huggingface_hub (extra `hub`); nothing is ever unpickled."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from svebm_ext import __version__
from svebm_ext.config import SEPARATOR, split_paths
from svebm_ext.data.writing import SURFACE, TOKENIZER
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.files import JsonObject, read_json, write_json, write_whole
from svebm_ext.models.folder import CARD, CONFIG, METRICS, REPOSITORY, VOCABULARY, WEIGHTS, names_repository
from svebm_ext.terminal import say

#: Beside a model folder's files: what `svebm_ext.TextModel` is loaded by.
ESTIMATOR = "estimator.json"
#: Files of a model, which are all that is fetched.
FILES = (CONFIG, WEIGHTS, VOCABULARY, METRICS, CARD, SURFACE, TOKENIZER, ESTIMATOR)
#: Options that are paths of the machine that a model was trained on.
PATHS = ("root", "train", "valid", "test", "labelled", "cache")
#: What a repository's README.md begins with, for the hub's pages.
FRONT_MATTER = "---\nlibrary_name: svebm_ext\ntags:\n- svebm_ext\n- energy-based-model\n- text-generation\n---\n\n"


def model_folder(name: str | Path, revision: str | None = None) -> Path:
    """The folder of a model: a folder on this disk, or one that is fetched from the hub into its cache.

    A text such as "user/name" is a repository where neither it nor its part before the slash is a folder here.

    Args:
        name: folder or repository.
        revision: branch, tag or commit of a repository.

    Raises:
        ConfigError: a repository without the package, or a revision of a folder.
        ModelFolderError: the hub does not give it.
    """
    text = str(name)
    if not names_repository(name):
        if revision is not None:
            raise ConfigError(f"revision: {revision!r} of the folder {text}, expected a repository, user/name")
        return Path(name)
    package = check_hub(text)
    say(f"{text}: fetched from the Hugging Face Hub, unless its cache has it")
    with _told(text):
        return Path(package.snapshot_download(text, revision=revision, allow_patterns=list(FILES)))


def check_hub(repository: str) -> ModuleType:
    """The package that fetches a repository; of the network nothing is asked yet.

    Raises:
        ConfigError: it is missing.
    """
    return _package(f"{repository}: no such folder; as a repository of the Hugging Face Hub it")


def push(save: Callable[[Path], None], repository: str, *, private: bool) -> str:
    """Put a model folder into a repository of the hub, which is made where it is missing; returns the commit's address.

    Paths of this machine become names of files in what is put there.

    Args:
        save: writes the folder to a path.
        repository: user/name.
        private: whether a new repository can be seen by its owner alone.

    Raises:
        ConfigError: no such name, or the package is missing.
        ModelFolderError: the hub refuses.
    """
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(f"repository: {repository!r:.120} given, expected user/name")
    package = _package("push_to_hub")
    with tempfile.TemporaryDirectory(prefix="svebm-") as temporary, _told(repository):
        folder = Path(temporary)
        save(folder)
        _prepare(folder, repository)
        package.create_repo(repository, private=private, exist_ok=True)
        commit = package.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[*FILES, "README.md"],
            commit_message=f"Model of svebm_ext {__version__}",
        )
    return str(commit.commit_url)


def _prepare(folder: Path, repository: str) -> None:
    """Write README.md, and files without paths of this machine, into a model folder."""
    write_json(folder / CONFIG, without_paths(read_json(folder / CONFIG)))
    if (folder / ESTIMATOR).exists():
        estimator = read_json(folder / ESTIMATOR)
        encoder = estimator["parameters"].get("sentence_encoder")
        if encoder:
            estimator["parameters"]["sentence_encoder"] = Path(encoder).name
            write_json(folder / ESTIMATOR, estimator)
    card = (folder / CARD).read_text(encoding="utf-8").replace('"this folder"', f'"{repository}"')
    write_whole(folder / "README.md", FRONT_MATTER + card)


def without_paths(description: JsonObject) -> JsonObject:
    """Content of config.json, names of files in place of paths."""
    config = description["config"]
    data = {key: _names(value) if key in PATHS and value else value for key, value in config["data"].items()}
    model = dict(config["model"])
    if model.get("sentence_encoder"):
        model["sentence_encoder"] = Path(model["sentence_encoder"]).name
    return {**description, "config": {**config, "data": data, "model": model}}


def _names(paths: str) -> str:
    """Names of files without the folders that they are in."""
    return SEPARATOR.join(Path(path).name for path in split_paths(paths))


def _package(what: str) -> ModuleType:
    """huggingface_hub.

    Raises:
        ConfigError: it is missing.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError(
            f"{what} needs the package huggingface_hub; pip install 'svebm_ext[hub]' (install.md)"
        ) from error
    return huggingface_hub


@contextmanager
def _told(repository: str) -> Iterator[None]:
    """What the package raises (addresses, tokens, the network, the disk), in one line that names the repository."""
    import huggingface_hub.errors as errors

    try:
        yield
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelFolderError(
            f"{repository}: no such folder here, and the Hugging Face Hub answers: {reason:.300}"
        ) from error
