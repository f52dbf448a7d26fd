"""The lens `arithmetic`. On the page it is the number view, a part of the explorer itself."""

from convscope.contract.lens import Lens

LENS = Lens("arithmetic", "image", command="convscope.lenses.arithmetic.command:arithmetic")
