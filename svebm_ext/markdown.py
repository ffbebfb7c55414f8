"""Tables in Markdown."""

from collections.abc import Sequence


def table_row(cells: Sequence[str]) -> str:
    """Cells as a row of a Markdown table; bars and line breaks inside them do not break it."""
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
