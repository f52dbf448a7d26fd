"""Writes the file map in ARCHITECTURE.md: each module with the first line of its docstring."""

import ast
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN = "<!-- file map: written by `make fix` from the modules' docstrings -->"
END = "<!-- end of file map -->"


def first_line(module: Path) -> str:
    """The first line of a module's docstring, without the full stop; empty without a docstring."""
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    return docstring.partition("\n")[0].removesuffix(".")


def file_map(package: Path) -> str:
    """The modules below `package`, grouped by folder, as a Markdown code block."""
    folders = defaultdict(list)
    for module in sorted(package.rglob("*.py")):
        if module.name != "__init__.py":
            folders[module.parent].append(module)
    lines = []
    for folder in sorted(folders):
        init = folder / "__init__.py"
        about = first_line(init) if init.exists() else ""
        lines.append(f"{folder.relative_to(package.parent).as_posix()}/  {about}".rstrip())
        lines += [f"  {module.name:21} {first_line(module)}" for module in folders[folder]]
    return "```\n" + "\n".join(lines) + "\n```"


def with_map(text: str) -> str:
    """The page with the current map between its markers.

    Raises:
        ValueError: the markers are missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no markers for the file map: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{file_map(ROOT / 'src/convscope')}\n{END}{after}"


def main() -> int:
    """Writes the map; with `--check` only says whether it is current."""
    text = PAGE.read_text()
    current = with_map(text)
    if "--check" in sys.argv[1:]:
        if text != current:
            print(f"the file map in {PAGE.name} is not current: run make fix", file=sys.stderr)
        return int(text != current)
    PAGE.write_text(current)
    return 0


if __name__ == "__main__":
    sys.exit(main())
