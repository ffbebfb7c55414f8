"""Tables of made-up texts and labels for tests of reading, and how they are written and read."""

from svebm_ext.data.examples import Reading, read_examples

THINGS = ["the router stopped working", "my order arrived late", "the invoice looks wrong", "nobody answers the phone"]
TEXTS = [f"{thing}, {i}" for i, thing in enumerate(THINGS * 5)]
LABELS = ["tech", "post", "money", "tech"] * 5
NUMBERS = [str(i) for i in range(20)]
DATES = [f"2024-01-{i + 1:02d}" for i in range(20)]
USUAL = "text from column 'text' (2), labels from 'label' (1)"


def write(folder, name, content):
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


def rows(delimiter, *columns, quote=False):
    cells = ([f'"{c}"' if quote or delimiter in c else c for c in row] for row in zip(*columns, strict=True))
    return "".join(delimiter.join(row) + "\n" for row in cells)


def read(path, **options):
    found = read_examples(path, Reading(**options))
    return found.texts, found.labels, [note.removeprefix(f"{path}: ") for note in found.notes]
