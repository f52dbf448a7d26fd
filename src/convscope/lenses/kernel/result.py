"""The parameters and answers of the routes of `kernel`: kernels, sizes, filtered images."""

from convscope.explorer.wire import Wire
from convscope.images.borders import Border

Matrix = list[list[float]]


class Preset(Wire):
    """A kernel by its name."""

    name: str
    kernel: Matrix


class OutputSize(Wire):
    """One axis of a convolution or pool: `size` is floor((n + 2p - d(k-1) - 1)/s) + 1.

    `formula` is that with its numbers; `lost` as `convscope.images.kernels.num_lost`. If the
    size is impossible, `size` is null and `error` says why.
    """

    size: int | None
    lost: int
    formula: str
    error: str | None


class KernelRequest(Wire):
    """A kernel, and the image that it filters in grey; without `image` the 6 x 6 example.

    `at` is the (row, column) of the output that is worked out. Without `picture` the answer is that
    number alone, for one after the other in the same image.
    """

    image: str | None = None
    kernel: Matrix
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    border: Border = Border.ZERO
    at: tuple[int, int] | None = None
    picture: bool = True


class OutputCell(Wire):
    """One number of the output worked out, as `convscope.images.kernels.Cell`."""

    at: tuple[int, int]
    rows: list[int]
    columns: list[int]
    pixels: Matrix
    products: Matrix
    outside: list[list[bool]]
    sum: float


class KernelResult(Wire):
    """Input and output as numbers, and what is lost at the end of each axis (rows, columns).

    `formulas` has the output sizes of rows and columns with their numbers. Without a picture
    `input` and `output` are empty, `low` and `high` null.
    """

    input: Matrix
    output: Matrix
    lost: tuple[int, int]
    formulas: tuple[str, str]
    low: float | None
    high: float | None
    cell: OutputCell | None
