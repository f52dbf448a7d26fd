"""Which rows and columns of its input a unit of a convolution or pool looks at."""

from dataclasses import dataclass

import numpy as np

from convscope.graph.graph import Node
from convscope.graph.kinds import Kind


@dataclass(frozen=True, eq=False)
class Window:
    """Rows and columns, those of the padding included; `*_inside` tells which lie in the input."""

    rows: np.ndarray
    columns: np.ndarray
    height: int
    width: int

    @property
    def rows_inside(self) -> np.ndarray:
        """(rows,) bool."""
        return (self.rows >= 0) & (self.rows < self.height)

    @property
    def columns_inside(self) -> np.ndarray:
        """(columns,) bool."""
        return (self.columns >= 0) & (self.columns < self.width)

    @property
    def row_slice(self) -> slice:
        """The rows that lie in the input."""
        return _slice(self.rows[self.rows_inside])

    @property
    def column_slice(self) -> slice:
        """The columns that lie in the input."""
        return _slice(self.columns[self.columns_inside])


def _slice(places: np.ndarray) -> slice:
    if not len(places):
        return slice(0, 0)
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    return slice(int(places[0]), int(places[-1]) + 1, step)


def pool_window(node: Node, spot: tuple[int, int]) -> Window:
    """The window of a convolution, max pool or average pool at (row, column) of its output.

    Only an average pool's window ends with the padding: there it decides what is divided by.
    """
    sides = node.input_shapes[0][-2:]
    dilation = node.pair("dilation") if "dilation" in node.settings else (1, 1)
    axes = []
    for axis in (0, 1):
        kernel, stride = node.pair("kernel_size")[axis], node.pair("stride")[axis]
        padding = node.pair("padding")[axis]
        places = spot[axis] * stride - padding + dilation[axis] * np.arange(kernel)
        if node.kind is Kind.AVERAGE_POOL:
            places = places[places < sides[axis] + padding]
        axes.append(places)
    return Window(axes[0], axes[1], *sides)


def adaptive_window(node: Node, spot: tuple[int, int]) -> Window:
    """The window of an adaptive pool: from floor(i n / o) to ceil((i + 1) n / o)."""
    sides = node.input_shapes[0][-2:]
    axes = []
    for axis in (0, 1):
        outputs = node.output_shape[-2:][axis] if len(node.output_shape) == 3 else 1
        start = spot[axis] * sides[axis] // outputs
        end = -(-(spot[axis] + 1) * sides[axis] // outputs)
        axes.append(np.arange(start, end))
    return Window(axes[0], axes[1], *sides)
