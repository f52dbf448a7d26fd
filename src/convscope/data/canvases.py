"""Decoded and resized images in memory, as one array if they all have the same size."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convscope.base.tensors import PixelBatch, Pixels


@dataclass(frozen=True)
class Canvases:
    """Images in memory, by their index in the data set.

    Attributes:
        rows: (n,) the row in `images` of each image of the data set; -1 if it is not in memory.
        images: one array (m, height, width, channels), or an array per image if sizes differ.
    """

    rows: np.ndarray
    images: np.ndarray | tuple[Pixels, ...]

    @classmethod
    def from_images(cls, images_by_index: Mapping[int, Pixels], count: int) -> "Canvases":
        """The canvases of some images, by index, of a data set of `count` images."""
        rows = np.full(count, -1, np.int64)
        rows[list(images_by_index)] = np.arange(len(images_by_index))
        images = tuple(images_by_index.values())
        if images and len({image.shape for image in images}) == 1:
            return cls(rows, np.stack(images))
        return cls(rows, images)

    def get(self, index: int) -> Pixels | None:
        """Image `index`, or None if it is not in memory."""
        row = self.rows[index]
        return None if row < 0 else self.images[row]

    def gather(self, ids: np.ndarray) -> PixelBatch | None:
        """The images `ids` as a new array; None unless all are in memory and of one size."""
        rows = self.rows[ids]
        if isinstance(self.images, tuple) or (rows < 0).any():
            return None
        return self.images[rows]
