"""Image kernels, applied in steps that can be checked by hand.

This module uses only numbers and arrays: no networks, files or pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Float64

from convscope.base.errors import ConvscopeError
from convscope.images.borders import Border

Numbers = np.ndarray | Sequence[Any]
Pair = int | Sequence[int]
Filtered = Float64[np.ndarray, "_rows _columns *_channels"]
Matrix = tuple[tuple[float, ...], ...]

KERNELS: dict[str, Matrix] = {
    "sobel-left": ((1, 0, -1), (2, 0, -2), (1, 0, -1)),
    "sobel-right": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel-top": ((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
    "sobel-bottom": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "prewitt": ((1, 0, -1), (1, 0, -1), (1, 0, -1)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    "outline": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
    "blur": ((0.0625, 0.125, 0.0625), (0.125, 0.25, 0.125), (0.0625, 0.125, 0.0625)),
    "identity": ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
}
"""Known kernels by name, applied without a flip: `sobel-left` is positive where the left is
brighter, `sobel-top` where the top is. `prewitt` is `sobel-left` without the weight on the middle.

Source: Powell, Image Kernels (setosa.io/ev/image-kernels); there is no prewitt and laplacian there,
these are the textbook's (Gonzalez & Woods, Digital Image Processing, chapters 3 and 10).
"""

EXAMPLE: Matrix = (
    (20, 24, 11, 12, 16, 19),
    (19, 17, 20, 23, 15, 9),
    (21, 40, 25, 13, 14, 8),
    (9, 18, 8, 6, 11, 22),
    (31, 3, 7, 9, 17, 23),
    (20, 12, 3, 11, 19, 30),
)
"""A 6 x 6 image to follow on paper; with `sobel-left` its first output is 3."""

_MODES = ("correlation", "convolution")
_MAX_VALUES = 2**28  # 2 GiB of float64: more than the largest image that we read, in colour


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """How many places the kernel takes along one axis: floor((n + 2p - d(k-1) - 1)/s) + 1.

    Args:
        size: n, rows or columns of the input, 1 or more.
        kernel: k, rows or columns of the kernel, 1 or more.
        stride: s, pixels from one place to the next, 1 or more.
        padding: p, pixels added on each of the two sides, 0 or more.
        dilation: d, pixels from one kernel entry to the next, 1 or more.

    Raises:
        ConvscopeError: a value out of its range, or a dilated kernel, d(k-1) + 1 pixels long, that
            is larger than the padded input.

    Source: Dumoulin & Visin 2016, relationship 15.

    >>> output_size(227, kernel=11, stride=4), output_size(5, kernel=3, stride=2, padding=1)
    (55, 3)
    """
    return _travel(size, kernel, stride, padding, dilation) // stride + 1


def num_lost(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many rows (or columns) at the end of the padded input lie beyond the last window.

    They are lost because the stride does not fit: (n + 2p - d(k-1) - 1) mod s, so 0..s-1. The
    padding is counted: the input itself loses `max(0, num_lost(...) - padding)`. What a stride
    larger than the kernel leaves out between two windows is not counted. Arguments and errors are
    those of `output_size`.

    >>> num_lost(227, kernel=11, stride=4), num_lost(224, kernel=11, stride=4)
    (0, 1)
    """
    return _travel(size, kernel, stride, padding, dilation) % stride


def convolve(
    image: Numbers,
    kernel: Numbers,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    border: str = "zero",
    mode: str = "correlation",
) -> Filtered:
    """`image` filtered by `kernel`, each channel by itself, as float64.

    At each place the output is the dot product of the kernel and the pixels under it. Sums run over
    the kernel row by row; integers give exact results as long as sums stay below 2**53.

    Args:
        image: (height, width) or (height, width, channels), finite numbers of any range.
        kernel: (rows, columns), finite numbers.
        stride: pixels from one place to the next; like `padding` and `dilation` one whole number,
            or a (vertical, horizontal) pair.
        padding: pixels added on each side.
        dilation: pixels from one kernel entry to the next.
        border: how the padding is filled, see `convscope.images.borders.Border`: "zero"; "edge",
            the nearest pixel; "reflect", the image mirrored at its outermost pixels, which are not
            repeated; "wrap", the opposite side.
        mode: "correlation" lays the kernel on the image as it is, as networks do; "convolution"
            flips it both ways first, as signal processing does.

    Returns:
        (rows, columns) or (rows, columns, channels), each axis as `output_size` says. A
        12-megapixel grey photo takes 0.5 s with nine kernel entries (two cores of an AMD EPYC).

    Raises:
        ConvscopeError: an argument of a wrong shape, type or range, by name.

    Source: Goodfellow, Bengio & Courville 2016, section 9.1, equations 9.4 and 9.6.

    >>> convolve(EXAMPLE, KERNELS["sobel-left"]).astype(int).tolist()
    [[3, 27, 16, 26], [-8, 60, 24, 8], [22, 45, -5, -41], [66, 1, -39, -63]]
    """
    pixels = _numbers("image", image, (2, 3), "(height, width) or (height, width, channels)")
    weights = _numbers("kernel", kernel, (2,), "(rows, columns)")
    steps, pads = _pair("stride", stride, 1), _pair("padding", padding, 0)
    gaps, border = _pair("dilation", dilation, 1), Border.of(border)
    if mode not in _MODES:
        raise ConvscopeError(f"mode={mode!r}: give one of {', '.join(_MODES)}")
    rows, columns = (
        output_size(pixels.shape[axis], weights.shape[axis], steps[axis], pads[axis], gaps[axis])
        for axis in (0, 1)
    )
    if mode == "convolution":
        weights = weights[::-1, ::-1]
    _check_range(pixels, weights)
    padded = _padded(pixels, pads, border)
    result = np.zeros((rows, columns, *pixels.shape[2:]))
    product = np.empty_like(result)  # one buffer: 0.39 s, not 0.51 s, at 12 megapixels
    for (row, column), weight in np.ndenumerate(weights):
        if weight:
            below = padded[row * gaps[0] :: steps[0], column * gaps[1] :: steps[1]]
            result += np.multiply(below[:rows, :columns], weight, out=product)
    return result


def size_formula(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> str:
    """`output_size` with its numbers put in, without the result.

    >>> size_formula(6, kernel=3)
    'floor((6 + 2·0 - 1·(3 - 1) - 1) / 1) + 1'
    """
    return f"floor(({size} + 2·{padding} - {dilation}·({kernel} - 1) - 1) / {stride}) + 1"


@dataclass(frozen=True, eq=False)
class Cell:
    """The computation of one value of a filtered image.

    Attributes:
        rows: (kernel rows,) of the image, negative or beyond its end in the padding.
        columns: (kernel columns,) of the image, likewise.
        pixels: the values there, (kernel rows, kernel columns).
        products: pixels x kernel.
        outside: which of them are padding.
        sum: of the products, row by row.
    """

    rows: np.ndarray
    columns: np.ndarray
    pixels: np.ndarray
    products: np.ndarray
    outside: np.ndarray
    sum: float


def cell(
    image: Numbers,
    kernel: Numbers,
    at: Sequence[int],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    border: str = "zero",
) -> Cell:
    """How `convolve` computes the value at a position (row, column) of its output.

    Args:
        image: (height, width), finite numbers.
        kernel: (rows, columns), laid on the image as it is.
        at: the place, within the output.
        stride: as of `convolve`, for both axes; so are the others.
        padding: pixels added on each side.
        dilation: pixels from one kernel entry to the next.
        border: how the padding is filled.

    Raises:
        ConvscopeError: as `convolve`, or for a place outside of the output.

    >>> cell(EXAMPLE, KERNELS["sobel-left"], (0, 0)).products.tolist()
    [[20.0, 0.0, -11.0], [38.0, 0.0, -40.0], [21.0, 0.0, -25.0]]
    """
    pixels = _numbers("image", image, (2,), "(height, width)")
    weights = _numbers("kernel", kernel, (2,), "(rows, columns)")
    border = Border.of(border)
    places = []
    for axis, name in enumerate(("row", "column")):
        count = output_size(pixels.shape[axis], weights.shape[axis], stride, padding, dilation)
        if not 0 <= at[axis] < count:
            raise ConvscopeError(f"at: {name} {at[axis]} must be in 0..{count - 1}")
        places.append(at[axis] * stride - padding + dilation * np.arange(weights.shape[axis]))
    padded = _padded(pixels, (padding, padding), border)
    below = padded[np.ix_(places[0] + padding, places[1] + padding)]
    inside = [
        (place >= 0) & (place < length) for place, length in zip(places, pixels.shape, strict=True)
    ]
    products = below * weights
    total = 0.0
    for product in products.ravel().tolist():  # in the order of `convolve`
        total += product
    return Cell(places[0], places[1], below, products, ~np.logical_and.outer(*inside), total)


def _travel(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How far the first window can move before it leaves the padded input, in pixels."""
    given = {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}
    for name, value, least in [*((*item, 1) for item in given.items()), ("padding", padding, 0)]:
        if not isinstance(value, Integral) or value < least:
            raise ConvscopeError(f"{name}={value!r}: give a whole number, {least} or more")
    span, room = dilation * (kernel - 1) + 1, size + 2 * padding
    if span > room:
        raise ConvscopeError(
            f"a kernel of {kernel} with dilation {dilation} covers {span} pixels, but an input of "
            f"{size} with padding {padding} has {room}: use a smaller kernel or dilation, or more "
            "padding"
        )
    return room - span


def _numbers(name: str, given: Numbers, dimensions: tuple[int, ...], shape: str) -> np.ndarray:
    """`given` as a float64 array of one of the numbers of dimensions, all finite."""
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors with a gradient
        raise ConvscopeError(f"{name}: cannot be read as an array of numbers ({error})") from error
    if array.dtype.kind not in "biuf":
        raise ConvscopeError(f"{name}: holds {array.dtype} values; give integers or floats")
    if array.ndim not in dimensions or array.size == 0:
        raise ConvscopeError(f"{name}: has shape {array.shape}; give {shape}, none of them 0")
    with np.errstate(over="ignore"):  # of wider floats; the next line detects it
        array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ConvscopeError(f"{name}: holds NaN or infinity; replace them by finite numbers first")
    return array


def _pair(name: str, given: Pair, least: int) -> tuple[int, int]:
    pair = tuple(given) if isinstance(given, Sequence) else (given, given)
    if len(pair) != 2 or not all(isinstance(one, Integral) and one >= least for one in pair):
        raise ConvscopeError(
            f"{name}={given!r}: give a whole number, {least} or more, or a (vertical, horizontal) "
            "pair of them"
        )
    return int(pair[0]), int(pair[1])


def _padded(pixels: np.ndarray, pads: tuple[int, int], border: Border) -> np.ndarray:
    height, width = pixels.shape[:2]
    if border is Border.REFLECT and (pads[0] >= height or pads[1] >= width):
        raise ConvscopeError(
            f"padding={pads}: border 'reflect' mirrors at most {height - 1} rows and {width - 1} "
            f"columns of a {height} x {width} image; use less padding or another border"
        )
    size = (height + 2 * pads[0]) * (width + 2 * pads[1]) * (pixels.size // (height * width))
    if size > _MAX_VALUES:
        raise ConvscopeError(
            f"padding={pads}: the padded image would have {size:,} values, over the limit of "
            f"{_MAX_VALUES:,}; use less padding or a smaller image"
        )
    margins = [(pad, pad) for pad in pads] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, margins, mode=border.numpy_mode)


def _check_range(pixels: np.ndarray, weights: np.ndarray) -> None:
    """Refuses values whose sum of products could be infinite."""
    largest = max(pixels.max(), -pixels.min())
    with np.errstate(over="ignore"):
        bound = largest * np.abs(weights).sum()
    if not np.isfinite(bound):
        raise ConvscopeError(
            f"image and kernel: values up to {largest:.3g} times these weights are too large for "
            "float64; scale one of them down"
        )
