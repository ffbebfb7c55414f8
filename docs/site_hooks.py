"""Hooks of mkdocs: pages that lie outside docs/, notebooks as pages, and links between them.

README, CONTRIBUTING, CHANGELOG, the reports below results/ and bench/results/ and the scripts of examples/ are pages of
the site. A link to another file of the repository leads to the repository where pyproject.toml has its URL, and is
plain text elsewhere: no link of the site is dead.
"""

from __future__ import annotations

import ast
import itertools
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "project/contributing.md", "CHANGELOG.md": "project/changelog.md"}
#: Folders whose reports and pictures are part of the site.
REPORTS = ("results", "bench/results")
DOWNLOAD = "Download this notebook"
#: Where a page lists options: file, dataclass, section.
OPTIONS = re.compile(r"^<!-- options of (\S+) (\w+)(?: (\w+))? -->$", re.MULTILINE)
#: A whole block or span of code, which stays as it is, or a link or picture: text and target.
LINK = re.compile(r"(?P<code>^```.*?^```|`[^`\n]*`)|(?P<text>!?\[[^\]]*\])\((?P<target>[^)\s]+)\)", re.DOTALL | re.M)


def outside_pages() -> dict[str, str]:
    """Files outside docs/ that the site has: path in the repository, path in the site."""
    found = dict(PAGES)
    for folder in REPORTS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in (".md", ".png", ".svg"):
                found[name] = re.sub(r"README\.md$", "index.md", name)
    return found


def repository_url() -> str:
    """URL of the repository's files, with a slash at its end; empty where pyproject.toml has none."""
    match = re.search(r'^Repository = "([^"]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    return f"{match[1].rstrip('/')}/blob/main/" if match else ""


def title_of(path: Path) -> str:
    """First heading of a page."""
    match = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else path.stem


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Tutorials and reports in the navigation."""
    for entry in config.nav or []:
        if "Results" in entry:
            entry["Results"] += report_entries()
        elif "Tutorials" in entry:
            notebooks = sorted((DOCS / "tutorials").glob("*.ipynb"))
            entry["Tutorials"][:0] = [f"tutorials/{path.stem}.md" for path in notebooks]
    return config


def report_entries() -> list:
    """Navigation of the reports: the index, tables and figures, notes, and speed."""
    groups: dict[str, list] = {"": [], "Notes": [], "Speed": []}
    for name, uri in outside_pages().items():
        path = ROOT / name
        if not name.startswith(REPORTS) or path.suffix != ".md":
            continue
        group = "Speed" if name.startswith("bench") else "" if path.name in ("README.md", "report.md") else "Notes"
        groups[group].append({title_of(path): uri})
    index = [entry for entry in groups[""] if "results/index.md" in entry.values()]
    tables = sorted((entry for entry in groups[""] if entry not in index), key=str)
    return [*index, *tables, *({name: groups[name]} for name in ("Notes", "Speed") if groups[name])]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside docs/, and a page for each notebook."""
    for name, uri in outside_pages().items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    files.append(File.generated(config, "examples/index.md", content=examples_page()))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        for uri, content in notebook_pages(Path(notebook.abs_src_path), notebook.src_uri).items():
            files.append(File.generated(config, uri, content=content))
    return files


def examples_page() -> str:
    """The scripts of examples/, each with the first line of its docstring as its text."""
    parts = ["# Example scripts", "Each is a file of `examples/`, runs as it stands, and is run by the tests."]
    for path in sorted((ROOT / "examples").glob("*.py")):
        source = path.read_text(encoding="utf-8")
        says = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].split("\n")[0]
        parts += [f"## {path.name}", re.sub(r"(python examples/.*)$", r"`\1`", says), f"```python\n{source}```"]
    return "\n\n".join(parts) + "\n"


def notebook_pages(path: Path, uri: str) -> dict[str, str | bytes]:
    """A notebook with its stored outputs as Markdown and pictures: path in the site, content."""
    from nbconvert import MarkdownExporter

    stem = posixpath.splitext(uri)[0]
    body, resources = MarkdownExporter().from_filename(str(path))
    pictures = resources.get("outputs", {})
    folder = posixpath.basename(stem)
    for name in pictures:
        body = body.replace(f"]({name})", f"]({folder}_files/{name})")
    body = re.sub(r"!\[(png|svg)\]", "![Picture that the cell above draws]", body)
    body += f"\n\n[{DOWNLOAD}]({folder}.ipynb)\n"
    return {f"{stem}.md": body, **{f"{stem}_files/{name}": content for name, content in pictures.items()}}


def options_of(match: re.Match[str]) -> str:
    """Options of a dataclass, as the command line names them, each with its default and docstring."""
    path, name, section = match.groups()
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    parts = []
    for field, meaning in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(meaning, ast.Expr) and field.value is not None:
            option = f"--{section + '.' if section else ''}{ast.unparse(field.target).replace('_', '-')}"
            says = " ".join(ast.literal_eval(meaning.value).split())
            default = "" if "default" in says else f" (default `{ast.unparse(field.value)}`)"
            parts.append(f"`{option}`{default}\n:   {says}")
    if not parts:
        raise ValueError(f"{path}: {name} has no options with a docstring")
    return "\n\n".join(parts)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Options from the sources, and links by the place of their target in the site."""
    homes = {uri: name for name, uri in outside_pages().items()}
    uri = page.file.src_uri
    source = ROOT / homes[uri] if uri in homes else DOCS / uri

    def placed(match: re.Match[str]) -> str:
        if match["code"] is not None or re.match(r"[a-z]+:|#", match["target"]) or DOWNLOAD in match["text"]:
            return match[0]
        target, _, anchor = match["target"].partition("#")
        found = (source.parent / target).resolve()
        place = site_place(found)
        if place is not None:
            return f"{match['text']}({posixpath.relpath(place, posixpath.dirname(uri))}{'#' * bool(anchor)}{anchor})"
        if not found.exists() or DOCS in found.parents or not found.is_relative_to(ROOT):
            return match[0]
        if repository_url():
            return f"{match['text']}({repository_url()}{found.relative_to(ROOT).as_posix()})"
        return match["text"].lstrip("!")[1:-1]

    return LINK.sub(placed, OPTIONS.sub(options_of, markdown))


def site_place(path: Path) -> str | None:
    """Where the site has a file, the page of a notebook, or that of a folder; None where it has none of them."""
    if path.is_relative_to(DOCS):
        path = path.with_suffix(".md") if path.suffix == ".ipynb" and path.is_file() else path
        if path.suffix == ".md" and path.with_suffix(".ipynb").is_file():
            return path.relative_to(DOCS).as_posix()
        return path.relative_to(DOCS).as_posix() if path.is_file() else None
    if path == ROOT / "examples":
        return "examples/index.md"
    if not path.is_relative_to(ROOT):
        return None
    name = path.relative_to(ROOT).as_posix()
    pages = outside_pages()
    return next((pages[key] for key in (name, f"{name}/README.md", f"{name}/report.md") if key in pages), None)
