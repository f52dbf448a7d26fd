"""Anti-aliased max pooling: a max pool and a low-pass filter, then subsampling.

Source: Zhang 2019, "Making Convolutional Networks Shift-Invariant Again" (arXiv
1904.11486), section 3.2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BlurPool(nn.Module):
    """A 2 x 2 max pool with stride 1, then a 3 x 3 binomial filter with stride 2.

    The filter is a depthwise convolution whose `kernel`, (1, 2, 1) x (1, 2, 1) / 16, is a buffer:
    it is saved with the weights, but not trained. Its padding repeats the edge, so that constant
    maps stay constant (the paper does not specify the padding). (batch, channels, h, w) becomes
    (batch, channels, h // 2, w // 2), as with `nn.MaxPool2d(2)`.

    >>> BlurPool(3)(torch.ones(1, 3, 8, 5)).shape
    torch.Size([1, 3, 4, 2])
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.max = nn.MaxPool2d(2, stride=1)
        # No tensor arithmetic: on the meta device its first use imports modules for two seconds.
        binomial = [[high * wide / 16 for wide in (1.0, 2.0, 1.0)] for high in (1.0, 2.0, 1.0)]
        kernel = torch.tensor(binomial).expand(channels, 1, 3, 3)
        self.register_buffer("kernel", kernel.clone())

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (batch, channels, h // 2, w // 2)."""
        padded = F.pad(self.max(maps), (1, 1, 1, 1), mode="replicate")
        return F.conv2d(padded, self.kernel, stride=2, groups=len(self.kernel))
