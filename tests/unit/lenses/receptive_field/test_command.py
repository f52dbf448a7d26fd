"""`convscope receptive-field`: the picture, its words, and what it refuses."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from convscope.graph.geometry import ReceptiveField
from convscope.lenses.receptive_field.compute import half_of_the_mass
from convscope.lenses.receptive_field.picture import field_picture


def test_a_run_and_its_images(convscope, trained, images, tmp_path):
    files = sorted(images.glob("*.png"))[:3]
    out = tmp_path / "field.png"
    done = convscope("receptive-field", trained, *files, "--layer", "features.10", "-o", out)
    assert done.returncode == 0, done.stderr
    first, second, third, last = done.stdout.splitlines()
    assert first == "digits · features.10 · middle unit · 3 images"
    assert second.startswith("receptive field 14 x 14 (exact), stride 2 x 2, padding 6 x 6")
    assert third.startswith("half of the gradient's mass lies in ")
    assert last == f"picture: {out}"
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 600


def test_without_images_it_says_noise_and_a_model_that_it_is_untrained(convscope, tmp_path):
    done = convscope("receptive-field", "vgg-small", "--channel", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "avgpool, channel 2 · middle unit · 16 images of noise" in done.stdout
    assert "untrained" in done.stdout
    assert "untrained" in done.stderr
    folder = tmp_path / "receptive-field" / "vgg-small"
    assert {path.name for path in folder.iterdir()} == {
        "receptive-field.png", "receptive-field.npz", "receptive-field.json"
    }  # fmt: skip
    with np.load(folder / "receptive-field.npz") as arrays:
        assert arrays["mass"].sum() == pytest.approx(1, abs=1e-5)


def test_json_says_what_the_text_says(convscope, trained, images, tmp_path):
    arguments = ("receptive-field", trained, images / "00.png", "--layer", "features.10")
    done = convscope(*arguments, "--json", "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["field"] == {"size": [14, 14], "stride": [2, 2], "padding": [6, 6], "exact": True}
    text = convscope(*arguments, "--out", tmp_path / "b").stdout
    assert f"lies in {found['used']:,} of {found['pixels']:,} pixels" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "features.99"], "no layer 'features.99'"),
        (["--layer", "classifier.0"], "without rows and columns"),
        (["--channel", "999"], "channels 0 to 63"),
        (["-o", "field.jpg"], "ends in .png"),
        (["missing.png"], "missing.png"),
    ],
)
def test_wrong_input(convscope, tmp_path, arguments, message):
    done = convscope("receptive-field", "vgg-small", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_mlp_has_none(convscope, tmp_path):
    done = convscope("receptive-field", "mlp", cwd=tmp_path)
    assert done.returncode == 2
    assert "no layer with rows and columns" in done.stderr


def test_half_of_the_mass():
    assert half_of_the_mass(np.array([[0.6, 0.1], [0.2, 0.1]])) == 1
    assert half_of_the_mass(np.full((4, 4), 1 / 16)) == 8
    assert half_of_the_mass(np.zeros((3, 3))) == 0


@pytest.mark.parametrize("mass", [np.zeros((9, 12)), np.eye(9, 12)])
def test_the_picture_takes_any_mass_and_any_field(mass):
    rows, columns = np.tile([0, 5], (3, 1)), np.tile([2, 2], (4, 1))
    nothing = ReceptiveField((5, 5), (2, 2), (1, 1), False, rows, columns)
    for field in (None, nothing):
        with Image.open(io.BytesIO(field_picture(mass, field, "a title"))) as picture:
            assert picture.width > 600
