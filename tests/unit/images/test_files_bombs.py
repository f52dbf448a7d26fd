"""Small files that claim or cost too much are rejected before memory and time are spent."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from convscope.base.errors import UnreadableImageError
from convscope.images import files
from convscope.images.files import MAX_PIXELS, decode_image, read_image

LIMIT = f"over the limit of {MAX_PIXELS:,}"


def saved(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def replaced(content, place, new):
    return content[:place] + new + content[place + len(new) :]


def huge_png(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(3 * width + 1) * 50))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def huge_jpeg(width, height, mode="RGB"):
    content = saved(Image.new(mode, (8, 8)), "JPEG")
    return replaced(content, content.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))


def huge_gif(width, height):
    return replaced(saved(Image.new("L", (8, 8)), "GIF"), 6, struct.pack("<HH", width, height))


def huge_gif_frame():
    """A small screen, and a first frame that is larger."""
    content = saved(Image.new("L", (8, 8)), "GIF")
    place = content.index(b",\0\0\0\0") + 5
    return replaced(content, place, struct.pack("<HH", 60_000, 60_000))


def huge_webp(width, height):
    content = saved(Image.new("RGB", (8, 8)), "WEBP", lossless=True)
    size = (width - 1) | (height - 1) << 14
    return replaced(content, content.index(b"VP8L") + 9, struct.pack("<I", size))


def huge_bmp(width, height):
    return replaced(saved(Image.new("RGB", (8, 8)), "BMP"), 18, struct.pack("<ii", width, height))


def tiff(width, height, tile=None, data=b""):
    entries = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1)]
    entries += zip((322, 323), tile, strict=True) if tile else [(278, height)]
    offset = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [(324 if tile else 273, offset), (325 if tile else 279, len(data))]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + data


BOMBS = {
    "png": lambda: huge_png(30_000, 30_000),
    "png-below-pillows-limit": lambda: huge_png(8_001, 8_000),
    "jpeg": lambda: huge_jpeg(65_500, 65_500),
    "jpeg-grey": lambda: huge_jpeg(8_001, 8_000, "L"),
    "gif": lambda: huge_gif(65_535, 65_535),
    "gif-frame": huge_gif_frame,
    "webp": lambda: huge_webp(16_383, 16_383),
    "webp-below-pillows-limit": lambda: huge_webp(16_383, 5_000),
    "bmp": lambda: huge_bmp(40_000, 40_000),
    "tiff": lambda: tiff(100_000, 100_000),
    "tiff-tile": lambda: tiff(100, 100, (12_000, 12_000), zlib.compress(bytes(12_000**2), 1)),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("channels", [1, 3])
def test_too_many_pixels_are_refused_from_the_header(name, channels):
    with pytest.raises(UnreadableImageError, match=LIMIT):
        decode_image(BOMBS[name](), channels, name="bomb")


def test_refusing_them_takes_no_memory(tmp_path):
    for name, bomb in BOMBS.items():
        (tmp_path / name).write_bytes(bomb())
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from convscope.base.errors import UnreadableImageError\n"
        "from convscope.images.files import read_image\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before, refused = peak(), 0\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try: read_image(path, 3)\n"
        "    except UnreadableImageError: refused += 1\n"
        "print(refused, peak() - before)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    refused, grown = map(int, done.stdout.split())
    assert refused == len(BOMBS)
    assert grown * (1 if sys.platform == "darwin" else 1024) < 50_000_000


def test_only_the_first_of_many_frames_is_decoded():
    frames = [Image.new("L", (40, 40), value % 256) for value in range(2000)]
    content = saved(frames[7], "GIF", save_all=True, append_images=frames, duration=10)
    assert decode_image(content, 1, name="x", max_pixels=1600).max() == 7


def test_a_jpeg_with_hundreds_of_scans_is_refused():
    content = saved(Image.new("RGB", (64, 64), "teal"), "JPEG", progressive=True)
    start, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    many = content[:end] + content[start:end] * 100 + content[end:]
    with pytest.raises(UnreadableImageError, match="more than 100 scans"):
        decode_image(many, 3, name="x")
    # What is appended, as phones do with films, is no part of the image.
    film = content + b"\xff\xda" * 500
    np.testing.assert_array_equal(
        decode_image(film, 3, name="x"), decode_image(content, 3, name="x")
    )


def test_a_jpeg_with_hundreds_of_exif_blocks_is_refused():
    content = saved(Image.new("RGB", (8, 8)), "JPEG")
    block = b"\xff\xe1\x00\x10Exif\0\0" + bytes(8)
    with pytest.raises(UnreadableImageError, match="blocks of EXIF"):
        decode_image(content[:2] + block * 101 + content[2:], 3, name="x")


def test_files_of_gigabytes_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 100_000)
    path = tmp_path / "1.jpg"
    path.write_bytes(saved(Image.new("RGB", (8, 8)), "JPEG") + bytes(100_000))
    with pytest.raises(UnreadableImageError, match="the file is over the limit of 100,000 bytes"):
        read_image(path, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16", "P"])
def test_images_converted_in_bands_are_as_if_in_one(mode, monkeypatch):
    pixels = np.random.default_rng(2).integers(0, 256, (23, 11, 4), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels.view(np.uint16)[..., 0])
    else:
        image = Image.fromarray(pixels, "RGBA").convert(mode)
    options = {"transparency": 3} if mode == "P" else {}
    content = saved(image, "PNG", **options)
    whole = decode_image(content, 3, name="x")
    monkeypatch.setattr(files, "_BAND", 40)
    np.testing.assert_array_equal(decode_image(content, 3, name="x"), whole)
