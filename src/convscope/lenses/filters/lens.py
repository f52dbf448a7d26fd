"""The lens `filters`."""

from convscope.contract.lens import Lens

LENS = Lens("filters", "image", command="convscope.lenses.filters.command:filters")
