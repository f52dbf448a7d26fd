"""docs/adding-a-lens.md, followed word by word in a copy of the sources."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/adding-a-lens.md"
BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
CATALOG = "src/convscope/lenses/catalog.py"
# All but the generated: what somebody who adds a lens writes or edits.
MOST_FILES, MOST_SHARED = 12, 2


def blocks():
    return dict(BLOCK.findall(PAGE.read_text()))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """The sources with the lens of the page in them."""
    tree = tmp_path_factory.mktemp("tree")
    ignored = shutil.ignore_patterns("__pycache__", "static", "node_modules")
    for folder in ("src", "docs", "tests", "tools", "web"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=ignored)
    for file in ("pyproject.toml", "mkdocs.yml"):
        shutil.copy(ROOT / file, tree / file)
    for name, text in blocks().items():
        path = tree / name
        if name == CATALOG:
            before, end = path.read_text().split("LENSES = {\n")
            path.write_text(f"{before}LENSES = {{\n{text}{end}")
            continue
        assert not path.exists(), f"{name} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tree


def run(tree, *command):
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_lens_takes_few_files():
    files = {*blocks(), "CHANGELOG.md"}
    shared = {name for name in files if (ROOT / name).exists()}
    assert shared == {CATALOG, "CHANGELOG.md"}
    assert len(shared) <= MOST_SHARED
    assert len(files) <= MOST_FILES


def test_it_is_in_the_help(tree):
    text = run(tree, sys.executable, "-m", "convscope", "--help")
    assert re.search(r"^  sparsity +Show which share of each layer's values", text, re.MULTILINE)
    text = run(tree, sys.executable, "-m", "convscope", "sparsity", "--help")
    assert "--threshold" in text
    assert "--json" in text


def test_it_is_in_the_schema(tree):
    found = json.loads(run(tree, sys.executable, "-m", "convscope.server.schema"))
    assert {"/api/sparsity", "/api/sparsity/picture"} < set(found["paths"])
    assert "LayerSparsity" in found["components"]["schemas"]


def test_its_command_answers(tree, tmp_path):
    image = next((ROOT / "examples/digits").glob("*.png"))
    out = tmp_path / "out"
    text = run(tree, sys.executable, "-m", "convscope", "sparsity", "vgg-small", image, "--json",
               "--out", out)  # fmt: skip
    assert json.loads(text) == json.loads((out / "sparsity.json").read_text())
    assert {path.name for path in out.iterdir()} == {"sparsity.json", "sparsity.png"}


def test_it_keeps_to_the_contracts(tree):
    linter = Path(sys.executable).with_name("lint-imports")
    assert "0 broken" in run(tree, linter, "--no-cache")


@pytest.mark.slow
def test_its_own_tests_and_those_of_every_lens_pass(tree):
    tests = ["tests/unit/lenses/sparsity", "tests/unit/lenses/test_every_lens.py"]
    run(tree, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests,
        "-k", "sparsity")  # fmt: skip


@pytest.mark.slow
def test_its_view_is_on_the_page(tree):
    (tree / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tree / "web/node_modules").symlink_to(ROOT / "web/node_modules")
    run(tree, "tools/make-schema")
    run(tree / "web", "npm", "run", "--silent", "check")
    run(tree / "web", "npx", "--no-install", "eslint", "src/lenses/sparsity")
    run(tree / "web", "npm", "run", "--silent", "test", "--", "sparsity")
    view = [name for name in blocks() if name.startswith("web/")]
    run(tree / "web", "npx", "--no-install", "prettier", "--check", *(tree / one for one in view))
