"""Statistics of channels: means, ranges, dead maps, strongest maps."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Channels:
    """The mean, smallest and largest value of each channel of one image's record.

    Each is (channels,), float64, on the CPU. Each unit of a vector is a channel; a single number
    has one channel.
    """

    means: Tensor
    lows: Tensor
    highs: Tensor

    @property
    def low(self) -> float:
        """The smallest value of all channels; NaN where any value is NaN."""
        return float(self.lows.min())

    @property
    def high(self) -> float:
        """The largest value of all channels; NaN where any value is NaN."""
        return float(self.highs.max())

    @property
    def mean(self) -> float:
        """The mean over all channels, which are of one size."""
        return float(self.means.mean())

    @property
    def dead(self) -> int:
        """How many channels are zero everywhere."""
        return int(((self.lows == 0) & (self.highs == 0)).sum())

    def strongest(self, count: int) -> list[int]:
        """The `count` channels with the largest mean, largest first; NaN and infinity last."""
        means = torch.where(self.means.isfinite(), self.means, -torch.inf)
        return torch.argsort(means, descending=True, stable=True)[:count].tolist()


def channels(output: Tensor) -> Channels:
    """The channels of a record's output for one image, without the batch axis, of any shape.

    >>> stats = channels(torch.tensor([[[0.0, 0.0]], [[1.0, 3.0]]]))
    >>> stats.means.tolist(), stats.high, stats.dead, stats.strongest(1)
    ([0.0, 2.0], 3.0, 1, [1])
    """
    maps = output.detach().reshape(len(output) if output.ndim else 1, -1)
    if not maps.is_floating_point():
        maps = maps.float()
    lows, highs = torch.aminmax(maps, dim=1)
    means = maps.mean(dim=1)
    return Channels(*(values.to("cpu", torch.float64) for values in (means, lows, highs)))


@dataclass(frozen=True)
class Spread:
    """How many values a tensor has, their range, mean and (population) standard deviation."""

    count: int
    low: float
    high: float
    mean: float
    std: float


def spread(values: Tensor) -> Spread:
    """The count, range, mean and standard deviation of a parameter's values.

    >>> spread(torch.tensor([1.0, 3.0]))
    Spread(count=2, low=1.0, high=3.0, mean=2.0, std=1.0)
    """
    flat = values.detach().reshape(-1)
    if not flat.is_floating_point():
        flat = flat.float()
    low, high = torch.aminmax(flat)
    std, mean = torch.std_mean(flat, correction=0)
    return Spread(flat.numel(), float(low), float(high), float(mean), float(std))
