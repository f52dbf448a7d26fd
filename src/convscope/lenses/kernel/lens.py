"""The lens `kernel`: an image and no network, so its command and routes are its own."""

from convscope.contract.lens import Lens
from convscope.lenses.kernel.result import KernelResult

LENS = Lens(
    "kernel",
    "image",
    result=KernelResult,
    command="convscope.lenses.kernel.command:command",
    routes="convscope.lenses.kernel.routes:routes",
    page=True,
)
