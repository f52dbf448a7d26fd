"""Readers for IDX files (the MNIST family) and the binary files of CIFAR."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from convscope.base.errors import DataError
from convscope.data.dataset import ArraySource, Dataset

IDX_FILES = {"train": "train", "test": "t10k"}


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of one to three dimensions in an IDX file, plain or gzipped.

    Source: the format's description on the MNIST page (LeCun, Cortes, Burges).

    Raises:
        DataError: the file is missing, damaged or of another type. The message names it.
    """
    content = _read_content(path)
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataError(f"{path} is not an IDX file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if not 0 < dimensions <= 3 or len(content) < start:
        raise DataError(f"{path} is damaged: its header is truncated or invalid")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = math.prod(shape)
    if expected == 0 or len(content) - start != expected:
        raise DataError(
            f"{path} is empty or damaged: its header declares {expected:,} values, "
            f"it has {len(content) - start:,}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def has_idx(root: Path) -> bool:
    """Whether `root` has the training images of the MNIST family in it."""
    return _idx_path(root, "train-images-idx3-ubyte") is not None


def read_idx_folder(
    root: Path, name: str, class_names: tuple[str, ...] | None = None, *, flippable: bool = True
) -> Dataset:
    """Reads a data set from the four files of the MNIST family.

    Args:
        root: the folder of the files.
        name: the data set's name.
        class_names: None numbers the classes.
        flippable: see `Dataset.flippable`.

    Raises:
        DataError: a file is missing or damaged, or images and labels do not match.
    """
    images, labels, paths, splits = [], [], [], []
    for split, prefix in IDX_FILES.items():
        image_file = _idx_path(root, f"{prefix}-images-idx3-ubyte")
        label_file = _idx_path(root, f"{prefix}-labels-idx1-ubyte")
        if image_file is None or label_file is None:
            raise DataError(f"{root} lacks {prefix}-images-idx3-ubyte or its labels (.gz or plain)")
        pixels, targets = read_idx(image_file), read_idx(label_file)
        if pixels.ndim != 3 or targets.shape != (len(pixels),):
            raise DataError(
                f"{image_file} and {label_file} do not match: shapes {pixels.shape} and "
                f"{targets.shape}"
            )
        if images and pixels.shape[1:] != images[0].shape[1:]:
            raise DataError(
                f"{image_file} has images of shape {pixels.shape[1:]}, the other split has "
                f"{images[0].shape[1:]}"
            )
        images.append(pixels)
        labels.append(targets)
        paths += [f"{prefix}-images-idx3-ubyte#{i}" for i in range(len(pixels))]
        splits += [split] * len(pixels)
    targets = np.concatenate(labels).astype(np.int64)
    names = class_names or tuple(str(i) for i in range(int(targets.max()) + 1))
    if targets.max() >= len(names):
        raise DataError(f"{root} has the label {targets.max()}, but only {len(names)} classes")
    pixels = np.concatenate(images)[..., None]
    return Dataset(
        name, names, tuple(paths), targets, np.array(splits), ArraySource(pixels), 1, flippable
    )


def has_cifar(root: Path) -> bool:
    """Whether `root` has the binary files of CIFAR-10 or CIFAR-100 in it."""
    return (root / "data_batch_1.bin").is_file() or (root / "train.bin").is_file()


def read_cifar_folder(root: Path, name: str) -> Dataset:
    """Reads CIFAR-10 or CIFAR-100 (fine labels) from its binary files.

    Raises:
        DataError: a file is missing, or its length is not that of complete images.
    """
    hundred = (root / "train.bin").is_file()
    files = {
        "train": ["train.bin"] if hundred else [f"data_batch_{i}.bin" for i in range(1, 6)],
        "test": ["test.bin" if hundred else "test_batch.bin"],
    }
    names_file = root / ("fine_label_names.txt" if hundred else "batches.meta.txt")
    names = tuple(_read_content(names_file).decode().split())
    header = 2 if hundred else 1
    images, labels, paths, splits = [], [], [], []
    for split, parts in files.items():
        for part in parts:
            content = np.frombuffer(_read_content(root / part), np.uint8)
            if len(content) == 0 or len(content) % (header + 3072):
                raise DataError(
                    f"{root / part} is damaged: its {len(content):,} bytes are not a multiple of "
                    f"{header + 3072:,}, the size of one image"
                )
            rows = content.reshape(-1, header + 3072)
            labels.append(rows[:, header - 1])
            images.append(rows[:, header:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            paths += [f"{part}#{i}" for i in range(len(rows))]
            splits += [split] * len(rows)
    targets = np.concatenate(labels).astype(np.int64)
    if targets.max() >= len(names):
        raise DataError(f"{root} has the label {targets.max()}, but only {len(names)} class names")
    pixels = np.ascontiguousarray(np.concatenate(images))
    return Dataset(name, names, tuple(paths), targets, np.array(splits), ArraySource(pixels), 3)


def _idx_path(root: Path, stem: str) -> Path | None:
    return next((p for p in (root / f"{stem}.gz", root / stem) if p.is_file()), None)


def _read_content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
