"""Decode image files to 8-bit pixels, safely and with fixed conversion rules.

| in the file                     | becomes                                                   |
|---------------------------------|-----------------------------------------------------------|
| 1 bit, 8-bit grey               | grey                                                      |
| 16-bit grey                     | grey, value * 255 / 65535, rounded                        |
| palette                         | its colours                                               |
| alpha, a transparent colour     | composited over white                                     |
| CMYK, YCbCr, LAB, HSV           | RGB (Pillow's conversion; no ICC profile is applied)      |
| floating point                  | an error: its range is not known                          |
| animation, several pages        | the first frame                                           |
| EXIF orientation                | applied                                                   |

Grey becomes three equal channels if the network expects colour. Colour becomes ITU-R 601 luma
(0.299 R + 0.587 G + 0.114 B) if it expects grey.
"""

import contextlib
import io
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from convscope.base.errors import ConvscopeError, UnreadableImageError
from convscope.base.tensors import Pixels

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "DIB", "TIFF", "GIF", "PPM")
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".dib",
    ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
MAX_PIXELS = 64_000_000
MAX_BYTES = 8 * MAX_PIXELS + 1_000_000  # four channels of 16 bits, uncompressed
MAX_SCANS = 100  # encoders write ten to twenty; each scan is a pass over all pixels

_ORIENTATION = 0x0112
_WHITE = (255, 255, 255, 255)
_TILE = (322, 323)  # TIFF tags: tile width and height; a tile is decoded whole
_BAND = 1 << 22  # pixels converted at a time, so that 64 million take less than a gigabyte
_JPEG_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# What Pillow's decoders raise on damaged files.
_DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_image(path: Path, channels: int, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The pixels of the image file at `path`, (height, width, channels), 0..255.

    Raises:
        UnreadableImageError: the file is not a readable image. It names file and reason.
    """
    if path.is_char_device() or path.is_block_device():  # reading some of them never ends
        raise UnreadableImageError(str(path), "a device, not a file")
    return decode_image(read_content(path), channels, name=str(path), max_pixels=max_pixels)


def read_content(path: Path) -> bytes:
    """The bytes of an image file, at most `MAX_BYTES` + 1 of them.

    Raises:
        UnreadableImageError: the file cannot be read. It names file and reason.
    """
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableImageError(str(path), error.strerror or str(error)) from error


def decode_image(
    content: bytes, channels: int, *, name: str, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Decodes the bytes of an image file to pixels (height, width, channels), 0..255.

    Args:
        content: the bytes of the file.
        channels: 1 or 3.
        name: the file's name for the error message.
        max_pixels: the largest height times width.

    Raises:
        UnreadableImageError: not an image of a supported format, damaged, or over `max_pixels`.
    """
    if not content:
        raise UnreadableImageError(name, "the file is empty")
    if len(content) > MAX_BYTES:
        raise UnreadableImageError(name, f"the file is over the limit of {MAX_BYTES:,} bytes")
    if content.startswith(b"\xff\xd8"):
        _check_jpeg(content, name)
    formats = _heif_formats(name) if _is_heif(content) else FORMATS
    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            tile = [getattr(image, "tag_v2", {}).get(tag, 0) for tag in _TILE]
            for width, height in (image.size, tile):
                if width * height > max_pixels:
                    size = f"{width} x {height} pixels"
                    raise UnreadableImageError(name, f"{size} is over the limit of {max_pixels:,}")
            if image.mode == "F":
                reason = (
                    "floating-point pixels, whose range is not known; save it with 8 or 16 bits"
                )
                raise UnreadableImageError(name, reason)
            return _pixels(image, content, channels)
    except UnreadableImageError:
        raise
    except Image.DecompressionBombError as error:  # Pillow checks its own limit before ours
        numbers = re.findall(r"\d+", str(error))
        pixels = f"{int(numbers[0]):,} pixels are" if numbers else "it is"
        reason = f"{pixels} over the limit of {max_pixels:,}"
        raise UnreadableImageError(name, reason) from error
    except Image.UnidentifiedImageError:
        known = "JPEG, PNG, WebP, AVIF, HEIC, BMP, TIFF, GIF, PPM"
        reason = f"not an image in a supported format ({known})"
        raise UnreadableImageError(name, reason) from None
    except _DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(name, f"damaged image ({reason})") from error


def to_channels(pixels: Pixels, channels: int) -> Pixels:
    """Converts grey to three equal channels, or colour to luma.

    Args:
        pixels: (height, width, 1 or 3).
        channels: of the result. Pixels that have as many already are returned unchanged.

    Raises:
        ConvscopeError: `channels` is neither 1 nor 3.
    """
    if pixels.shape[2] == channels:
        return pixels
    if channels not in (1, 3):
        raise ConvscopeError(
            f"the network expects {channels} channels, but image files give 1 or 3; "
            "use a network for grey or RGB images"
        )
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(Image.fromarray(pixels, "RGB").convert("L"))[:, :, None]


def _pixels(image: Image.Image, content: bytes, channels: int) -> Pixels:
    orientation = image.getexif().get(_ORIENTATION, 1)
    plain = image.mode in ("RGB", "L") and orientation not in range(2, 9)
    if image.format == "JPEG" and plain:
        # libjpeg-turbo without Pillow's copies: twice as fast, with identical pixels.
        space = "RGB" if image.mode == "RGB" else "GRAY"
        with contextlib.suppress(ValueError):  # it is stricter than Pillow, which decides
            return to_channels(simplejpeg.decode_jpeg(content, space, strict=True), channels)
    image = ImageOps.exif_transpose(_to_grey_or_rgb(image))
    array = np.asarray(image)
    return to_channels(array if array.ndim == 3 else array[:, :, None], channels)


def _to_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Converts `image` to 8-bit grey (L) or RGB by the rules of the module's docstring."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode == "1" and "transparency" not in image.info:
        return image.convert("L")
    if image.mode.startswith("I"):
        grey = Image.new("L", image.size)
        for box in _bands(image):
            wide = np.clip(np.asarray(image.crop(box)).astype(np.int64), 0, 65535)
            eight = ((wide * 255 + 32767) // 65535).astype(np.uint8)
            grey.paste(Image.fromarray(eight, "L"), box)
        grey.info = image.info
        return _keep_exif(grey, image)
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        plain = Image.new("L" if image.mode in ("1", "L", "LA", "La") else "RGB", image.size)
        for box in _bands(image):
            band = image.crop(box).convert("RGBA")
            over = Image.new("RGBA", band.size, _WHITE)
            over.alpha_composite(band)
            plain.paste(over.convert(plain.mode), box)
        return _keep_exif(plain, image)
    return _keep_exif(image.convert("RGB"), image)


def _bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Full-width boxes (left, top, right, bottom) that cover the image from top to bottom."""
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _check_jpeg(content: bytes, name: str) -> None:
    """Rejects files that take a decoder far longer than their size suggests.

    Raises:
        UnreadableImageError: too many scans or too many blocks of metadata.
    """
    if content.count(b"Exif\0\0") > MAX_SCANS:  # Pillow joins them, in quadratic time
        raise UnreadableImageError(name, f"damaged image (more than {MAX_SCANS} blocks of EXIF)")
    if content.count(b"\xff\xda") <= MAX_SCANS:
        return
    # Only scans before the end of the image count: phones append videos, which hold any bytes.
    position, scans = 2, 0
    while match := _JPEG_MARKER.search(content, position):
        position, kind = match.end(), content[match.end() - 1]
        if kind == 0xD9:
            return
        scans += kind == 0xDA
        if scans > MAX_SCANS:
            raise UnreadableImageError(name, f"more than {MAX_SCANS} scans")
        if kind not in (0x01, 0xD8):
            position += int.from_bytes(content[position : position + 2], "big")


def _is_heif(content: bytes) -> bool:
    """Whether the file says that it is HEIF and not AVIF, which is a sort of HEIF."""
    brand, compatible = content[8:12], content[16:64]
    return content[4:8] == b"ftyp" and brand in _HEIF_BRANDS and b"avif" not in compatible


def _heif_formats(name: str) -> tuple[str, ...]:
    """Pillow's name of HEIF, which a library of its own teaches Pillow to read.

    Raises:
        UnreadableImageError: the library is not installed.
    """
    try:
        import pillow_heif  # noqa: PLC0415 (optional)
    except ImportError:
        reason = "HEIC images need the extra heic: pip install convscope[heic]"
        raise UnreadableImageError(name, reason) from None
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _keep_exif(converted: Image.Image, original: Image.Image) -> Image.Image:
    converted.getexif().update(original.getexif())
    return converted
