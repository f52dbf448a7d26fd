"""Data sets by name or path, and where their files are looked for."""

import dataclasses
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from convscope.base.errors import DataError
from convscope.data import catalog
from convscope.data.catalog import DATASETS, NAMES, fetch, open_dataset
from convscope.data.folder import read_folder

IDX_NAMES = [
    f"{prefix}-{part}-ubyte.gz"
    for prefix in ("train", "t10k")
    for part in ("images-idx3", "labels-idx1")
]


@pytest.fixture
def downloads(monkeypatch):
    """The addresses that were asked for; each is served from the dictionary `content`."""

    class Downloads(list):
        content = {}

    asked = Downloads()

    def download(url, target, sha256, progress):
        asked.append(url)
        if url not in asked.content:
            raise DataError(f"cannot download {url}: unreachable")
        assert hashlib.sha256(asked.content[url]).hexdigest() == sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(asked.content[url])
        progress(target.name, 1, 1)

    monkeypatch.setattr(catalog, "download", download)
    return asked


@pytest.fixture
def fashion(monkeypatch, tmp_path, downloads):
    """Gives the entry of fashion-mnist other files and another system folder."""

    def change(source=None, system=None):
        files = {f"http://127.0.0.1/{name}": "0" * 64 for name in IDX_NAMES}
        if source is not None:
            content = {f"http://127.0.0.1/{n}": (source / n).read_bytes() for n in IDX_NAMES}
            files = {url: hashlib.sha256(body).hexdigest() for url, body in content.items()}
            downloads.content = content
        entry = dataclasses.replace(DATASETS["fashion-mnist"], files=files, system=system)
        monkeypatch.setitem(DATASETS, "fashion-mnist", entry)

    return change


def cached(name):
    return catalog.cache_folder() / "datasets" / name


def first_pixel(dataset):
    return int(dataset.image(0, 1)[0, 0, 0])


def mark(root, write_idx, value):
    """The files of a data set whose first pixel is `value`."""
    for prefix in ("train", "t10k"):
        write_idx(root / f"{prefix}-images-idx3-ubyte.gz", np.full((10, 3, 3), value))
        write_idx(root / f"{prefix}-labels-idx1-ubyte.gz", np.arange(10))


def test_the_cache_comes_before_the_systems_folder(fashion, write_idx, tmp_path, downloads):
    mark(tmp_path / "system", write_idx, 11)
    fashion(system=tmp_path / "system")
    assert first_pixel(open_dataset("fashion-mnist")) == 11
    mark(cached("fashion-mnist"), write_idx, 22)
    assert first_pixel(open_dataset("fashion-mnist")) == 22
    assert downloads == []


@pytest.mark.parametrize("state", ["missing", "incomplete"])
def test_the_download_comes_last(fashion, write_idx, tmp_path, downloads, state):
    mark(tmp_path / "official", write_idx, 33)
    system = tmp_path / "system"
    if state == "incomplete":
        mark(system, write_idx, 11)
        (system / "t10k-labels-idx1-ubyte.gz").unlink()
    fashion(source=tmp_path / "official", system=system)
    seen = []
    fetch("fashion-mnist", lambda *progress: seen.append(progress))
    found = open_dataset("fashion-mnist")
    assert first_pixel(found) == 33
    assert sorted(downloads) == sorted(DATASETS["fashion-mnist"].files)
    assert sorted(seen) == sorted((name, 1, 1) for name in IDX_NAMES)
    downloads.clear()
    assert first_pixel(open_dataset("fashion-mnist")) == 33
    assert downloads == []


def test_files_that_are_there_are_not_fetched_again(fashion, write_idx, tmp_path, downloads):
    mark(tmp_path / "official", write_idx, 33)
    mark(cached("fashion-mnist"), write_idx, 22)
    (cached("fashion-mnist") / IDX_NAMES[3]).unlink()
    fashion(source=tmp_path / "official")
    assert first_pixel(open_dataset("fashion-mnist")) == 22
    assert [url.rsplit("/", 1)[1] for url in downloads] == [IDX_NAMES[3]]


def test_what_fashion_mnist_is(fashion, write_idx, tmp_path):
    mark(tmp_path / "system", write_idx, 11)
    fashion(system=tmp_path / "system")
    dataset = open_dataset("fashion-mnist")
    assert dataset.name == "fashion-mnist"
    assert dataset.class_names[:2] == ("T-shirt/top", "Trouser")
    assert len(dataset.class_names) == 10
    assert dataset.mirrored


def test_mnist_is_not_mirrored(write_idx, downloads):
    mark(cached("mnist"), write_idx, 44)
    dataset = open_dataset("mnist")
    assert first_pixel(dataset) == 44
    assert not dataset.mirrored
    assert downloads == []


def test_an_archive_is_unpacked_once(monkeypatch, tmp_path, downloads):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
        parts = {name: bytes([i]) + bytes(3072) for i, name in enumerate(names)}
        parts["batches.meta.txt"] = b"a\nb\nc\nd\ne\nf\n"
        for name, content in parts.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    url = "http://127.0.0.1/cifar-10-binary.tar.gz"
    downloads.content = {url: file.getvalue()}
    files = {url: hashlib.sha256(file.getvalue()).hexdigest()}
    monkeypatch.setitem(DATASETS, "cifar10", dataclasses.replace(DATASETS["cifar10"], files=files))
    for _ in range(2):
        dataset = open_dataset("cifar10")
        assert dataset.labels.tolist() == [0, 1, 2, 3, 4, 5]
        assert dataset.name == "cifar10"
    assert downloads == [url]


def test_digits_come_with_scikit_learn(downloads):
    dataset = open_dataset("digits")
    assert len(dataset) == 1797
    assert dataset.class_names == tuple("0123456789")
    assert dataset.image(0, 1).shape == (8, 8, 1)
    assert dataset.source.images.max() == 255
    assert not dataset.mirrored
    assert set(dataset.splits.tolist()) == {""}
    assert downloads == []


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError) as caught:
        open_dataset("imagnet")
    assert str(caught.value) == (
        "no folder 'imagnet', and no known data set of that name "
        "(known: fashion-mnist, mnist, cifar10, cifar100, digits)"
    )
    assert all(name in str(caught.value) for name in NAMES)


def test_a_folder_comes_before_a_name(image_files, monkeypatch):
    root = image_files("cat/1.png", "dog/1.png", root="digits")
    monkeypatch.chdir(root.parent)
    dataset = open_dataset("digits")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.name == "digits"


def test_a_folder_is_named_by_its_last_part(image_files, monkeypatch):
    root = image_files("cat/1.png", "dog/1.png", root="pets")
    monkeypatch.chdir(root)
    assert open_dataset(".").name == "pets"
    assert open_dataset(f"{root}/").name == "pets"
    monkeypatch.setenv("HOME", str(root.parent))
    assert open_dataset("~/pets").paths == read_folder(root, "pets").paths


def test_folders_of_known_layouts(idx_folder, tmp_path):
    idx_folder(tmp_path / "mine")
    dataset = open_dataset(str(tmp_path / "mine"))
    assert (dataset.name, dataset.class_names) == ("mine", ("0", "1", "2"))


def test_a_file_is_no_data_set(tmp_path):
    (tmp_path / "data.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"data\.zip is a file; give the folder"):
        open_dataset(str(tmp_path / "data.zip"))


def test_every_known_file_has_a_sum_and_every_name_an_ending():
    for entry in DATASETS.values():
        for url, sha256 in entry.files.items():
            assert url.startswith(("http://", "https://"))
            assert Path(url).suffix == ".gz"
            assert len(bytes.fromhex(sha256)) == 32
