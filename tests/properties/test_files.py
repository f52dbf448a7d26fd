"""Damaged image files raise UnreadableImageError, whatever the damage."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from convscope.base.errors import UnreadableImageError
from convscope.images.files import decode_image

CHECKED = settings(max_examples=120, deadline=None, derandomize=True, database=None)
SMALL = 100_000  # pixels: a mutated header may promise many


def sample(file_format, mode="RGB", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (11, 13, 3), dtype=np.uint8)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a picture"
    if file_format not in ("GIF", "BMP"):
        options["exif"] = exif
    Image.fromarray(pixels).convert(mode).save(file, file_format, **options)
    return file.getvalue()


def jpeg_without_exif():
    file = io.BytesIO()
    Image.new("RGB", (13, 11), "teal").save(file, "JPEG", progressive=True)
    return file.getvalue()


SAMPLES = {
    "jpeg": sample("JPEG"),
    "jpeg-fast": jpeg_without_exif(),
    "jpeg-cmyk": sample("JPEG", "CMYK"),
    "png": sample("PNG"),
    "png-palette": sample("PNG", "P", transparency=3),
    "gif": sample("GIF", "P", transparency=3),
    "tiff": sample("TIFF"),
    "tiff-lzw": sample("TIFF", "L", compression="tiff_lzw"),
    "tiff-deflate": sample("TIFF", "RGBA", compression="tiff_deflate"),
    "webp": sample("WEBP"),
    "webp-lossless": sample("WEBP", "RGBA", lossless=True),
    "bmp": sample("BMP"),
    "bmp-palette": sample("BMP", "P"),
}


def read(content, channels):
    """Reads or is refused: anything else goes on to the test."""
    try:
        pixels = decode_image(content, channels, name="damaged", max_pixels=SMALL)
    except UnreadableImageError as error:
        assert str(error) == f"damaged: {error.reason}"  # noqa: PT017
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == channels


@pytest.mark.parametrize("name", SAMPLES)
def test_the_undamaged_sample_is_read(name):
    shape = decode_image(SAMPLES[name], 3, name=name).shape
    assert sorted(shape) == [3, 11, 13]


@pytest.mark.parametrize("name", SAMPLES)
@CHECKED
@given(data=st.data())
def test_changed_bytes(name, data):
    content = bytearray(SAMPLES[name])
    place = st.integers(0, len(content) - 1)
    changes = st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=8)
    for where, value in data.draw(changes):
        content[where] = value
    read(bytes(content), data.draw(st.sampled_from([1, 3])))


@pytest.mark.parametrize("name", SAMPLES)
@CHECKED
@given(data=st.data())
def test_changed_headers(name, data):
    """The first bytes hold sizes, modes and offsets: damage there does the most."""
    content = bytearray(SAMPLES[name])
    changes = st.lists(st.tuples(st.integers(4, 80), st.integers(0, 255)), min_size=1, max_size=4)
    for where, value in data.draw(changes):
        content[where] = value
    read(bytes(content), 3)


@pytest.mark.parametrize("name", SAMPLES)
@CHECKED
@given(data=st.data())
def test_removed_and_inserted_bytes(name, data):
    content = SAMPLES[name]
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    read(content[:start] + data.draw(st.binary(max_size=12)) + content[stop:], 3)


@CHECKED
@given(content=st.binary(max_size=200))
def test_any_bytes(content):
    read(content, 3)


@CHECKED
@given(
    start=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM"]),
    content=st.binary(max_size=200),
)
def test_any_bytes_behind_a_true_start(start, content):
    read(start + content, 3)


MODES = [
    *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(("TIFF", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "LAB", "F")),
    *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
    *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    *(("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")),
    *(("GIF", mode) for mode in ("L", "P", "RGB")),
]


def of_mode(file_format, mode):
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (9, 17, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image = image.convert("L").convert(mode) if mode in ("I;16", "F") else _converted(image, mode)
    image.save(file, file_format)
    return file.getvalue()


def _converted(image, mode):
    return ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    ) if mode == "LAB" else image.convert(mode)  # fmt: skip


ALL_MODES = [of_mode(*kind) for kind in MODES]


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_five_hundred_files_flipped_cut_and_spliced(data):
    """Every format and mode: bits flipped, ends cut off, pieces of one file put into another."""
    content = bytearray(data.draw(st.sampled_from(ALL_MODES)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        change = data.draw(st.sampled_from(["flip", "cut", "splice", "repeat"]))
        if change == "flip" and content:
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif change == "cut":
            del content[place : place + data.draw(st.integers(1, 200))]
        elif change == "splice":
            other = data.draw(st.sampled_from(ALL_MODES))
            start = data.draw(st.integers(0, len(other) - 1))
            content[place:place] = other[start : start + data.draw(st.integers(1, 200))]
        else:
            content[place:place] = content[place : place + 64] * data.draw(st.integers(1, 20))
    read(bytes(content), data.draw(st.sampled_from([1, 3])))
