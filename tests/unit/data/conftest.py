"""Small data sets in a temporary folder: class folders, IDX files, CIFAR batches."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from convscope.data.dataset import ArraySource, Dataset


@pytest.fixture
def image_files(tmp_path):
    """A function: writes a small PNG for each relative path and returns the root folder."""

    def write(*paths, root="data"):
        for number, path in enumerate(paths):
            file = tmp_path / root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(file, "PNG")
        return tmp_path / root

    return write


@pytest.fixture
def dataset():
    """A function: a data set in memory with the given labels, random pixels and no splits."""

    def make(labels, *, splits=None, channels=3, size=(10, 12), name="some"):
        labels = np.asarray(labels, np.int64)
        shape = (len(labels), *size, channels)
        pixels = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
        return Dataset(
            name=name,
            class_names=tuple("abcdefghij"[: int(labels.max()) + 1]),
            paths=tuple(f"{i:03}.png" for i in range(len(labels))),
            labels=labels,
            splits=np.array([""] * len(labels) if splits is None else splits, dtype="<U5"),
            source=ArraySource(pixels),
            channels=channels,
        )

    return make


@pytest.fixture
def write_idx():
    """A function: an array of bytes as an IDX file, gzipped if the name says so."""

    def write(path, array):
        array = np.asarray(array, np.uint8)
        header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        content = header + array.tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        return content

    return write


@pytest.fixture
def idx_folder(write_idx):
    """A function: the MNIST family's four files, 12 training and 5 test images of 4 x 3."""

    def write(root, suffix=".gz", classes=3):
        generator = np.random.default_rng(3)
        arrays = {}
        for prefix, count in (("train", 12), ("t10k", 5)):
            pixels = generator.integers(0, 256, (count, 4, 3), dtype=np.uint8)
            targets = np.arange(count, dtype=np.uint8) % classes
            write_idx(root / f"{prefix}-images-idx3-ubyte{suffix}", pixels)
            write_idx(root / f"{prefix}-labels-idx1-ubyte{suffix}", targets)
            arrays[prefix] = pixels, targets
        return arrays

    return write
