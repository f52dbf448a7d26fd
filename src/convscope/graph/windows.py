"""Windows of convolutions and pools: size, stride, padding, and the inputs of a unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """The window of a unit of a convolution or pool; pairs are (vertical, horizontal).

    Attributes:
        kernel: rows and columns of the window.
        stride: rows and columns from one unit's window to the next one's.
        before: padding above and left of the input.
        after: padding below and right of it. It is one more than `before` where a kernel of even
            size keeps the size of the maps (padding "same").
        dilation: rows and columns from one position of the window to the next.
        groups: into how many groups the channels are divided; 1 for pools, which have none.
    """

    kernel: Pair
    stride: Pair
    before: Pair
    after: Pair
    dilation: Pair = (1, 1)
    groups: int = 1

    def extent(self, axis: int, units: int = 1) -> int:
        """How many rows (axis 0) or columns (1) some neighbouring units span, padding included."""
        reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (units - 1) * self.stride[axis] + reach

    def units(self, axis: int, size: int) -> int:
        """How many units an input with `size` rows (axis 0) or columns (1) gives."""
        padded = size + self.before[axis] + self.after[axis]
        return (padded - self.extent(axis)) // self.stride[axis] + 1

    def places(self, axis: int, units: int | np.ndarray) -> np.ndarray:
        """The input's rows (axis 0) or columns (1) in the windows of units, (*units, kernel).

        Places below 0 and from the input's size on are padding.
        """
        return np.add.outer(units * self.stride[axis], self._offsets[axis])

    @cached_property
    def _offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows and columns in the window of the first unit."""
        rows, columns = (
            step * np.arange(side) - before
            for step, side, before in zip(self.dilation, self.kernel, self.before, strict=True)
        )
        return rows, columns


def window_of(settings: Mapping[str, Any], inputs: Sequence[int], outputs: Sequence[int]) -> Window:
    """The window of a convolution or pool.

    Args:
        settings: by torch's names: kernel_size, stride, padding (of a convolution: above and left),
            and dilation and groups if it has them.
        inputs: rows and columns of its input.
        outputs: rows and columns of its output.
    """
    kernel = _pair(settings["kernel_size"])
    window = Window(
        kernel=kernel,
        stride=_pair(settings["stride"] or kernel),  # a pool's default stride is its window
        before=_pair(settings["padding"]),
        after=_pair(settings["padding"]),
        dilation=_pair(settings.get("dilation", 1)),
        groups=settings.get("groups", 1),
    )
    if "groups" not in settings:  # a pool's last windows may end outside (ceil_mode)
        return window
    # A convolution with more units than this padding allows is padded by one more.
    missing = [outputs[axis] - window.units(axis, inputs[axis]) for axis in (0, 1)]
    after = window.after[0] + missing[0], window.after[1] + missing[1]
    return Window(kernel, window.stride, window.before, after, window.dilation, window.groups)


def same_padding(kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """The padding above and left of the input with which a convolution keeps the maps' size.

    Below and right it is the same, or one more for kernels of even size.
    """
    return [step * (side - 1) // 2 for side, step in zip(kernel, dilation, strict=True)]


def adaptive_bounds(inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """(outputs,) the first row in the window of each unit of an adaptive pool, and the end.

    From floor(i n / o) to ceil((i + 1) n / o), the end excluded.
    """
    index = np.arange(outputs)
    return index * inputs // outputs, -(-(index + 1) * inputs // outputs)


def _pair(value: int | Sequence[int]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])
