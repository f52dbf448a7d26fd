"""Commands that follow from a lens: what `--out` may be, what stderr says, numbers that are NaN."""

import json
import math

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from convscope.base.errors import ConvscopeError
from convscope.contract.command import command_of
from convscope.contract.files import as_json, read_answer, write_answer
from convscope.contract.lens import Answer, AnyFloat, Lens, Params, Result


class Figures(Result):
    """A number that may be NaN, and one that is finite."""

    one: AnyFloat
    two: float


def lens(pictures=1, one=1.5):
    answer = Answer(Figures(one=one, two=2.5), {"values": np.array([one, 2.5])})
    return Lens(
        "figures",
        "network",
        params=Params,
        result=Figures,
        compute=lambda inputs, params: answer,
        lines=lambda answer: [f"one {answer.result.one}"],
        draw=lambda answer: [(f"{number}.png", b"picture") for number in range(pictures)],
    )


def run(declared, *arguments):
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(command_of(declared, "Show figures."))
    return CliRunner().invoke(app, ["mlp", *map(str, arguments)])


def test_a_folder_has_pictures_arrays_and_the_result(tmp_path):
    done = run(lens(pictures=2), "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "0.png", "1.png", "figures.npz", "figures.json",
    }  # fmt: skip
    assert f"one 1.5\n2 pictures, figures.npz and figures.json: {tmp_path / 'out'}" in done.output


def test_a_name_that_ends_in_png_is_the_picture_alone(tmp_path):
    done = run(lens(), "--out", tmp_path / "new" / "a.png")
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.rglob("*.*")] == ["a.png"]
    assert f"picture: {tmp_path / 'new' / 'a.png'}" in done.output


@pytest.mark.parametrize(
    ("pictures", "out", "message"),
    [
        (2, "a.png", "draws several pictures here; give a folder"),
        (1, "a.jpg", "ends in .png"),
        (1, "file", "is a file; give a folder"),
    ],
)
def test_other_names_are_refused_and_nothing_is_written(tmp_path, pictures, out, message):
    (tmp_path / "file").write_text("x")
    done = run(lens(pictures), "--out", tmp_path / out)
    assert isinstance(done.exception, ConvscopeError)
    assert message in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_error_is_one_line(convscope, tmp_path):
    done = convscope("receptive-field", "vgg-small", "--layer", "features.99", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1  # not also that the network is untrained


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_null(tmp_path, value):
    declared = lens(one=value)
    done = run(declared, "--json", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    expected = {"one": None, "two": 2.5}
    assert json.loads(done.stdout) == expected
    assert json.loads((tmp_path / "figures.json").read_text()) == expected
    stored = read_answer(tmp_path, declared)
    assert math.isnan(stored.result.one)
    assert as_json(stored.result) == expected
    one = Figures.model_json_schema(mode="serialization")["properties"]["one"]
    assert [kind["type"] for kind in one["anyOf"]] == ["number", "null"]
    assert np.array_equal(stored.arrays["values"], [value, 2.5], equal_nan=True)


def test_the_names_of_the_files_are_those_that_were_written(tmp_path):
    declared = lens(pictures=0)
    answer = declared.compute(None, None)
    assert write_answer(tmp_path, declared, answer, []) == ["figures.npz", "figures.json"]
