"""Reading all images once: hashes, statistics, canvases in memory, unreadable files."""

import hashlib
import os

import numpy as np
import pytest

from convscope.data import loader
from convscope.data.folder import read_folder
from convscope.data.loader import Scan, fits_in_memory, scan
from convscope.images.preprocess import Preprocess

PREPROCESS = Preprocess(size=(5, 5), channels=3, resize=6, mean=(0.5,) * 3, std=(0.2,) * 3)


def masks(count, keep=True, statistics=True):
    return np.full(count, keep), np.full(count, statistics)


def scanned(dataset, preprocess=PREPROCESS, keep=True, statistics=True):
    *_, last = scan(dataset, preprocess, *masks(len(dataset), keep, statistics))
    assert isinstance(last, Scan)
    return last


def test_hashes_are_those_of_the_files(image_files):
    root = image_files("a/1.png", "a/2.png", "b/1.png")
    dataset = read_folder(root, "x")
    expected = [hashlib.sha256((root / path).read_bytes()).hexdigest() for path in dataset.paths]
    assert scanned(dataset).hashes == tuple(expected)


def test_hashes_of_arrays_are_those_of_the_pixels(dataset):
    data = dataset([0, 1, 0])
    expected = [hashlib.sha256(image.tobytes()).hexdigest() for image in data.source.images]
    assert scanned(data).hashes == tuple(expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_those_of_all_pixels_of_the_canvases(dataset, channels):
    data = dataset([0, 1] * 20, channels=channels)
    preprocess = Preprocess(
        size=(5, 5), channels=channels, resize=6, mean=(0.5,) * channels, std=(0.2,) * channels
    )
    chosen = np.arange(40) % 3 == 0
    *_, found = scan(data, preprocess, np.zeros(40, bool), chosen)
    canvases = [preprocess.canvas(data.image(i, channels)) for i in range(0, 40, 3)]
    pixels = np.concatenate([canvas.reshape(-1, channels) for canvas in canvases]) / 255
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0), atol=1e-6)
    expected = np.cov(pixels.T, bias=True).reshape(channels, channels)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-6)


def test_statistics_of_dark_images_with_little_contrast(dataset):
    data = dataset([0, 1] * 20)
    data.source.images[:] = data.source.images % 3
    found = scanned(data)
    pixels = np.concatenate([PREPROCESS.canvas(i).reshape(-1, 3) for i in data.source.images])
    np.testing.assert_allclose(found.mean, (pixels / 255).mean(axis=0), rtol=1e-5)
    expected = np.cov((pixels / 255).T, bias=True)
    np.testing.assert_allclose(np.diag(found.covariance), np.diag(expected), rtol=1e-3)


def test_no_statistics(dataset):
    found = scanned(dataset([0, 1]), statistics=False)
    assert (found.mean == 0).all()
    assert (found.covariance == 0).all()


def test_only_the_canvases_of_the_mask_are_kept(dataset):
    data = dataset([0, 1] * 5)
    keep = np.arange(10) % 2 == 1
    *_, found = scan(data, PREPROCESS, keep, np.ones(10, bool))
    assert [i for i in range(10) if found.canvases.get(i) is not None] == [1, 3, 5, 7, 9]
    for index in (1, 3, 5, 7, 9):
        expected = PREPROCESS.canvas(data.image(index, 3))
        np.testing.assert_array_equal(found.canvases.get(index), expected)


def test_progress_is_reported_in_chunks(dataset, monkeypatch):
    monkeypatch.setattr(loader, "_CHUNK", 4)
    data = dataset([0, 1] * 5)
    *progress, _ = scan(data, PREPROCESS, *masks(10))
    assert progress == [(4, 10), (8, 10), (10, 10)]


def test_the_size_of_chunks_does_not_change_the_pairs(dataset, monkeypatch):
    data = dataset([0, 1] * 5)
    whole = scanned(data)
    monkeypatch.setattr(loader, "_CHUNK", 3)
    parts = scanned(data)
    assert parts.hashes == whole.hashes
    assert parts.canvases.rows.tolist() == whole.canvases.rows.tolist()
    np.testing.assert_array_equal(parts.covariance, whole.covariance)


def test_all_unreadable_files_are_listed(image_files):
    root = image_files(*(f"{name}/{i}.png" for name in "ab" for i in range(4)))
    (root / "a" / "1.png").write_bytes(b"")
    (root / "a" / "2.png").write_text("no image")
    (root / "b" / "0.png").write_bytes((root / "b" / "0.png").read_bytes()[:60])
    (root / "b" / "3.png").unlink()
    (root / "b" / "3.png").symlink_to("nowhere")
    found = list(scan(read_folder(root, "pets"), PREPROCESS, *masks(8)))[-1]
    names = {read_folder(root, "pets").paths[index]: error for index, error in found.bad.items()}
    assert {name: error.reason.split(" (")[0] for name, error in names.items()} == {
        "a/1.png": "the file is empty",
        "a/2.png": "not an image in a supported format",
        "b/0.png": "damaged image",
        "b/3.png": "No such file or directory",
    }
    assert found.hashes[7] == ""
    assert (found.canvases.rows < 0).sum() == 4


def test_files_outside_both_masks_are_checked_too(image_files):
    root = image_files("a/1.png", "b/1.png")
    (root / "b" / "1.png").write_text("no image")
    dataset = read_folder(root, "x")
    found = list(scan(dataset, PREPROCESS, *masks(2, keep=False, statistics=False)))[-1]
    assert list(found.bad) == [1]


def test_what_fits_in_memory(monkeypatch):
    memory = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", memory.__getitem__)
    # One canvas of 6 x 8 pixels with three channels takes 144 bytes; 1,024,000 may be used.
    assert fits_in_memory(7111, PREPROCESS)
    assert not fits_in_memory(7112, PREPROCESS)
