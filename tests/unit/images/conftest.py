"""Image files in memory, and photo-like pixels to fill them."""

import io

import numpy as np
import pytest


@pytest.fixture(scope="session")
def encoded():
    """A function: a Pillow image as the bytes of a file of the given format."""

    def encode(image, file_format, **options):
        file = io.BytesIO()
        image.save(file, file_format, **options)
        return file.getvalue()

    return encode


@pytest.fixture(scope="session")
def photo():
    """A function: smooth pixels (height, width, channels) with a little grain, as photos have."""

    def make(height, width, channels=3, seed=0):
        generator = np.random.default_rng(seed)
        rows = np.linspace(0, 1, height)[:, None, None]
        columns = np.linspace(0, 1, width)[None, :, None]
        speed, phase = generator.uniform(3, 9, (2, channels)), generator.uniform(0, 6, channels)
        wave = np.sin(rows * speed[0] + phase) * np.cos(columns * speed[1] - phase)
        grain = generator.normal(0, 3, (height, width, channels))
        return np.clip(np.round(127 + 110 * wave + grain), 0, 255).astype(np.uint8)

    return make
