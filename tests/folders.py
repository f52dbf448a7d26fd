"""Image folders for tests that train on them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def class_folders(root: Path, classes: Sequence[str], count: int, seed: int = 0) -> Path:
    """A folder for each class, with seeded images of 40 x 36 pixels; later classes are brighter."""
    generator = np.random.default_rng(seed)
    for index, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(index * 60, index * 60 + 90, (40, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root
