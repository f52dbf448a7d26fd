"""Files that are not images, damaged or too large: the error names the file and the reason."""

import numpy as np
import pytest
from PIL import Image

from convscope.base.errors import UnreadableImageError
from convscope.images.files import MAX_PIXELS, decode_image, read_image


def refusal(content, **options):
    with pytest.raises(UnreadableImageError) as caught:
        decode_image(content, 3, name="cat/1.jpg", **options)
    assert caught.value.path == "cat/1.jpg"
    assert str(caught.value) == f"cat/1.jpg: {caught.value.reason}"
    return caught.value.reason


def test_text_named_jpg(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("These are my notes.\n" * 50)
    with pytest.raises(
        UnreadableImageError, match=r"notes\.jpg: not an image in a supported format"
    ):
        read_image(path, 3)


def test_empty_file():
    assert refusal(b"") == "the file is empty"


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UnreadableImageError, match="No such file"):
        read_image(tmp_path / "missing.png", 3)
    with pytest.raises(UnreadableImageError, match="Is a directory"):
        read_image(tmp_path, 3)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_jpeg(encoded, photo, mode, share):
    content = encoded(Image.fromarray(photo(61, 83)).convert(mode), "JPEG", quality=95)
    assert "damaged" in refusal(content[: int(len(content) * share)])


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "BMP"])
def test_other_truncated_files(encoded, photo, file_format, share):
    content = encoded(Image.fromarray(photo(61, 83)), file_format)
    assert "image" in refusal(content[: int(len(content) * share)])


def test_truncated_jpeg_with_orientation(encoded, photo):
    """With an orientation another decoder reads the file: it refuses as well."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(photo(61, 83)), "JPEG", exif=exif)
    assert "truncated" in refusal(content[: len(content) // 2])


def test_other_formats_are_not_read(encoded):
    image = Image.new("RGB", (4, 4))
    for file_format in ("ICO", "TGA", "PCX"):
        assert refusal(encoded(image, file_format)).startswith("not an image in a supported format")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_too_many_pixels(encoded, file_format):
    content = encoded(Image.new("RGB", (13, 11)), file_format)
    assert refusal(content, max_pixels=142) == "13 x 11 pixels is over the limit of 142"
    assert decode_image(content, 3, name="x", max_pixels=143).shape == (11, 13, 3)


def test_the_limit_is_checked_before_pixels_are_decoded(encoded):
    """The header promises 10,000 x 10,000 pixels; the file holds none of them."""
    content = bytearray(encoded(Image.new("L", (1, 1)), "BMP"))
    content[18:26] = np.array([10_000, 10_000], "<i4").tobytes()
    assert refusal(bytes(content)) == f"10000 x 10000 pixels is over the limit of {MAX_PIXELS:,}"


def test_a_decompression_bomb_is_refused(encoded):
    """Beyond Pillow's own limit it does not even open the file."""
    content = bytearray(encoded(Image.new("L", (1, 1)), "BMP"))
    content[18:26] = np.array([60_000, 60_000], "<i4").tobytes()
    assert "limit" in refusal(bytes(content))
