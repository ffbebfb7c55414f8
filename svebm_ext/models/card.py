"""MODEL_CARD.md of a model folder: what the model is, what it was trained on, what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svebm_ext import __version__
from svebm_ext.config import Config, asked_iterations
from svebm_ext.files import JsonMapping
from svebm_ext.markdown import table_row
from svebm_ext.measures.documentation import documented, value_text
from svebm_ext.prior.groups import SymbolGroups
from svebm_ext.terminal import printable

#: Labels of symbols that the card names; a model of more has them in config.json.
SHOWN_LABELS = 50


def model_card(
    config: Config,
    n_words: int,
    n_parameters: int,
    label_names: Sequence[str],
    document: JsonMapping | None,
    groups: SymbolGroups | None = None,
) -> str:
    """Content of MODEL_CARD.md.

    Args:
        config: of the model.
        n_words: of its vocabulary.
        n_parameters: of its networks.
        label_names: classes of a model that learnt from labels.
        document: content of metrics.json; None where nothing was measured.
        groups: of its symbols, where these are in two levels.
    """
    encoder = config.model.pretrained_encoder
    symbols = f", {config.model.n_categories} symbols" if config.model.latent == "energy" else ""
    if groups is not None:
        symbols += f" in {groups.n_groups} groups ({', '.join(str(len(own)) for own in groups.members)} symbols)"
    lines = [
        f"# {config.preset}",
        "",
        "A text model with a continuous vector z and a discrete symbol y (SVEBM, Pang & Wu, ICML 2021), made with "
        f"svebm_ext {__version__}.",
        "",
        f"Latent family `{config.model.latent}`: z of {config.model.latent_dim} numbers{symbols}. "
        f"{n_words:,} words, {n_parameters:,} parameters.",
        f"Trained on `{config.data.corpus}` for {asked_iterations(config)} of {config.training.batch_size}, seed "
        f"{config.seed}. It knows what these texts say, with their errors and their bias"
        f"{', and nothing else.' if encoder is None else '.'}",
        "",
    ]
    if encoder is not None:
        lines += [
            f"It reads texts with the pretrained sentence encoder `{Path(encoder).name}`, whose weights are not in "
            "this folder. What that has learnt elsewhere counts as well.",
            "",
        ]
    if label_names:
        names = ", ".join(label_names[:SHOWN_LABELS])
        more = len(label_names) - SHOWN_LABELS
        lines += [f"Classes: {names}{f' and {more} more' if more > 0 else ''}.", ""]
    lines += [
        "```python",
        "from svebm_ext import SVEBM",
        "",
        'model = SVEBM.from_pretrained("this folder")',
        "model.generate(5)",
        "```",
        "",
    ]
    if document:
        lines += _measured(document)
    return printable("\n".join(lines).rstrip("\n") + "\n", "\n")


def _measured(document: JsonMapping) -> list[str]:
    """What was found in sentences, then every number with its unit; meanings are in report.md."""
    about = document.get("about", {})
    lines = [text for sentence in about.get("summary", []) if not sentence.startswith(" ") for text in (sentence, "")]
    lines += [table_row(["measure", "value", "unit"]), "|---|---:|---|"]
    numbers = {key: value for key, value in document.items() if value is not None and not isinstance(value, list)}
    lines += [table_row([name, value_text(value), unit]) for name, value, unit in documented(numbers)]
    return [*lines, *(f"\nWarning: {warning}" for warning in about.get("warnings", []))]
