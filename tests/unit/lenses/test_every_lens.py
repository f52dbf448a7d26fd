"""What every lens in the catalog keeps to: one name, one result, and faces that agree."""

import inspect
import json
from pathlib import Path

import pytest

from convscope.contract.command import command_of
from convscope.contract.files import as_json, read_answer, write_answer
from convscope.contract.lens import InputImage, Inputs, Lens
from convscope.lenses import catalog

ROOT = Path(__file__).parents[3]
ALL = {name: catalog.lens(name) for name in catalog.LENSES}
ANSWERS = {name: lens for name, lens in ALL.items() if lens.compute is not None}
WITH_PARAMS = {name: lens for name, lens in ALL.items() if lens.params is not None}
# What a request gives beside the image, so that there is an answer in the network of the tests.
GIVEN = {"activations": {"layer": ("stem.0",)}, "filters": {"layer": ("stem.0",)}}


@pytest.mark.parametrize("name", ALL)
def test_one_name_everywhere(name):
    lens = ALL[name]
    assert isinstance(lens, Lens)
    assert lens.name == name
    assert (ROOT / f"docs/lenses/{name}.md").exists()
    assert (ROOT / f"web/src/lenses/{name}").is_dir() == lens.page


@pytest.mark.parametrize("name", ALL)
def test_the_help_begins_with_the_catalogs_line(convscope, name):
    done = convscope(name, "--help")
    assert done.returncode == 0, done.stderr
    assert catalog.LENSES[name] in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", WITH_PARAMS)
def test_every_parameter_is_described_and_is_an_option(name):
    lens = WITH_PARAMS[name]
    options = inspect.signature(command_of(lens, "")).parameters
    for field, about in lens.params.model_fields.items():
        assert about.description
        assert about.description.endswith(".")
        assert field in options


@pytest.mark.parametrize("name", ALL)
def test_a_missing_network_is_refused(convscope, tmp_path, name):
    lens = ALL[name]
    if lens.params is None:
        pytest.skip("has a command of its own, tested in its folder")
    image = [tmp_path / "none.png"] if lens.needs == "image" else []
    done = convscope(name, tmp_path / "gone", *image, cwd=tmp_path)
    assert done.returncode == 2
    assert "gone" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def inputs(running):
    explorer = running.explorer
    image = InputImage(explorer.images.picture("data-7").name, explorer.read("data-7"))
    trace = running.trace(7)
    return Inputs(explorer.subject, (image,), explorer.folder, lambda keep: trace)


@pytest.mark.parametrize("name", ANSWERS)
def test_function_file_and_route_give_one_result(running, client, inputs, tmp_path, name):
    lens = ANSWERS[name]
    if lens.needs == "network":
        inputs = Inputs(inputs.subject, (), inputs.run, inputs.trace)
    given = GIVEN.get(name, {})
    answer = lens.compute(inputs, lens.params(**given))
    result = as_json(answer.result)
    pictures = list(lens.draw(answer)) if lens.draw else []
    names = write_answer(tmp_path, lens, answer, pictures)
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    stored = read_answer(tmp_path, lens)
    assert as_json(stored.result) == result
    assert {name: array.tolist() for name, array in stored.arrays.items()} == {
        name: array.tolist() for name, array in answer.arrays.items()
    }
    query = {**given, **({} if lens.needs == "network" else {"image": "data-7"})}
    response = client.get(f"/api/{name}", params=query)
    assert response.status_code == 200, response.text
    assert nearly(response.json(), result)
    for array in answer.arrays:
        response = client.get(f"/api/{name}/array", params={**query, "array": array})
        assert response.status_code == 200, response.text
    if lens.draw:
        response = client.get(f"/api/{name}/picture", params=query)
        assert response.headers["content-type"] == "image/png"


def nearly(one, other):
    """Equal, but for the rounding between two passes."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(nearly(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(nearly, one, other))
    return (
        one == pytest.approx(other, rel=1e-5, abs=1e-6) if isinstance(one, float) else one == other
    )


@pytest.mark.parametrize("name", ANSWERS)
def test_the_commands_json_is_the_file(convscope, trained, images, tmp_path, name):
    lens = ANSWERS[name]
    image = [] if lens.needs == "network" else [images / "00.png"]
    done = convscope(name, trained, *image, "--json", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert as_json(read_answer(tmp_path / "out", lens).result) == found
