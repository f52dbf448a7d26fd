"""The lens `kernel`: it needs no network, so it has its own command and routes."""

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
