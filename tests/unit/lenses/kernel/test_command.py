"""`convscope kernel`: the picture it writes, the text it prints, and wrong input."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.images.kernels import KERNELS, convolve
from convscope.lenses.kernel.picture import kernel_picture

ROOT = Path(__file__).parents[4]


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def drawn(monkeypatch):
    """What the command gave to be drawn."""
    import convscope.lenses.kernel.picture as report

    calls = []

    def keep(pixels, result, kernel, **options):
        calls.append((pixels, result, kernel, options))
        return kernel_picture(pixels, result, kernel, **options)

    monkeypatch.setattr(report, "kernel_picture", keep)
    return calls


def test_the_picture_is_written_where_the_command_runs(convscope, photo, tmp_path):
    done = convscope("kernel", photo, "--preset", "sobel-left", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "kernel-sobel-left.png") as picture:
        assert picture.format == "PNG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernel-sobel-left.png", photo.name]
    assert "rows     floor((20 + 2*1 - 1*(3-1) - 1)/1) + 1 = 20" in done.stdout
    assert "columns  floor((30 + 2*1 - 1*(3-1) - 1)/1) + 1 = 30" in done.stdout
    assert "not reached" not in done.stdout
    assert "clipped" not in done.stdout


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_the_result_is_convolve_s(convscope, photo, tmp_path, drawn, name):
    done = convscope("kernel", photo, "--preset", name, "-o", tmp_path / "new" / "k.png")
    assert done.returncode == 0, done.stderr
    pixels, result, kernel, options = drawn[0]
    assert pixels.shape == (20, 30, 1)
    np.testing.assert_array_equal(result, convolve(pixels, KERNELS[name], padding=1))
    np.testing.assert_array_equal(kernel, KERNELS[name])
    assert options["title"] == name
    assert options["lost"] == (0, 0)
    low, high = re.search(r"values +(\S+) to (\S+)", done.stdout).groups()
    assert float(low.replace(",", "")) == pytest.approx(result.min(), rel=1e-5)
    assert float(high.replace(",", "")) == pytest.approx(result.max(), rel=1e-5)


def test_every_option_reaches_the_result(convscope, photo, tmp_path, drawn):
    done = convscope(
        "kernel", photo, "--kernel", "-1, 1/4, 2; 0, 3, 1e-1", "--stride", 4, "--padding", 2,
        "--dilation", 2, "--border", "reflect", "--convolution", "--colour",
        "--out", tmp_path / "k.PNG",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pixels, result, kernel, options = drawn[0]
    with Image.open(photo) as original:
        np.testing.assert_array_equal(pixels, np.asarray(original))
    np.testing.assert_array_equal(kernel, [[-1, 0.25, 2], [0, 3, 0.1]])
    expected = convolve(pixels, kernel, 4, 2, 2, "reflect", "convolution")
    np.testing.assert_array_equal(result, expected)
    assert "convolution, kernel flipped" in " ".join(options["settings"])
    assert "stride 4, padding 2, border reflect, dilation 2" in " ".join(options["settings"])


@pytest.mark.parametrize("text", ["1,1;1,1", "1", "1,2,3,4", "1;2;3;4;5", "1,0,0,0,-1"])
def test_the_size_stays_by_default_but_for_even_kernels(convscope, photo, tmp_path, drawn, text):
    convscope("kernel", photo, "--kernel", text, "--dilation", 2, "-o", tmp_path / "k.png")
    pixels, result, kernel, _ = drawn[0]
    for axis in (0, 1):
        assert pixels.shape[axis] - result.shape[axis] in (0, kernel.shape[axis] % 2 == 0)


def test_lost_rows_are_said_and_tinted(convscope, photo, tmp_path, drawn):
    arguments = ("--preset", "blur", "--stride", 4, "-o", tmp_path / "k.png")
    done = convscope("kernel", photo, "--padding", 0, *arguments)
    assert drawn[0][3]["lost"] == (1, 3)
    assert done.stdout.count("not reached, stride 4 does not fit") == 2
    assert "the last 1 of 20\n" in done.stdout
    assert "the last 3 of 30\n" in done.stdout
    done = convscope("kernel", photo, "--padding", 1, *arguments)
    assert drawn[1][3]["lost"] == (2, 0)  # (20 + 2 - 3) mod 4 = 3, one of them padding
    assert "the last 3 of 22 with padding, 2 of them in the image" in done.stdout
    assert "the last 1 of 32 with padding, 0 of them in the image" in done.stdout


def test_clipped_values_are_counted(convscope, tmp_path):
    pixels = np.array([[0, 255, 0], [0, 255, 0], [0, 10, 0]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    done = convscope("kernel", tmp_path / "p.png", "--preset", "sharpen", "-o", tmp_path / "k.png")
    result = convolve(pixels, KERNELS["sharpen"], padding=1)
    below, above = (result < 0).sum(), (result > 255).sum()
    assert (below, above) == (7, 2)
    assert f"clipped  {below} below 0, {above} above 255, of 9 values" in done.stdout


@pytest.mark.parametrize("border", ["wrap", "circular"])
def test_circular_is_the_old_spelling_of_wrap(convscope, photo, tmp_path, drawn, border):
    done = convscope("kernel", photo, "--preset", "blur", "--border", border,
                     "-o", tmp_path / "k.png")  # fmt: skip
    assert done.returncode == 0, done.stderr
    pixels, result, kernel, options = drawn[0]
    np.testing.assert_array_equal(result, convolve(pixels, kernel, padding=1, border="wrap"))
    assert "border wrap" in " ".join(options["settings"])
    assert "border wrap" in done.stdout


SOBEL = ("--preset", "sobel-left")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give --preset NAME or --kernel"),
        ((*SOBEL, "--kernel", "1"), "give --preset NAME or --kernel"),
        (("--preset", "sobel"), "--preset sobel: there is no such kernel; give one of sobel-left"),
        (("--kernel", "1,x"), "--kernel: 'x' is not a number"),
        (("--kernel", ""), "--kernel: '' is not a number"),
        (("--kernel", "1/0"), "--kernel: '1/0' is not a number"),
        (("--kernel", "1,2;3"), "--kernel: rows of 2, 1 entries"),
        (("--kernel", "nan"), "kernel: holds NaN"),
        (
            (*SOBEL, "--border", "mirror"),
            "Input should be 'zero', 'edge', 'reflect' or 'wrap', got 'mirror'",
        ),
        ((*SOBEL, "--padding", "0", "--dilation", "10"), "covers 21 pixels, but an input of 20"),
        ((*SOBEL, "--padding", "30", "--border", "reflect"), "'reflect' mirrors at most 19 rows"),
        ((*SOBEL, "--stride", "0"), "--stride"),
        ((*SOBEL, "--padding", "-1"), "--padding"),
        ((*SOBEL, "--out", "k.jpg"), "ends in .png"),
        ((*SOBEL, "--out", "photo.png"), "is the image itself"),
    ],
)
def test_wrong_input_leaves_no_file(convscope, photo, tmp_path, arguments, message):
    before = photo.read_bytes()
    done = convscope("kernel", photo, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == [photo.name]
    assert photo.read_bytes() == before


def test_files_that_are_no_images(convscope, tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    for name, message in [("text.png", "not an image in a"), ("gone.png", "No such file")]:
        done = convscope("kernel", name, *SOBEL, "-o", "k.png", cwd=tmp_path)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["text.png"]


def test_a_picture_that_cannot_be_written_is_refused(convscope, photo, tmp_path):
    (tmp_path / "folder.png").mkdir()
    done = convscope("kernel", photo, *SOBEL, "-o", tmp_path / "folder.png")
    assert (done.returncode, "is a folder" in done.stderr) == (2, True)
    done = convscope("kernel", photo, *SOBEL, "-o", photo / "k.png")
    assert (done.returncode, "cannot write" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


def test_the_help_names_every_preset(convscope):
    text = " ".join(convscope("kernel", "--help").stdout.split())
    named = re.search(r"--preset <?\w+>? (.*?)\.", text)[1]
    assert re.split(", | or ", named) == list(KERNELS)


def test_the_guide_shows_what_the_command_prints(convscope, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    pages = [ROOT / "docs" / name for name in ("lenses/kernel.md", "kernels.md")]
    page = next(page for page in pages if page.exists()).read_text()
    sessions = re.findall(r"```\n\$ convscope (.+)\n([^`]+)```", page)
    assert len(sessions) == 2
    for arguments, printed in sessions:
        assert convscope(*arguments.split(), cwd=tmp_path).stdout == printed
