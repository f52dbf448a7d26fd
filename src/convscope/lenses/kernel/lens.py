"""The lens `kernel`: an image and no network, so its command and routes are its own."""

from pydantic import Field

from convscope.contract.lens import Lens, Params
from convscope.images.borders import Border
from convscope.lenses.kernel.result import KernelResult


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


LENS = Lens(
    "kernel",
    "image",
    params=KernelParams,
    result=KernelResult,
    command="convscope.lenses.kernel.command:command",
    routes="convscope.lenses.kernel.routes:routes",
    page=True,
)
