"""The lens `arithmetic`. On the page it is the view of a number, one of the explorer's own."""

from convscope.contract.lens import Lens

LENS = Lens("arithmetic", "image", command="convscope.lenses.arithmetic.command:arithmetic")
