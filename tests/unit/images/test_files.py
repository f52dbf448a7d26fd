"""Each row of the table of modes in `images.files`."""

import io
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from convscope.base.errors import UnreadableImageError
from convscope.images.files import SUFFIXES, decode_image, read_image, to_channels

GENERATOR = np.random.default_rng(5)
COLOURS = GENERATOR.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREYS = GENERATOR.integers(0, 256, (5, 7), dtype=np.uint8)
WIDE = GENERATOR.integers(0, 65536, (5, 7)).astype(np.uint16)
ALPHA = GENERATOR.integers(0, 256, (5, 7), dtype=np.uint8)
ORIENTATION = 0x0112

# What a viewer does to the stored rows and columns for each EXIF orientation (EXIF 2.3, 4.6.4.A).
TURNED = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored[:, ::-1].swapaxes(0, 1),
}


def over_white(colours, alpha):
    """Composited over white in real numbers."""
    share = alpha[..., None] / 255
    return colours * share + 255 * (1 - share)


def luma(colours):
    return colours @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "PPM"])
def test_colour_is_read_as_it_is(encoded, file_format):
    colours = np.repeat(GREYS[..., None], 3, axis=2) if file_format == "GIF" else COLOURS
    options = {"lossless": True} if file_format == "WEBP" else {}
    content = encoded(Image.fromarray(colours), file_format, **options)
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), colours)


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_grey_is_read_as_it_is(encoded, file_format):
    content = encoded(Image.fromarray(GREYS), file_format)
    np.testing.assert_array_equal(decode_image(content, 1, name="x")[..., 0], GREYS)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "BMP", "PPM"])
def test_one_bit_becomes_black_and_white(encoded, file_format):
    bits = GREYS > 127
    content = encoded(Image.fromarray(bits), file_format)
    assert Image.fromarray(bits).mode == "1"
    np.testing.assert_array_equal(decode_image(content, 1, name="x")[..., 0], bits * 255)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_become_eight_by_rounding(encoded, file_format):
    wide = WIDE.copy()
    wide[0, :5] = 0, 128, 129, 65535, 32768
    content = encoded(Image.fromarray(wide), file_format)
    expected = [[round(int(value) * 255 / 65535) for value in row] for row in wide]
    np.testing.assert_array_equal(decode_image(content, 1, name="x")[..., 0], expected)


def smooth(size=64):
    rows, columns = np.mgrid[:size, :size] * 255 // (size - 1)
    return np.stack([rows, columns, 255 - rows], axis=2).astype(np.uint8)


def test_avif_is_read(encoded):
    content = encoded(Image.fromarray(smooth()), "AVIF", quality=100, subsampling="4:4:4")
    read = decode_image(content, 3, name="x").astype(int)
    assert np.abs(read - smooth()).max() <= 4  # its own colour space rounds


def test_heic_is_read_by_the_extra(encoded):
    pillow_heif.register_heif_opener()
    content = encoded(Image.fromarray(smooth()), "HEIF", quality=100, chroma=444)
    read = decode_image(content, 3, name="x").astype(int)
    assert np.abs(read - smooth()).max() <= 3


@pytest.mark.parametrize("file_format", ["HEIF", "AVIF", "PPM"])
def test_a_file_that_is_cut_is_refused(encoded, file_format):
    pillow_heif.register_heif_opener()
    content = encoded(Image.fromarray(smooth()), file_format)
    for cut in range(12, len(content) * 3 // 4, len(content) // 25):
        with pytest.raises(UnreadableImageError, match="x: "):
            decode_image(content[:cut], 3, name="x")


def test_heic_without_the_extra_says_what_to_install(encoded, monkeypatch):
    pillow_heif.register_heif_opener()
    content = encoded(Image.fromarray(smooth()), "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableImageError, match=r"x: HEIC .* pip install convscope\[heic\]"):
        decode_image(content, 3, name="x")


def test_thirty_two_bit_integers_are_clipped_to_sixteen(encoded):
    wide = np.array([[-5, 0, 65535, 70_000]], np.int32)
    content = encoded(Image.fromarray(wide), "TIFF")
    assert decode_image(content, 1, name="x").ravel().tolist() == [0, 0, 255, 255]


def palette_image():
    image = Image.fromarray((GREYS % 4).astype(np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    return image


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette_becomes_its_colours(encoded, file_format):
    table = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]])
    content = encoded(palette_image(), file_format)
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), table[GREYS % 4])


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(encoded, file_format):
    table = np.array([[10, 20, 30], [200, 0, 0], [255, 255, 255], [0, 0, 200]])
    content = encoded(palette_image(), file_format, transparency=2)
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), table[GREYS % 4])


def test_palette_with_graded_transparency(encoded):
    table = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]])
    alpha = np.array([255, 128, 0, 30])
    content = encoded(palette_image(), "PNG", transparency=bytes(alpha.tolist()))
    expected = over_white(table[GREYS % 4], alpha[GREYS % 4])
    assert np.abs(decode_image(content, 3, name="x") - expected).max() <= 1


def test_a_transparent_grey_becomes_white(encoded):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for content in (
        encoded(Image.fromarray(ramp), "PNG", transparency=7),
        encoded(Image.fromarray(ramp), "GIF", transparency=7),
    ):
        expected = np.where(ramp == 7, 255, ramp)
        np.testing.assert_array_equal(decode_image(content, 1, name="x")[..., 0], expected)


def test_a_transparent_colour_becomes_white(encoded):
    content = encoded(Image.fromarray(COLOURS), "PNG", transparency=tuple(COLOURS[2, 3].tolist()))
    expected = COLOURS.copy()
    expected[2, 3] = 255
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), expected)


def test_grey_with_alpha_is_composited_over_white(encoded):
    content = encoded(Image.fromarray(np.dstack([GREYS, ALPHA]), "LA"), "PNG")
    expected = over_white(GREYS[..., None].astype(float), ALPHA)
    assert np.abs(decode_image(content, 1, name="x") - expected).max() <= 1
    assert decode_image(content, 3, name="x").shape == (5, 7, 3)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
def test_colour_with_alpha_is_composited_over_white(encoded, file_format):
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    content = encoded(Image.fromarray(np.dstack([COLOURS, ALPHA]), "RGBA"), file_format, **options)
    expected = over_white(COLOURS, ALPHA)
    assert np.abs(decode_image(content, 3, name="x") - expected).max() <= 1


def test_cmyk_jpeg_becomes_rgb(encoded):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, :8] = 255, 0, 0, 0  # cyan alone
    inks[:, 8:] = 0, 0, 255, 0  # yellow alone
    content = encoded(Image.fromarray(inks, "CMYK"), "JPEG", quality=100)
    pixels = decode_image(content, 3, name="x").astype(int)
    assert np.abs(pixels[:, :7] - (0, 255, 255)).max() <= 3
    assert np.abs(pixels[:, 9:] - (255, 255, 0)).max() <= 3


def test_ycbcr_tiff_becomes_rgb(encoded):
    content = encoded(Image.fromarray(COLOURS).convert("YCbCr"), "TIFF")
    assert np.abs(decode_image(content, 3, name="x").astype(int) - COLOURS).max() <= 3


def test_lab_tiff_becomes_rgb(encoded):
    lab = np.zeros((4, 4, 3), np.uint8)
    lab[..., 0] = 255  # L = 100, a = b = 0: white
    pixels = decode_image(encoded(Image.fromarray(lab, "LAB"), "TIFF"), 3, name="x")
    assert pixels.min() >= 250


def test_floating_point_is_refused_with_a_reason(encoded):
    content = encoded(Image.fromarray(GREYS.astype(np.float32)), "TIFF")
    with pytest.raises(UnreadableImageError, match=r"f\.tif: .*floating-point.*8 or 16 bits"):
        decode_image(content, 3, name="f.tif")


@pytest.mark.parametrize("file_format", ["GIF", "TIFF", "WEBP", "PNG"])
def test_an_animation_shows_its_first_frame(encoded, file_format):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if file_format == "WEBP" else {}
    content = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    expected = np.broadcast_to((255, 0, 0), (4, 6, 3))
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), expected)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "I;16", "P", "RGBA"])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_exif_orientation_is_applied(encoded, file_format, mode, orientation):
    image = Image.fromarray(WIDE) if mode == "I;16" else Image.fromarray(COLOURS).convert(mode)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = decode_image(encoded(image, file_format), 3, name="x")
    turned = decode_image(encoded(image, file_format, exif=exif), 3, name="x")
    np.testing.assert_array_equal(turned, TURNED[orientation](stored))


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_exif_orientation_of_jpegs_is_applied(encoded, photo, mode, orientation):
    image = Image.fromarray(photo(21, 34)).convert(mode)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = decode_image(encoded(image, "JPEG"), 3, name="x")
    turned = decode_image(encoded(image, "JPEG", exif=exif), 3, name="x")
    np.testing.assert_array_equal(turned, TURNED[orientation](stored))
    seen = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(image, "JPEG", exif=exif))))
    assert seen.size == (turned.shape[1], turned.shape[0])


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_unknown_orientation_changes_nothing(encoded, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    content = encoded(Image.fromarray(COLOURS), "PNG", exif=exif)
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), COLOURS)


def test_grey_becomes_three_equal_channels():
    pixels = to_channels(GREYS[..., None], 3)
    assert pixels.shape == (5, 7, 3)
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], GREYS)


def test_colour_becomes_luma(encoded):
    content = encoded(Image.fromarray(COLOURS), "PNG")
    pixels = decode_image(content, 1, name="x")
    assert pixels.shape == (5, 7, 1)
    assert np.abs(pixels[..., 0] - luma(COLOURS)).max() <= 1
    np.testing.assert_array_equal(to_channels(COLOURS, 1), pixels)


def test_pixels_that_fit_are_not_copied():
    assert to_channels(COLOURS, 3) is COLOURS


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_content_decides_and_not_the_ending(encoded, tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    path.write_bytes(encoded(Image.fromarray(COLOURS), "PNG"))
    np.testing.assert_array_equal(read_image(path, 3), COLOURS)
