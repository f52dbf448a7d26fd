"""IDX files and CIFAR's binary files: their content, and errors for damaged ones."""

import gzip
import re

import numpy as np
import pytest

from convscope.base.errors import DataError
from convscope.data.arrays import (
    has_cifar,
    has_idx,
    read_cifar_folder,
    read_idx,
    read_idx_folder,
)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 4, 3)])
def test_an_idx_file_gives_its_array(tmp_path, write_idx, shape, suffix):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    write_idx(tmp_path / f"file{suffix}", array)
    np.testing.assert_array_equal(read_idx(tmp_path / f"file{suffix}"), array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"", "is not an IDX file"),
        (lambda content: b"hello, world", "is not an IDX file"),
        (lambda content: b"\0\0\x0d" + content[3:], "is not an IDX file of unsigned bytes"),
        (lambda content: content[:10], "header is truncated"),
        (lambda content: content[:3] + b"\0" + content[4:], "header is truncated or invalid"),
        (lambda content: content[:3] + b"\xc8" + content[4:], "header is truncated or"),
        (lambda content: content[:-1], "declares 24 values, it has 23"),
        (lambda content: content + b"x", "declares 24 values, it has 25"),
        (lambda content: content[:4] + b"\xff" * 12, "damaged: its header declares"),
        (lambda content: content[:4] + bytes(12), "declares 0 values, it has 0"),
    ],
)
def test_damaged_idx_files(tmp_path, write_idx, change, message):
    content = write_idx(tmp_path / "file", np.zeros((2, 4, 3)))
    (tmp_path / "file").write_bytes(change(content))
    with pytest.raises(DataError, match=rf"{tmp_path}/file .*{message}"):
        read_idx(tmp_path / "file")


def test_truncated_and_damaged_gzip(tmp_path, write_idx):
    path = tmp_path / "file.gz"
    write_idx(path, np.random.default_rng(0).integers(0, 256, (20, 4, 3)))
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[-6] ^= 1  # the checksum
    for content in (whole[:-1], whole[: len(whole) // 2], whole[:5], b"plain", bytes(broken)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"cannot read {path}: "):
            read_idx(path)


def test_a_missing_idx_file(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*missing.*No such file"):
        read_idx(tmp_path / "missing")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_folder(tmp_path, idx_folder, suffix):
    assert not has_idx(tmp_path)
    arrays = idx_folder(tmp_path, suffix)
    assert has_idx(tmp_path)
    dataset = read_idx_folder(tmp_path, "mine", flippable=False)
    assert (dataset.name, dataset.channels, dataset.flippable) == ("mine", 1, False)
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.splits.tolist() == ["train"] * 12 + ["test"] * 5
    assert dataset.labels.tolist() == [i % 3 for i in range(12)] + [i % 3 for i in range(5)]
    assert dataset.paths[0] == "train-images-idx3-ubyte#0"
    assert dataset.paths[-1] == "t10k-images-idx3-ubyte#4"
    np.testing.assert_array_equal(dataset.image(3, 1)[..., 0], arrays["train"][0][3])
    np.testing.assert_array_equal(dataset.image(16, 3)[..., 2], arrays["t10k"][0][4])


def test_an_idx_folder_with_class_names(tmp_path, idx_folder):
    idx_folder(tmp_path)
    assert read_idx_folder(tmp_path, "x", ("a", "b", "c")).class_names == ("a", "b", "c")
    with pytest.raises(DataError, match="has the label 2, but only 2 classes"):
        read_idx_folder(tmp_path, "x", ("a", "b"))


@pytest.mark.parametrize("part", ["train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"])
def test_an_idx_folder_lacks_a_file(tmp_path, idx_folder, part):
    idx_folder(tmp_path)
    (tmp_path / f"{part}-ubyte.gz").unlink()
    with pytest.raises(DataError, match=rf"{tmp_path} lacks {part.split('-')[0]}-images"):
        read_idx_folder(tmp_path, "x")


@pytest.mark.parametrize(
    ("part", "shape", "message"),
    [
        ("train-labels-idx1", (11,), r"do not match: shapes \(12, 4, 3\) and \(11,\)"),
        ("train-images-idx3", (12, 12), r"do not match: shapes \(12, 12\) and \(12,\)"),
        ("t10k-images-idx3", (5, 9, 9), r"images of shape \(9, 9\), the other split has \(4, 3\)"),
    ],
)
def test_idx_files_that_do_not_fit(tmp_path, idx_folder, write_idx, part, shape, message):
    idx_folder(tmp_path)
    write_idx(tmp_path / f"{part}-ubyte.gz", np.zeros(shape))
    with pytest.raises(DataError, match=message):
        read_idx_folder(tmp_path, "x")


def cifar_rows(count, classes, header, seed):
    """Labels, images (count, 32, 32, 3), and both as the file holds them: planes, rows, columns."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = generator.integers(0, classes, (count, header), dtype=np.uint8)
    content = b""
    for label, image in zip(labels, images, strict=True):
        content += label.tobytes() + b"".join(image[..., plane].tobytes() for plane in range(3))
    return labels[:, -1], images, content


def write_cifar(root, *, hundred):
    root.mkdir(exist_ok=True)
    files = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    names, classes, header = "batches.meta.txt", 10, 1
    if hundred:
        files, names, classes, header = ["train.bin", "test.bin"], "fine_label_names.txt", 100, 2
    labels, images = [], []
    for seed, file in enumerate(files):
        some_labels, some_images, content = cifar_rows(3, classes, header, seed)
        (root / file).write_bytes(content)
        labels.append(some_labels)
        images.append(some_images)
    (root / names).write_text("\n".join(f"class{i}" for i in range(classes)) + "\n\n")
    return files, np.concatenate(labels), np.concatenate(images)


@pytest.mark.parametrize("hundred", [False, True])
def test_cifar(tmp_path, hundred):
    assert not has_cifar(tmp_path)
    files, labels, images = write_cifar(tmp_path, hundred=hundred)
    assert has_cifar(tmp_path)
    dataset = read_cifar_folder(tmp_path, "cifar")
    assert dataset.class_names == tuple(f"class{i}" for i in range(100 if hundred else 10))
    np.testing.assert_array_equal(dataset.labels, labels)
    assert dataset.splits.tolist() == ["train"] * (len(labels) - 3) + ["test"] * 3
    assert dataset.paths[-1] == f"{files[-1]}#2"
    assert (dataset.channels, dataset.flippable) == (3, True)
    for index, image in enumerate(images):
        np.testing.assert_array_equal(dataset.image(index, 3), image)


@pytest.mark.parametrize("hundred", [False, True])
@pytest.mark.parametrize("content", [b"", b"x" * 3072, b"x" * 6147])
def test_cifar_files_of_a_wrong_length(tmp_path, hundred, content):
    files, _, _ = write_cifar(tmp_path, hundred=hundred)
    (tmp_path / files[-1]).write_bytes(content)
    message = f"{files[-1]} is damaged: its {len(content):,} bytes are not a multiple of"
    with pytest.raises(DataError, match=re.escape(message)):
        read_cifar_folder(tmp_path, "cifar")


@pytest.mark.parametrize("missing", ["data_batch_3.bin", "test_batch.bin", "batches.meta.txt"])
def test_cifar_lacks_a_file(tmp_path, missing):
    write_cifar(tmp_path, hundred=False)
    (tmp_path / missing).unlink()
    with pytest.raises(DataError, match=rf"cannot read .*{missing}"):
        read_cifar_folder(tmp_path, "cifar")


def test_cifar_with_too_few_class_names(tmp_path):
    _, labels, _ = write_cifar(tmp_path, hundred=False)
    (tmp_path / "batches.meta.txt").write_text("only\ntwo\n")
    with pytest.raises(DataError, match=rf"has the label {labels.max()}, but only 2 class names"):
        read_cifar_folder(tmp_path, "cifar")


def test_an_empty_gzip_stream_is_not_an_idx_file(tmp_path):
    (tmp_path / "file.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match="is not an IDX file"):
        read_idx(tmp_path / "file.gz")
