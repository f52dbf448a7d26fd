"""Hooks of MkDocs that write the navigation and the list of lenses from the catalog of lenses."""

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CATALOG = ROOT / "src/convscope/lenses/catalog.py"
SECTION = "Lenses"
MARKER = "<!-- table of lenses -->"


def lenses(catalog: str) -> dict[str, str]:
    """The dict `LENSES` in the source text of the catalog: each lens with its line of help.

    Raises:
        ValueError: the text assigns no dict to `LENSES`.
    """
    for node in ast.parse(catalog).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if names == ["LENSES"]:
                return ast.literal_eval(node.value)
    raise ValueError("the catalog of lenses has no dict LENSES")


def lens_pages(folder: Path, order: list[str]) -> list[dict[str, str]]:
    """An entry of the navigation for each page in `folder`: in the order given, then by name."""
    listed = [folder / f"{name}.md" for name in order if (folder / f"{name}.md").exists()]
    pages = [*listed, *sorted(set(folder.glob("*.md")) - set(listed))]
    return [{_title(page): f"{folder.name}/{page.name}"} for page in pages]


def lens_table(catalog: dict[str, str]) -> str:
    """A Markdown table of the lenses, for a page in docs/."""
    rows = [f"| [{name}](lenses/{name}.md) | {line} |" for name, line in catalog.items()]
    return "\n".join(["| lens | |", "|---|---|", *rows])


def _title(page: Path) -> str:
    heading = re.match(r"# (.+)", page.read_text(encoding="utf-8"))
    return heading[1] if heading else page.stem


def on_config(config: Any) -> Any:
    """Fills the section `Lenses` of the navigation."""
    pages = lens_pages(Path(config["docs_dir"]) / "lenses", list(lenses(CATALOG.read_text())))
    for entry in config["nav"]:
        if SECTION in entry:
            entry[SECTION] = pages
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces the marker by the table of lenses."""
    return markdown.replace(MARKER, lens_table(lenses(CATALOG.read_text())))
