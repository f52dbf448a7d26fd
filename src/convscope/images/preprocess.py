"""Preprocessing: from pixels to the network's input, in training, evaluation and prediction."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Images, PixelBatch, Pixels
from convscope.base.values import Value
from convscope.images.files import MAX_PIXELS


class Preprocess(Value):
    """Resize (bilinear, antialiased), crop or pad to `size`, then (x / 255 - mean) / std.

    `fit="crop"` resizes the shorter side to `resize` and crops the centre; `"pad"` resizes the
    longer side to `size` and pads with the mean; `"stretch"` ignores the aspect ratio.
    """

    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] = Field(
        description="height and width of the network's input"
    )
    channels: int = Field(gt=0)
    resize: int = Field(gt=0, description="shorter side before the crop; only for fit='crop'")
    fit: Literal["crop", "pad", "stretch"] = "crop"
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _check_channels(self) -> "Preprocess":
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"mean and std need {self.channels} values each, one per channel; "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        return self

    def canvas(self, pixels: Pixels) -> Pixels:
        """The resized image before it is cropped or padded. Random crops are taken from it.

        Raises:
            ConvscopeError: the image is so long and narrow that it would exceed `MAX_PIXELS`.
        """
        height, width = pixels.shape[:2]
        if self.fit == "stretch":
            return resized(pixels, self.size)
        if self.fit == "pad":
            return resized(
                pixels, _scaled(pixels, min(self.size[0] / height, self.size[1] / width))
            )
        tall, wide = _scaled(pixels, self.resize / min(height, width))
        tall, wide = max(tall, self.size[0]), max(wide, self.size[1])
        if tall * wide > MAX_PIXELS:
            raise ConvscopeError(
                f"an image of {width:,} x {height:,} pixels is too long and narrow: with its "
                f"shorter side resized to {self.resize} it has {wide:,} x {tall:,} pixels, over "
                f'the limit of {MAX_PIXELS:,}; crop it, or use fit="pad"'
            )
        return resized(pixels, (tall, wide))

    def centre(self, canvas: Pixels) -> Pixels:
        """The centre crop of `canvas`, exactly `size`; padded if the canvas is smaller."""
        top = (canvas.shape[0] - self.size[0]) // 2
        left = (canvas.shape[1] - self.size[1]) // 2
        return self.window(canvas, top, left, self.size)

    def visible_share(self, height: int, width: int) -> float:
        """The share of an image's pixels inside the centre crop, 0..1; 1 unless fit="crop"."""
        if self.fit != "crop":
            return 1.0
        rows, columns = (
            min(1.0, side / max(side, original * self.resize / min(height, width)))
            for side, original in zip(self.size, (height, width), strict=True)
        )
        return rows * columns

    def window(self, canvas: Pixels, top: int, left: int, size: tuple[int, int]) -> Pixels:
        """The crop of `canvas` whose corner is (top, left). Pixels outside the canvas are the mean.

        Args:
            canvas: (height, width, channels).
            top: row of the crop's first pixel on the canvas; may be negative.
            left: column of that pixel.
            size: height and width of the crop.
        """
        bottom, right = top + size[0], left + size[1]
        if min(top, left) >= 0 and bottom <= canvas.shape[0] and right <= canvas.shape[1]:
            return canvas[top:bottom, left:right]
        first_row, first_column = max(0, top), max(0, left)
        part = canvas[first_row : max(0, bottom), first_column : max(0, right)]
        pixels = np.empty((*size, canvas.shape[2]), np.uint8)
        pixels[:] = self.fill()
        row, column = first_row - top, first_column - left
        pixels[row : row + part.shape[0], column : column + part.shape[1]] = part
        return pixels

    def fill(self) -> np.ndarray:
        """The mean as a pixel (channels,), 0..255. Padding is filled with it."""
        return np.asarray(np.round(np.asarray(self.mean) * 255), dtype=np.uint8)

    def normalise(self, batch: PixelBatch, device: torch.device | None = None) -> Images:
        """The network's input for a batch of pixels: float32, NCHW, channels-last in memory."""
        batch = np.require(batch, requirements="W")  # torch warns about read-only arrays
        images = torch.from_numpy(batch).to(device or "cpu").permute(0, 3, 1, 2).float()
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, -1, 1, 1)
        return images.sub_(mean * 255).div_(std * 255)

    def batch(self, images: Sequence[Pixels]) -> Images:
        """One input batch from decoded images of any sizes, for evaluation and prediction."""
        return self.normalise(np.stack([self.centre(self.canvas(image)) for image in images]))


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Resizes `pixels` to `size` (height, width), bilinear with antialiasing.

    The result differs from Pillow's by at most one grey level.
    """
    if pixels.shape[:2] == size:
        return pixels
    # A contiguous HWC array viewed as NCHW is channels-last, for which torch has vectorised code.
    pixels = np.require(pixels, requirements=["C", "W"])
    if min(pixels.strides) < 0:  # one flipped column: contiguous for NumPy, but not for torch
        pixels = pixels.copy()
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
    small = F.interpolate(tensor, size, mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def _scaled(pixels: Pixels, scale: float) -> tuple[int, int]:
    return max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
