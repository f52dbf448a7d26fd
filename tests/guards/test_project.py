"""The project's own promises: ceilings, file map, documentation that matches the code."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import convscope
from convscope.lenses.catalog import LENSES
from convscope.nets.catalog import NETWORKS
from convscope.training.recipe import Recipe

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))


def tracked():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_size_check_finds_what_is_too_long(tmp_path):
    from check_sizes import violations

    body = "    x = 1\n"
    fits, breaks = tmp_path / "fits.py", tmp_path / "breaks.py"
    fits.write_text("def f():\n" + body * 59)
    breaks.write_text("def f():\n" + body * 60 + "\n" * 340)
    assert violations(fits) == []
    assert len(violations(breaks)) == 2


def test_the_file_map_is_current():
    from file_map import PAGE, with_map

    assert PAGE.read_text() == with_map(PAGE.read_text()), "run make fix"


def test_the_file_map_has_each_module_with_its_first_line(tmp_path):
    from file_map import file_map

    (tmp_path / "package/part").mkdir(parents=True)
    (tmp_path / "package/part/__init__.py").write_text('"""A part."""\n')
    (tmp_path / "package/part/module.py").write_text('"""What it does.\n\nMore."""\n')
    _, package, module, _ = file_map(tmp_path / "package").splitlines()
    assert package.split(maxsplit=1) == ["package/part/", "A part"]
    assert module.split(maxsplit=1) == ["module.py", "What it does"]


def test_public_names_are_in_the_reference():
    page = (ROOT / "docs/reference/python.md").read_text()
    names = re.findall(r"^::: convscope\.(\w+)$", page, re.MULTILINE)
    assert sorted(names) == sorted(convscope.__all__)
    for name in names:
        assert getattr(convscope, name).__doc__, name


def test_the_navigation_has_the_lenses_in_the_catalogs_order():
    from mkdocs_hooks import lens_pages, lenses

    catalog = lenses((ROOT / "src/convscope/lenses/catalog.py").read_text())
    assert catalog == LENSES
    pages = [
        path for page in lens_pages(ROOT / "docs/lenses", list(catalog)) for path in page.values()
    ]
    assert pages == [f"lenses/{name}.md" for name in LENSES]


def test_a_page_that_is_not_in_the_catalog_comes_last(tmp_path):
    from mkdocs_hooks import lens_pages

    for name in "abc":
        (tmp_path / f"{name}.md").write_text(f"# The lens {name}\n")
    titles = [title for page in lens_pages(tmp_path, ["c", "b", "gone"]) for title in page]
    assert titles == ["The lens c", "The lens b", "The lens a"]


def test_networks_are_documented():
    text = (ROOT / "docs/networks.md").read_text()
    for name in NETWORKS:
        assert f"`{name.removesuffix('-bn')}`" in text, name


def test_settings_named_in_the_docs_exist():
    recipe = Recipe.parse({"name": "x", "data": {"source": "x"}, "epochs": 1}, "test")
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    named = {
        name
        for page in pages
        for name in re.findall(r"\b((?:optim|data|augment)\.[a-z_]+)", page.read_text())
        if not name.endswith((".py", ".md", ".npz"))
    }
    assert len(named) > 8
    values = recipe.model_dump()
    for name in named:
        part, key = name.split(".")
        assert key in values[part], name


def test_pinned_versions_satisfy_the_ranges():
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    extras = project["optional-dependencies"].values()
    for text in [*project["dependencies"], *(item for extra in extras for item in extra)]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pins[requirement.name]), text


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "manager"])
def test_no_module_is_named_after_nothing(word):
    assert not [path for path in tracked() if Path(path).stem == word]


# Attributes of torch's objects that it does not document.
UNDOCUMENTED = {"_opname", "_overloadname", "_schema", "_cdata"}


def undocumented(source):
    """The lines of a module that use what torch does not document."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            root = node
            while isinstance(root, ast.Attribute):
                root = root.value
            of_torch = isinstance(root, ast.Name) and root.id == "torch"
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            if node.attr in UNDOCUMENTED or (of_torch and private):
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            if any(name.startswith("_") for name in names):
                yield node.lineno


def test_one_module_alone_uses_what_torch_does_not_document():
    places = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / "src").rglob("*.py"))
        if path.name != "torch_private.py"
        for line in undocumented(path.read_text())
    ]
    assert places == []


@pytest.mark.parametrize(
    "source",
    ["torch._ops.OpOverload", "call._opname", "from torch.export import _trace",
     "from torch._ops import OpOverload", "torch.ops._x.y"],
)  # fmt: skip
def test_a_use_of_what_torch_does_not_document_is_noticed(source):
    assert list(undocumented(source)) == [1]
