"""Options that follow from parameters: types, bounds, defaults, classes by name."""

from typing import Annotated, Literal

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from convscope.base.errors import ConvscopeError
from convscope.contract.lens import ClassIndex, Params
from convscope.contract.options import with_options

CLASSES = ("cat", "dog", "0")


class Everything(Params):
    """One parameter of each kind."""

    count: int = Field(3, ge=1, le=9, description="A count.")
    share: float = Field(0.5, gt=0, le=1, description="A share.")
    layer: tuple[str, ...] = Field((), description="A layer; may be given again.")
    scale: Literal["unit", "layer"] = Field("unit", description="A choice.")
    max_shift: int | None = Field(None, description="May be left out.")
    full: bool = Field(False, description="A flag.")
    target: ClassIndex | None = Field(None, description="A class.")


@pytest.fixture
def run():
    """Runs a command with these options; gives exit code, output, and the parameters it got."""
    given = []

    @with_options(Everything)
    def command(name: Annotated[str, typer.Argument()], params) -> None:
        """A command."""
        given.append((name, params.params(CLASSES)))

    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(command)

    def run(*arguments):
        given.clear()
        result = CliRunner().invoke(app, ["x", *arguments])
        return result, given[0][1] if given else None

    return run


def test_defaults_are_those_of_the_parameters(run):
    result, params = run()
    assert result.exit_code == 0, result.output
    assert params == Everything()


def test_every_kind_is_read(run):
    result, params = run(
        "--count", "9", "--share", "0.25", "--layer", "a", "--layer", "b c", "--scale", "layer",
        "--max-shift", "-2", "--full", "--target", "dog",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert params == Everything(
        count=9, share=0.25, layer=("a", "b c"), scale="layer", max_shift=-2, full=True, target=1
    )


@pytest.mark.parametrize(("text", "index"), [("cat", 0), ("1", 1), ("0", 2)])
def test_a_class_is_a_name_before_it_is_a_number(run, text, index):
    assert run("--target", text)[1].target == index


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--count", "0"), "--count"),
        (("--count", "10"), "--count"),
        (("--scale", "network"), "--scale"),
    ],
)
def test_typer_refuses_what_it_knows(run, arguments, message):
    result, params = run(*arguments)
    assert (result.exit_code, params) == (2, None)
    assert message in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--share", "0"), "--share: Input should be greater than 0, got 0.0"),
        (("--target", "cow"), "--target 'cow' is not a class; there are cat, dog, 0"),
        (("--target", "3"), "--target '3' is not a class"),
    ],
)
def test_the_rest_is_refused_by_name(run, arguments, message):
    result, _ = run(*arguments)
    assert isinstance(result.exception, ConvscopeError)
    assert message in str(result.exception)


def test_the_help_describes_every_option(run):
    text = " ".join(run("--help")[0].output.split())
    for name, field in Everything.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.description in text
    assert "--no-full" not in text
