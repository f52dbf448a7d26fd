"""The lens `summary`."""

from convscope.contract.lens import Lens

LENS = Lens("summary", "network", command="convscope.lenses.summary.command:summary")
