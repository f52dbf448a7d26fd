"""`convscope kernel`: an image filtered by a kernel, as a picture of both."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.base.errors import ConvscopeError

if TYPE_CHECKING:
    import numpy as np

Image = Annotated[Path, typer.Argument(help="An image file.")]
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
Stride = Annotated[int, typer.Option(min=1, help="Pixels from one place to the next.")]
Padding = Annotated[
    int | None,
    typer.Option(min=0, help="Pixels on each side; by default half the kernel, to keep the size."),
]
Dilation = Annotated[int, typer.Option(min=1, help="Pixels from one kernel entry to the next.")]
Border = Annotated[
    str, typer.Option(help="What stands in the padding: zero, edge, reflect or wrap.")
]
Convolution = Annotated[
    bool, typer.Option("--convolution", help="Flip the kernel both ways; networks do not.")
]
Grey = Annotated[
    bool, typer.Option("--grey/--colour", help="Luminance, or each channel by itself.")
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="A PNG file; by default kernel-PRESET.png.")
]


def kernel(
    image: Image,
    preset: Preset = None,
    own: Own = None,
    stride: Stride = 1,
    padding: Padding = None,
    dilation: Dilation = 1,
    border: Border = "zero",
    convolution: Convolution = False,
    grey: Grey = True,
    out: Out = None,
) -> None:
    """Filter IMAGE by a kernel and draw both side by side."""
    from convscope.base.storage import write_bytes
    from convscope.images.files import read_image
    from convscope.images.kernels import convolve, num_lost
    from convscope.lenses.kernel.picture import kernel_picture

    name, weights = _chosen(preset, own)
    out = _target(out or Path(f"kernel-{name}.png"), image)
    pads = [dilation * (k - 1) // 2 if padding is None else padding for k in weights.shape]
    mode = "convolution" if convolution else "correlation"
    pixels = read_image(image, 1 if grey else 3)
    result = convolve(pixels, weights, stride, pads, dilation, border, mode)
    moves = [
        (pixels.shape[axis], weights.shape[axis], stride, pads[axis], dilation) for axis in (0, 1)
    ]
    beyond = [num_lost(*move) for move in moves]
    lost = max(0, beyond[0] - pads[0]), max(0, beyond[1] - pads[1])
    settings = _settings(weights, mode, stride, pads, dilation, border)
    title = name if own is None else "own kernel"
    picture = kernel_picture(pixels, result, weights, title=title, settings=settings, lost=lost)
    write_bytes(out, picture)
    print(
        f"image    {image}, {pixels.shape[0]} x {pixels.shape[1]}, {'grey' if grey else 'colour'}"
    )
    print(f"kernel   {title}, {', '.join(settings)}")
    for row in weights:
        print("         " + " ".join(f"{entry:6.4g}" for entry in row))
    for axis, label in enumerate(("rows", "columns")):
        print(f"{label:8} {_formula(*moves[axis])} = {result.shape[axis]}")
        if beyond[axis]:
            total = pixels.shape[axis] + 2 * pads[axis]
            inside = f" with padding, {lost[axis]} of them in the image" if pads[axis] else ""
            print(
                f"         not reached, stride {stride} does not fit: "
                f"the last {beyond[axis]} of {total}{inside}"
            )
    _print_values(result, weights)
    print(f"picture  {out}")


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
            f"--kernel: {cell.strip()!r} is no number; commas part entries, semicolons rows: "
            '--kernel "1,0,-1;2,0,-2;1,0,-1"'
        ) from None


def _target(out: Path, image: Path) -> Path:
    if out.suffix.lower() != ".png":
        raise ConvscopeError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    if out.is_dir():
        raise ConvscopeError(f"--out {out} is a folder; give a file name that ends in .png")
    if out.exists() and image.exists() and out.samefile(image):
        raise ConvscopeError(f"--out {out} is the image itself; give another name")
    return out


def _settings(
    weights: "np.ndarray", mode: str, stride: int, pads: list[int], dilation: int, border: str
) -> tuple[str, str]:
    rows, columns = weights.shape
    padding = str(pads[0]) if pads[0] == pads[1] else f"{pads[0]} (rows) and {pads[1]} (columns)"
    return (
        f"{rows} x {columns}, {mode}{', kernel flipped' if mode == 'convolution' else ''}",
        f"stride {stride}, padding {padding}"
        + (f", border {border}" if any(pads) else "")
        + (f", dilation {dilation}" if dilation > 1 else ""),
    )


def _formula(size: int, kernel: int, stride: int, padding: int, dilation: int) -> str:
    """The output size with its numbers put in."""
    return f"floor(({size} + 2*{padding} - {dilation}*({kernel}-1) - 1)/{stride}) + 1"


def _print_values(result: "np.ndarray", weights: "np.ndarray") -> None:
    from convscope.lenses.kernel.picture import is_signed, num_clipped, number

    print(f"values   {number(result.min())} to {number(result.max())}")
    if not is_signed(weights):
        below, above = num_clipped(result)
        print(f"clipped  {below:,} below 0, {above:,} above 255, of {result.size:,} values")
