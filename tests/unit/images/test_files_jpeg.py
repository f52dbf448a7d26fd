"""The fast decoder for JPEG files gives Pillow's pixels."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from convscope.images.files import decode_image

SIZES = [(1, 1), (3, 5), (8, 8), (16, 17), (33, 31), (61, 83)]
SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


@pytest.fixture
def fast_calls(monkeypatch):
    """The colour spaces that the fast decoder was asked for."""
    calls = []
    decode = simplejpeg.decode_jpeg

    def counted(content, space, **options):
        calls.append(space)
        return decode(content, space, **options)

    monkeypatch.setattr(simplejpeg, "decode_jpeg", counted)
    return calls


def by_pillow(content, mode):
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == mode
        return np.asarray(image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("sampling", SUBSAMPLING)
def test_colour(encoded, photo, fast_calls, size, progressive, sampling):
    content = encoded(
        Image.fromarray(photo(*size)), "JPEG",
        progressive=progressive, subsampling=SUBSAMPLING[sampling], quality=87,
    )  # fmt: skip
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), by_pillow(content, "RGB"))
    assert fast_calls == ["RGB"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("progressive", [False, True])
def test_grey(encoded, photo, fast_calls, size, progressive):
    image = Image.fromarray(photo(*size, channels=1)[..., 0])
    content = encoded(image, "JPEG", progressive=progressive)
    pixels = decode_image(content, 1, name="x")
    np.testing.assert_array_equal(pixels[..., 0], by_pillow(content, "L"))
    assert fast_calls == ["GRAY"]


def test_stored_as_rgb(encoded, photo, fast_calls):
    content = encoded(Image.fromarray(photo(20, 30)), "JPEG", keep_rgb=True)
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), by_pillow(content, "RGB"))
    assert fast_calls == ["RGB"]


def test_grey_from_colour_is_the_luma_of_the_decoded_pixels(encoded, photo):
    content = encoded(Image.fromarray(photo(20, 30)), "JPEG")
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(decode_image(content, 1, name="x")[..., 0], expected)


def test_restart_markers_and_custom_tables(encoded, photo, fast_calls):
    content = encoded(Image.fromarray(photo(70, 90)), "JPEG", restart_marker_rows=1, optimize=True)
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), by_pillow(content, "RGB"))
    assert fast_calls == ["RGB"]


def test_several_pictures_in_one_file_show_the_first(encoded, photo):
    first, second = (Image.fromarray(photo(20, 30, seed=seed)) for seed in (1, 2))
    content = encoded(first, "MPO", save_all=True, append_images=[second])
    alone = decode_image(encoded(first, "JPEG"), 3, name="x")
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), alone)
