"""Image files to pixels, safely and always in the same way.

| in the file                     | becomes                                                   |
|---------------------------------|-----------------------------------------------------------|
| 1 bit, 8-bit grey               | grey                                                      |
| 16-bit grey                     | grey, value * 255 / 65535, rounded                        |
| palette                         | its colours                                               |
| alpha, a transparent colour     | composited over white                                     |
| CMYK, YCbCr, LAB, HSV           | RGB (Pillow's conversion; no ICC profile is applied)      |
| floating point                  | refused: its range is not known                           |
| animation, several pages        | the first frame                                           |
| EXIF orientation                | applied                                                   |

Grey becomes three equal channels where the network wants colour; colour becomes
ITU-R 601 luma (0.299 R + 0.587 G + 0.114 B) where it wants grey.
"""

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

from convscope.base.errors import ConvscopeError, UnreadableImageError
from convscope.base.tensors import Pixels

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif")
MAX_PIXELS = 64_000_000

_ORIENTATION = 0x0112
_WHITE = (255, 255, 255, 255)
# What Pillow's decoders raise on damaged files, beside OSError.
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
        UnreadableImageError: naming the file and the reason.
    """
    if path.is_char_device() or path.is_block_device():  # some never end
        raise UnreadableImageError(str(path), "a device, not a file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(str(path), error.strerror or str(error)) from error
    return decode_image(content, channels, name=str(path), max_pixels=max_pixels)


def decode_image(
    content: bytes, channels: int, *, name: str, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """The pixels of an image file's bytes; `name` is used in the error.

    Raises:
        UnreadableImageError: not an image of an allowed format, damaged, or over `max_pixels`.
    """
    if not content:
        raise UnreadableImageError(name, "the file is empty")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                size = f"{image.width} x {image.height} pixels"
                raise UnreadableImageError(name, f"{size} is over the limit of {max_pixels:,}")
            return _pixels(image, content, channels)
    except UnreadableImageError:
        raise
    except Image.UnidentifiedImageError:
        reason = "not an image in a format we read (JPEG, PNG, WebP, BMP, TIFF, GIF)"
        raise UnreadableImageError(name, reason) from None
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise UnreadableImageError(name, f"damaged image ({error})") from error


def to_channels(pixels: Pixels, channels: int) -> Pixels:
    """Grey as three equal channels, or colour as luma; unchanged where it fits already."""
    if pixels.shape[2] == channels:
        return pixels
    if channels not in (1, 3):
        raise ConvscopeError(f"image files give 1 or 3 channels, the network wants {channels}")
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(Image.fromarray(pixels, "RGB").convert("L"))[:, :, None]


def _pixels(image: Image.Image, content: bytes, channels: int) -> Pixels:
    orientation = image.getexif().get(_ORIENTATION, 1)
    plain = image.mode in ("RGB", "L") and orientation not in range(2, 9)
    if image.format == "JPEG" and plain:
        # libjpeg-turbo without Pillow's copies: twice as fast, the same bits.
        space = "RGB" if image.mode == "RGB" else "GRAY"
        with contextlib.suppress(ValueError):  # stricter than Pillow, which then decides
            return to_channels(simplejpeg.decode_jpeg(content, space, strict=True), channels)
    image = ImageOps.exif_transpose(_plain_mode(image))
    array = np.asarray(image)
    return to_channels(array if array.ndim == 3 else array[:, :, None], channels)


def _plain_mode(image: Image.Image) -> Image.Image:
    """`image` as 8-bit grey (L) or RGB, by the table at the top."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode == "1" and "transparency" not in image.info:
        return image.convert("L")
    if image.mode == "F":
        raise ValueError("floating-point pixels; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        wide = np.clip(np.asarray(image).astype(np.int64), 0, 65535)
        grey = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8), "L")
        grey.info = image.info
        return _keep_exif(grey, image)
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        over = Image.new("RGBA", image.size, _WHITE)
        over.alpha_composite(image.convert("RGBA"))
        grey = image.mode in ("1", "L", "LA", "La")
        return _keep_exif(over.convert("L" if grey else "RGB"), image)
    return _keep_exif(image.convert("RGB"), image)


def _keep_exif(converted: Image.Image, original: Image.Image) -> Image.Image:
    converted.getexif().update(original.getexif())
    return converted
