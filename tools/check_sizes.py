"""Checks the size limits: files of 400 lines, functions of 60. Exits with 1 if one is exceeded."""

import ast
import subprocess
import sys
from pathlib import Path

MAX_FILE, MAX_FUNCTION = 400, 60


def violations(path: Path) -> list[str]:
    """What in the Python file at `path` is over a ceiling."""
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    found = [f"{path}: {lines} lines, at most {MAX_FILE}"] if lines > MAX_FILE else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                found.append(
                    f"{path}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION}"
                )
    return found


def main() -> int:
    """Checks every Python file that git knows or does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    files = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    found = [line for file in files if Path(file).exists() for line in violations(Path(file))]
    print("\n".join(found) or f"{len(files)} files within the ceilings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
