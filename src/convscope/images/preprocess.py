"""Pixels to the network's input: one description for training, evaluation and prediction."""

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
    """Resize (antialiased, bilinear), cut or pad to `size`, then (x / 255 - mean) / std.

    `fit="crop"` brings the shorter side to `resize` and cuts the centre; `"pad"` brings the longer
    side to `size` and pads with the mean; `"stretch"` ignores the aspect ratio.
    """

    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] = Field(
        description="height and width of the network's input"
    )
    channels: int = Field(gt=0)
    resize: int = Field(gt=0, description="shorter side before the cut; for fit='crop' alone")
    fit: Literal["crop", "pad", "stretch"] = "crop"
    mean: tuple[float, ...]
    std: tuple[Annotated[float, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _fitting(self) -> "Preprocess":
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"{self.channels} channels need as many means and standard deviations")
        return self

    def canvas(self, pixels: Pixels) -> Pixels:
        """`pixels` resized, before they are cut or padded: what random crops are taken from.

        Raises:
            ConvscopeError: the image is so long and narrow that it would not fit into memory.
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
                f"shorter side at {self.resize} it has {wide:,} x {tall:,}, over the limit of "
                f'{MAX_PIXELS:,}; cut it, or use fit="pad"'
            )
        return resized(pixels, (tall, wide))

    def centre(self, canvas: Pixels) -> Pixels:
        """The central part of `canvas`, of exactly `size`; padded where the canvas is smaller."""
        top = (canvas.shape[0] - self.size[0]) // 2
        left = (canvas.shape[1] - self.size[1]) // 2
        return self.window(canvas, top, left, self.size)

    def seen_share(self, height: int, width: int) -> float:
        """The share of an image's pixels that the central part shows, 0..1; 1 unless fit="crop"."""
        if self.fit != "crop":
            return 1.0
        shown = [
            min(1.0, side / max(side, own * self.resize / min(height, width)))
            for side, own in zip(self.size, (height, width), strict=True)
        ]
        return shown[0] * shown[1]

    def window(self, canvas: Pixels, top: int, left: int, size: tuple[int, int]) -> Pixels:
        """The part of `canvas` from (top, left) on; what lies outside of it is the mean."""
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
        """The mean as a pixel (channels,), 0..255: what padding is filled with."""
        return np.asarray(np.round(np.asarray(self.mean) * 255), dtype=np.uint8)

    def normalise(self, batch: PixelBatch, device: torch.device | None = None) -> Images:
        """A batch of pixels as the network sees it: float32, channels-last in memory."""
        batch = np.require(batch, requirements="W")  # torch warns about read-only arrays
        images = torch.from_numpy(batch).to(device or "cpu").permute(0, 3, 1, 2).float()
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=images.device).view(1, -1, 1, 1)
        return images.sub_(mean * 255).div_(std * 255)

    def batch(self, images: Sequence[Pixels]) -> Images:
        """Decoded images of any sizes as one batch, as evaluation and prediction do it."""
        return self.normalise(np.stack([self.centre(self.canvas(image)) for image in images]))


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """`pixels` at `size` (height, width), bilinear, antialiased; within one level of Pillow's."""
    if pixels.shape[:2] == size:
        return pixels
    # A contiguous HWC array seen as NCHW is channels-last: torch has vector code for that.
    pixels = np.require(pixels, requirements=["C", "W"])
    if min(pixels.strides) < 0:  # one column, mirrored: contiguous to numpy, not to torch
        pixels = pixels.copy()
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
    small = F.interpolate(tensor, size, mode="bilinear", antialias=True, align_corners=False)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


def _scaled(pixels: Pixels, scale: float) -> tuple[int, int]:
    return max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
