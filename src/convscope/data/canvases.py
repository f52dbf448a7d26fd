"""Images kept in memory, decoded and resized: one array where all are of one size."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from convscope.base.tensors import PixelBatch, Pixels


@dataclass(frozen=True)
class Canvases:
    """Kept images by their index in the data set.

    Attributes:
        rows: (n,) place of each of the data set's images in `images`, -1 where it is not kept.
        images: one array (kept, height, width, channels), or one array an image.
    """

    rows: np.ndarray
    images: np.ndarray | tuple[Pixels, ...]

    @classmethod
    def of(cls, kept: Mapping[int, Pixels], count: int) -> "Canvases":
        """The images `kept`, by index, of a data set of `count` images."""
        rows = np.full(count, -1, np.int64)
        rows[list(kept)] = np.arange(len(kept))
        images = tuple(kept.values())
        if images and len({image.shape for image in images}) == 1:
            return cls(rows, np.stack(images))
        return cls(rows, images)

    def get(self, index: int) -> Pixels | None:
        """Image `index`, or None where it is not kept."""
        row = self.rows[index]
        return None if row < 0 else self.images[row]

    def together(self, ids: np.ndarray) -> PixelBatch | None:
        """The images `ids` as a new array, where all are kept and of one size."""
        rows = self.rows[ids]
        if isinstance(self.images, tuple) or (rows < 0).any():
            return None
        return self.images[rows]
