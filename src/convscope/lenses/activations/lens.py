"""The lens `activations`."""

from convscope.contract.lens import Lens

LENS = Lens("activations", "image", command="convscope.lenses.activations.command:activations")
