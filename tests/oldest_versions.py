"""The lowest version of every package that the package and its tests name, as constraints of pip."""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(text, *, extras=("test",)):
    """Requirements of the package and of some extras."""
    lists = [re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)]
    lists += [re.search(rf"^{extra} = \[(.*?)\]", text, re.DOTALL | re.MULTILINE) for extra in extras]
    return [name for found in lists for name in re.findall(r'"([^"]+)"', found[1])]


def lowest(requirement):
    """`name>=version` as `name==version`; a version of two numbers means its first release."""
    name, _, version = requirement.partition(">=")
    return f"{name}=={version}"


if __name__ == "__main__":
    print("\n".join(sorted({lowest(requirement) for requirement in requirements(PROJECT.read_text(encoding="utf-8"))})))
