"""The documentation as a site: it builds strictly, every link leads somewhere, and nothing is loaded from elsewhere."""

import importlib.util
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("mkdocs", "material", "mkdocstrings", "nbconvert")
MISSING = [name for name in TOOLS if importlib.util.find_spec(name) is None]
needs_docs = pytest.mark.skipif(bool(MISSING), reason=f'needs pip install ".[docs]": no {", ".join(MISSING)}')


class Page(HTMLParser):
    """Anchors, links, and what is loaded to show a page."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loaded = {"", "__top"}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif given.get("src") or (tag == "link" and "canonical" not in (given.get("rel") or "")):
            self.loaded.append(given.get("src") or given["href"])


def pages_of(site):
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def dead_links(site):
    """Links of a site that lead nowhere, and what it loads from elsewhere."""
    pages, dead = pages_of(site), []
    for path, page in pages.items():
        if path.name == "404.html":  # its links are those of a server's root
            continue
        dead += [f"{path.name} loads {target}" for target in page.loaded if urlsplit(target).netloc]
        for target in [*page.links, *page.loaded]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[file].anchors if file in pages else {""}
            if not file.is_file() or unquote(parts.fragment) not in known:
                dead.append(f"{path.name}: {target}")
    return dead


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, and what mkdocs said."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "JUPYTER_PLATFORM_DIRS": "1"}
    said = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    assert said.returncode == 0, said.stderr
    return out, said.stderr


@needs_docs
def test_it_builds_without_a_warning(site):
    assert [line for line in site[1].splitlines() if "WARN" in line.upper()] == []


@needs_docs
def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site):
    assert len(pages_of(site[0])) > 20
    assert dead_links(site[0]) == []


@needs_docs
def test_pages_outside_docs_are_part_of_it(site):
    names = {path.relative_to(site[0]).as_posix() for path in pages_of(site[0])}
    assert {"index.html", "project/contributing.html", "project/changelog.html", "examples/index.html"} <= names
    assert {f"tutorials/{path.stem}.html" for path in (ROOT / "docs" / "tutorials").glob("*.ipynb")} <= names
    reports = (ROOT / "results").rglob("report.md")
    assert {path.relative_to(ROOT).with_suffix(".html").as_posix() for path in reports} <= names


@needs_docs
def test_options_and_signatures_are_those_of_the_sources(site):
    commands = (site[0] / "reference" / "commands.html").read_text(encoding="utf-8")
    in_models = ("--model.sentence-encoder", "--model.document-words")
    for option in (
        "--data.n-labelled",
        "--objective.mutual-information",
        "--top-p",
        "--max-sentences",
        "--budget",
        *in_models,
    ):
        assert f"<code>{option}</code>" in commands, option
    assert "options of" not in commands
    assert 'id="svebm_ext.models.svebm.SVEBM.generate"' in (site[0] / "reference" / "model.html").read_text("utf-8")


@needs_docs
def test_search_works_without_a_server(site):
    assert "annealed" in (site[0] / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "assets/iframe-worker.js" in (site[0] / "data.html").read_text(encoding="utf-8")


def test_a_dead_link_is_noticed(tmp_path):
    (tmp_path / "other.html").write_text('<h2 id="here">Here</h2>')
    (tmp_path / "page.html").write_text(
        '<a href="other.html#here">.</a><a href="other.html#there">.</a><a href="gone.html">.</a><a href="#top">.</a>'
        '<a href="https://example.org/">.</a><script src="https://example.org/x.js"></script>'
    )
    assert dead_links(tmp_path) == [
        "page.html loads https://example.org/x.js",
        "page.html: other.html#there",
        "page.html: gone.html",
        "page.html: #top",
    ]
