"""The house stays as it is: short files and functions, types that say something, results with names of their own."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "svebm_ext").rglob("*.py"))
#: Lines of a file, and of a function with its docstring, at most.
FILE_LINES, FUNCTION_LINES = 400, 60
TESTS = sorted((ROOT / "tests").rglob("*.py"))
#: Lines of a file of tests at most.
TEST_LINES = 450
#: Lines of the package that may have a word: `Any` and `cast` where nothing can be said of a type, "found" where it is
#: plain English and no name of a result.
LINES_WITH = {r"\bAny\b": 120, r"cast\(": 5, r"\bfound\b": 50}


def functions(path):
    """Functions of a file: name, and lines from `def` to the end."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def test_the_package_is_there():
    assert len(FILES) > 200 and sum(1 for path in FILES for _ in functions(path)) > 1000


@pytest.mark.parametrize("word", LINES_WITH)
def test_few_lines_have_a_word_that_says_nothing(word):
    lines = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(word, line)
    ]
    assert len(lines) <= LINES_WITH[word], "\n".join(lines)


def test_no_file_is_longer_than_a_few_screens():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: n for name, n in lengths.items() if n > FILE_LINES}


def test_no_file_of_tests_is_much_longer():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS}
    assert len(lengths) > 100 and not {name: n for name, n in lengths.items() if n > TEST_LINES}


def test_every_function_fits_on_a_screen():
    assert not {name: n for path in FILES for name, n in functions(path) if n > FUNCTION_LINES}
