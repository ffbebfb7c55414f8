"""`python -m svebm_ext.classify RUN [--file FILE]`: symbol, label and probability of each text."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svebm_ext.commands import parse_with_run, run_command


@dataclass(frozen=True)
class Arguments:
    """Options."""

    file: Path | None = None
    """File with one text a line (default: standard input)."""
    json: bool = False
    """One JSON object a line instead of tab-separated label, probability, text."""
    device: str = "cpu"
    """Device: cpu or cuda."""


def read_texts(file: Path | None) -> list[str]:
    """Lines of a file or of standard input, empty ones left out.

    Raises:
        DataError: no such file, not UTF-8, or no text in it.
    """
    from svebm_ext.errors import DataError

    name = "standard input" if file is None else str(file)
    try:
        content = sys.stdin.buffer.read() if file is None else file.read_bytes()
        lines = content.decode("utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{name}, line {line}: not UTF-8 text") from error
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise DataError(f"{name}: no text; expected one text a line")
    return texts


def main(arguments: Sequence[str]) -> None:
    """Classify texts, in their order."""
    run, options = parse_with_run(
        Arguments, arguments, command="classify", description="Most probable symbol (or label) of each text."
    )
    from svebm_ext.models.svebm import SVEBM
    from svebm_ext.training.runtime import Runtime

    model = SVEBM.from_pretrained(Path(run), Runtime.start(options.device).device)
    texts = read_texts(options.file)
    n_unknown = model.n_without_known_word(texts)
    if n_unknown:
        print(f"note: {n_unknown} of {len(texts)} texts have no word that the model knows", file=sys.stderr)
    for text, found in zip(texts, model.classify(texts), strict=True):
        label = found.label if found.label is not None else str(found.symbol)
        if options.json:
            record = {"text": text, "symbol": found.symbol, "label": found.label, "probability": found.probability}
            print(json.dumps(record, ensure_ascii=False))
        else:
            print(f"{label}\t{found.probability:.4f}\t{text}")


if __name__ == "__main__":
    run_command(main)
