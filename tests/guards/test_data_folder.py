"""Nothing is written into a user's data folder."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.data.augment import Augment
from convscope.data.canvases import Canvases
from convscope.data.catalog import open_dataset
from convscope.data.loader import Batches, scan
from convscope.data.split import assign_splits, split_table
from convscope.images.preprocess import Preprocess


def snapshot(root):
    """Every path with its kind, size, content and times of change."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        state = path.stat()
        content = path.read_bytes() if path.is_file() else None
        found[path] = (state.st_mode, state.st_size, state.st_mtime_ns, state.st_ctime_ns, content)
    return found


def class_folders(root):
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            for number in range(6):
                path = root / split / name / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng(number).integers(0, 256, (9, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(path)
    (root / "train" / "cat" / "notes.txt").write_text("notes")


def idx_files(root):
    root.mkdir()
    for prefix in ("train", "t10k"):
        pixels = struct.pack(">4I", 0x0803, 12, 9, 8) + bytes(12 * 72)
        labels = struct.pack(">2I", 0x0801, 12) + bytes(i % 2 for i in range(12))
        (root / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pixels))
        (root / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def use(root):
    """All that training does with a data set."""
    dataset = open_dataset(str(root))
    channels = dataset.channels
    preprocess = Preprocess(
        size=(7, 7), channels=channels, resize=8, mean=(0.5,) * channels, std=(0.2,) * channels
    )
    everything = np.ones(len(dataset), bool)
    *_, found = scan(dataset, preprocess, everything, everything)
    splits = assign_splits(dataset, 0, 0.2, None)
    split_table(dataset, splits, found.hashes)
    for workers in (0, 1):
        batches = Batches(
            dataset, preprocess, np.flatnonzero(splits == "train"),
            Canvases.from_images({}, len(dataset)), 4,
            torch.device("cpu"), workers,
        )  # fmt: skip
        assert len(list(batches.in_order())) == len(batches) > 1
        augment = Augment(flip=True, pad=1)
        assert list(batches.shuffled(0, 0, augment, np.eye(channels)))


@pytest.mark.parametrize("make", [class_folders, idx_files])
def test_a_data_folder_stays_as_it_was(tmp_path, make):
    root = tmp_path / "data"
    make(root)
    before = snapshot(root)
    use(root)
    assert snapshot(root) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_the_snapshot_notices_changes(tmp_path):
    root = tmp_path / "data"
    class_folders(root)
    before = snapshot(root)
    file = root / "val" / "dog" / "0.jpg"
    file.write_bytes(file.read_bytes())
    assert snapshot(root) != before
    after = snapshot(root)
    (root / "val" / "dog" / ".cache").write_bytes(b"")
    assert snapshot(root) != after
