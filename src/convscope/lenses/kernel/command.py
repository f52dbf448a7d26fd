"""`convscope kernel`: an image filtered by a kernel, as a picture of both."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field

from convscope.base.errors import ConvscopeError
from convscope.contract.lens import Params
from convscope.contract.options import OptionValues, with_options
from convscope.images.borders import Border

if TYPE_CHECKING:
    import numpy as np

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")]
Preset = Annotated[
    str | None,
    typer.Option(
        help="sobel-left, sobel-right, sobel-top, sobel-bottom, prewitt, laplacian, outline, "
        "sharpen, emboss, blur or identity."
    ),
]
Own = Annotated[
    str | None,
    typer.Option("--kernel", help='Your own: "1,0,-1;2,0,-2;1,0,-1"; also fractions, as in 1/9.'),
]
Grey = Annotated[
    bool, typer.Option("--grey/--colour", help="Luminance, or each channel by itself.")
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="A PNG file; by default kernel-PRESET.png.")
]


class KernelParams(Params):
    """How a kernel moves over an image."""

    stride: int = Field(1, ge=1, description="Pixels from one place to the next.")
    padding: int | None = Field(
        None, ge=0, description="Pixels on each side; by default half the kernel, to keep the size."
    )
    dilation: int = Field(1, ge=1, description="Pixels from one kernel entry to the next.")
    border: Border = Field(
        Border.ZERO, description="What stands in the padding: zero, edge, reflect or wrap."
    )
    convolution: bool = Field(False, description="Flip the kernel both ways; networks do not.")


@with_options(KernelParams)
def command(
    image: Image,
    preset: Preset = None,
    own: Own = None,
    *,
    params: OptionValues[KernelParams],
    grey: Grey = True,
    out: Out = None,
) -> None:
    """Filter IMAGE by a kernel and draw both side by side."""
    from convscope.base.storage import write_bytes
    from convscope.images.files import read_image
    from convscope.images.kernels import convolve
    from convscope.lenses.kernel.picture import kernel_picture

    given = params.params()
    name, weights = _chosen(preset, own)
    out = _target(out or Path(f"kernel-{name}.png"), image)
    pads = _padding(given, weights)
    mode = "convolution" if given.convolution else "correlation"
    pixels = read_image(image, 1 if grey else 3)
    result = convolve(pixels, weights, given.stride, pads, given.dilation, given.border, mode)
    settings = _settings(weights, mode, given, pads)
    title = name if own is None else "own kernel"
    axes = [
        _Axis(label, pixels.shape[axis], weights.shape[axis], given.stride, pads[axis],
              given.dilation)
        for axis, label in enumerate(("rows", "columns"))
    ]  # fmt: skip
    lost = axes[0].lost, axes[1].lost
    picture = kernel_picture(pixels, result, weights, title=title, settings=settings, lost=lost)
    write_bytes(out, picture)
    print(
        f"image    {image}, {pixels.shape[0]} x {pixels.shape[1]}, {'grey' if grey else 'colour'}"
    )
    print(f"kernel   {title}, {', '.join(settings)}")
    for row in weights:
        print("         " + " ".join(f"{entry:6.4g}" for entry in row))
    for axis in axes:
        axis.show()
    _print_values(result, weights)
    print(f"picture  {out}")


@dataclass(frozen=True)
class _Axis:
    """One axis of the image and the kernel on it."""

    label: str
    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def num_lost(self) -> int:
        """Rows (or columns) of the padded image that the kernel does not reach."""
        from convscope.images.kernels import num_lost

        return num_lost(self.size, self.kernel, self.stride, self.padding, self.dilation)

    @property
    def lost(self) -> int:
        """Those of them that are in the image."""
        return max(0, self.num_lost - self.padding)

    def show(self) -> None:
        """Prints the output size with its formula, and what is not reached."""
        from convscope.images.kernels import output_size

        size = output_size(self.size, self.kernel, self.stride, self.padding, self.dilation)
        print(
            f"{self.label:8} floor(({self.size} + 2*{self.padding} - {self.dilation}*"
            f"({self.kernel}-1) - 1)/{self.stride}) + 1 = {size}"
        )
        if self.num_lost:
            total = self.size + 2 * self.padding
            inside = f" with padding, {self.lost} of them in the image" if self.padding else ""
            print(
                f"         not reached, stride {self.stride} does not fit: "
                f"the last {self.num_lost} of {total}{inside}"
            )


def _chosen(preset: str | None, own: str | None) -> tuple[str, "np.ndarray"]:
    """The kernel's name and its entries (rows, columns)."""
    import numpy as np

    from convscope.images.kernels import KERNELS

    names = ", ".join(KERNELS)
    if own is not None and preset is None:
        return "own", _parsed(own)
    if own is not None or preset is None:
        raise ConvscopeError(f'give --preset NAME or --kernel "1,0,-1;...", one of them; {names}')
    if preset not in KERNELS:
        raise ConvscopeError(f"--preset {preset}: there is no such kernel; give one of {names}")
    return preset, np.array(KERNELS[preset], dtype=np.float64)


def _parsed(text: str) -> "np.ndarray":
    """Rows between semicolons, entries between commas: decimal numbers or fractions."""
    import numpy as np

    rows = [[_entry(cell) for cell in row.split(",")] for row in text.strip(" ;").split(";")]
    if len({len(row) for row in rows}) > 1:
        lengths = ", ".join(str(len(row)) for row in rows)
        raise ConvscopeError(f"--kernel: rows of {lengths} entries; give each row the same number")
    return np.array(rows, dtype=np.float64)


def _entry(cell: str) -> float:
    above, _, below = cell.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise ConvscopeError(
            f"--kernel: {cell.strip()!r} is not a number; separate entries by commas and rows by "
            'semicolons: --kernel "1,0,-1;2,0,-2;1,0,-1"'
        ) from None


def _target(out: Path, image: Path) -> Path:
    if out.suffix.lower() != ".png":
        raise ConvscopeError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    if out.is_dir():
        raise ConvscopeError(f"--out {out} is a folder; give a file name that ends in .png")
    if out.exists() and image.exists() and out.samefile(image):
        raise ConvscopeError(f"--out {out} is the image itself; give another name")
    return out


def _padding(params: KernelParams, weights: "np.ndarray") -> list[int]:
    """The padding of rows and columns."""
    if params.padding is not None:
        return [params.padding, params.padding]
    return [params.dilation * (side - 1) // 2 for side in weights.shape]


def _settings(
    weights: "np.ndarray", mode: str, params: KernelParams, pads: list[int]
) -> tuple[str, str]:
    rows, columns = weights.shape
    padding = str(pads[0]) if pads[0] == pads[1] else f"{pads[0]} (rows) and {pads[1]} (columns)"
    return (
        f"{rows} x {columns}, {mode}{', kernel flipped' if mode == 'convolution' else ''}",
        f"stride {params.stride}, padding {padding}"
        + (f", border {params.border}" if any(pads) else "")
        + (f", dilation {params.dilation}" if params.dilation > 1 else ""),
    )


def _print_values(result: "np.ndarray", weights: "np.ndarray") -> None:
    from convscope.lenses.kernel.picture import is_signed, num_clipped, number

    print(f"values   {number(result.min())} to {number(result.max())}")
    if not is_signed(weights):
        below, above = num_clipped(result)
        print(f"clipped  {below:,} below 0, {above:,} above 255, of {result.size:,} values")
