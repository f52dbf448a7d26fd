"""Data sets by name or path, and the folders where their files are searched."""

import dataclasses
import hashlib
import io
import tarfile
import zipfile
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
    assert dataset.flippable


def test_mnist_is_not_mirrored(write_idx, downloads):
    mark(cached("mnist"), write_idx, 44)
    dataset = open_dataset("mnist")
    assert first_pixel(dataset) == 44
    assert not dataset.flippable
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
    assert not dataset.flippable
    assert set(dataset.splits.tolist()) == {""}
    assert downloads == []


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError) as caught:
        open_dataset("imagnet")
    assert str(caught.value) == (
        "no folder or file 'imagnet', and no known data set of that name "
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


@pytest.mark.parametrize("content", [b"", b"notes", b"\x89PNG\r\n\x1a\n"])
def test_a_file_of_another_kind_is_refused_with_what_is_accepted(tmp_path, content):
    (tmp_path / "data.zip").write_bytes(content)
    with pytest.raises(
        DataError, match=r"data\.zip is a file in an unsupported format; give the folder"
    ) as e:
        open_dataset(str(tmp_path / "data.zip"))
    assert "give the folder" in str(e.value)
    assert ".tar.gz" in str(e.value)
    assert "CSV" in str(e.value)


def test_a_device_is_refused():
    with pytest.raises(DataError, match="is a device or pipe; give the folder"):
        open_dataset("/dev/zero")


def packed(folder, path, mode, top=""):
    """`folder` as an archive, its files below `top`."""
    if mode == "zip":
        with zipfile.ZipFile(path, "w") as file:
            for item in sorted(folder.rglob("*")):
                file.write(item, top + item.relative_to(folder).as_posix())
    else:
        with tarfile.open(path, mode) as file:
            file.add(folder, top or ".")
    return path


@pytest.mark.parametrize("top", ["", "pets/", "download/pets/"])
@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:xz"])
def test_an_archive_is_the_folder_in_it(image_files, tmp_path, mode, top):
    root = image_files("cat/1.png", "cat/2.png", "dog/1.png")
    dataset = open_dataset(str(packed(root, tmp_path / "pets.tar.gz", mode, top)))
    folder = open_dataset(str(root))
    assert (dataset.name, dataset.class_names) == ("pets", ("cat", "dog"))
    assert dataset.paths == folder.paths
    assert np.array_equal(dataset.image(2, 3), folder.image(2, 3))
    assert catalog.cache_folder() in dataset.source.root.parents


def test_split_folders_in_an_archive_are_splits(image_files, tmp_path):
    root = image_files("train/cat/1.png", "train/dog/1.png")
    dataset = open_dataset(str(packed(root, tmp_path / "a.zip", "zip")))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.splits.tolist() == ["train", "train"]


def test_idx_files_in_an_archive(idx_folder, tmp_path):
    arrays = idx_folder(tmp_path / "mine")
    dataset = open_dataset(str(packed(tmp_path / "mine", tmp_path / "m.tgz", "w:gz", "mine")))
    assert np.array_equal(dataset.source.images[:12, ..., 0], arrays["train"][0])
    assert dataset.name == "m"


def test_what_is_wrong_in_an_archive_names_the_archive(image_files, tmp_path):
    root = image_files("1.png")
    path = packed(root, tmp_path / "a.zip", "zip")
    with pytest.raises(
        DataError, match=r"a\.zip has no class folders.* such as .*a\.zip/cat/1"
    ) as e:
        open_dataset(str(path))
    assert str(catalog.cache_folder()) not in str(e.value)


def test_every_known_file_has_a_checksum_and_an_ending():
    for entry in DATASETS.values():
        for url, sha256 in entry.files.items():
            assert url.startswith(("http://", "https://"))
            assert Path(url).suffix == ".gz"
            assert len(bytes.fromhex(sha256)) == 32
