"""Corpora of dialogs: DailyDialog and SMD (KVRET). A sentence is one turn; previous turns are its context."""

from pathlib import Path

from ...errors import DataError
from ..corpus import Corpus, Split
from ..text_files import find_file, read_filled_lines, read_json
from ..tokenize import tokenize

# The order of the release: act 1 to 4, emotion 0 to 6.
ACTS = {"1": "inform", "2": "question", "3": "directive", "4": "commissive"}
EMOTIONS = {
    "0": "no emotion",
    "1": "anger",
    "2": "disgust",
    "3": "fear",
    "4": "happiness",
    "5": "sadness",
    "6": "surprise",
}
END_OF_UTTERANCE = "__eou__"


def read_daily_dialog(root: Path, lowercase: bool = True) -> Corpus:
    """DailyDialog (Li et al. 2017): {train,validation,test}/dialogues{,_act,_emotion}.txt; labels "act", "emotion".

    A line of dialogues.txt is a dialog whose utterances each end with "__eou__"; the same line of the other two files
    holds one number for each utterance.

    Raises:
        DataError: a missing file, another number of labels than of utterances or of dialogs, an unknown label, an
            empty utterance; the message names file and line.
    """
    return Corpus("daily-dialog", *(_daily_dialog_split(root, s, lowercase) for s in ("train", "validation", "test")))


def _daily_dialog_split(root: Path, name: str, lowercase: bool) -> Split:
    def find(kind: str) -> Path:
        # The release keeps dialogues_train.txt in a folder train; most copies have dropped the suffix.
        names = [f"{name}/dialogues{kind}.txt", f"{name}/dialogues{kind}_{name}.txt"]
        return find_file(root, *(f"daily_dialog/{n}" for n in names), *names)

    path, act_path, emotion_path = find(""), find("_act"), find("_emotion")
    dialogs = read_filled_lines(path)
    acts = _label_lines(act_path, ACTS, path, len(dialogs))
    emotions = _label_lines(emotion_path, EMOTIONS, path, len(dialogs))
    sentences: list[list[str]] = []
    dialogs_of: list[int] = []
    for number, line in enumerate(dialogs, 1):
        *utterances, rest = line.split(END_OF_UTTERANCE)
        if rest.strip():
            raise DataError(f"{path}:{number}: text after the last {END_OF_UTTERANCE}")
        for label_path, rows in ((act_path, acts), (emotion_path, emotions)):
            n_labels = len(rows[number - 1])
            if n_labels != len(utterances):
                raise DataError(f"{label_path}:{number}: {n_labels} labels for {len(utterances)} utterances of {path}")
        for utterance in utterances:
            tokens = tokenize(utterance, lowercase=lowercase)
            if not tokens:
                raise DataError(f"{path}:{number}: empty utterance")
            sentences.append(tokens)
            dialogs_of.append(number - 1)
    labels = {"act": acts, "emotion": emotions}
    return Split(sentences, {name: [v for dialog in rows for v in dialog] for name, rows in labels.items()}, dialogs_of)


def _label_lines(path: Path, names: dict[str, str], text_path: Path, n_dialogs: int) -> list[list[str]]:
    """Label names of each dialog of one label file."""
    lines = read_filled_lines(path)
    if len(lines) != n_dialogs:
        raise DataError(f"{path}:{min(len(lines), n_dialogs) + 1}: {len(lines)} lines for {n_dialogs} of {text_path}")
    labels = []
    for number, line in enumerate(lines, 1):
        values = line.split()
        unknown = next((value for value in values if value not in names), None)
        if unknown is not None:
            raise DataError(f"{path}:{number}: unknown label {unknown!r}, expected one of {', '.join(names)}")
        labels.append([names[value] for value in values])
    return labels


def read_smd(root: Path, lowercase: bool = False) -> Corpus:
    """Stanford multi-domain dialogs (Eric et al. 2017): kvret_{train,dev,test}_public.json; labels "domain", "speaker".

    Turns without text, which the release has a few of, are left out and counted in the corpus's notes.

    Raises:
        DataError: a missing file, or another layout than the release's; the message names file and dialog.
    """
    splits, n_empty = [], 0
    for name in ("train", "dev", "test"):
        path = find_file(root, f"kvret/kvret_{name}_public.json", f"kvret_{name}_public.json")
        split, empty = _smd_split(path, lowercase)
        splits.append(split)
        n_empty += empty
    notes = (f"{n_empty} turns without text left out",) if n_empty else ()
    return Corpus("smd", *splits, notes=notes)


def _smd_split(path: Path, lowercase: bool) -> tuple[Split, int]:
    """One file's turns, and how many had no text."""
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise DataError(f"{path}: expected a non-empty JSON list of dialogs")
    sentences: list[list[str]] = []
    labels: dict[str, list[str]] = {"domain": [], "speaker": []}
    dialogs: list[int] = []
    n_empty = 0
    for number, dialog in enumerate(content):
        try:
            domain = dialog["scenario"]["task"]["intent"]
            turns = [(turn["turn"], turn["data"]["utterance"]) for turn in dialog["dialogue"]]
            if not all(isinstance(value, str) for value in (domain, *(v for turn in turns for v in turn))):
                raise TypeError("domain, speaker and utterance must be strings")
        except (KeyError, TypeError, IndexError) as error:
            layout = "scenario.task.intent and a list dialogue of {turn, data.utterance}"
            raise DataError(f"{path}: dialog {number} (from 0): expected {layout}; {error!r}") from None
        for speaker, utterance in turns:
            tokens = tokenize(utterance, lowercase=lowercase)
            if not tokens:
                n_empty += 1
                continue
            sentences.append(tokens)
            labels["domain"].append(domain)
            labels["speaker"].append(speaker)
            dialogs.append(number)
    return Split(sentences, labels, dialogs), n_empty
