"""The lens `kernel`: it looks at an image without a network, so its faces are its own."""

from convscope.contract.lens import Lens

LENS = Lens(
    "kernel",
    "image",
    command="convscope.lenses.kernel.command:kernel",
    routes="convscope.lenses.kernel.routes:routes",
    page=True,
)
