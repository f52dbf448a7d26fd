"""Open a data set by its name or path: known data sets, folders, archives, CSV manifests."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from convscope.base.download import Progress, cache_folder, download, extract, no_progress
from convscope.base.errors import DataError
from convscope.data import archive, manifest
from convscope.data.archive import extract_archive, is_archive
from convscope.data.arrays import (
    has_cifar,
    has_idx,
    read_cifar_folder,
    read_idx_folder,
)
from convscope.data.dataset import ArraySource, Dataset
from convscope.data.folder import SPLIT_FOLDERS, has_classes, read_folder, read_unlabelled
from convscope.data.manifest import read_manifest
from convscope.images.files import SUFFIXES

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class KnownDataset:
    """A known data set.

    Attributes:
        files: SHA-256 of the official files, by address.
        read: reads the data set from the folder of the files.
        system: the folder where a Debian package installs it.
        unpacked: the folder in the archive, if the official file is an archive.
    """

    files: dict[str, str]
    read: Callable[[Path], Dataset]
    system: Path | None = None
    unpacked: str | None = None


def _idx_files(address: str, sums: tuple[str, str, str, str]) -> dict[str, str]:
    names = (
        "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
    )  # fmt: skip
    return {address + name: sha256 for name, sha256 in zip(names, sums, strict=True)}


DATASETS: dict[str, KnownDataset] = {
    "fashion-mnist": KnownDataset(
        _idx_files(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
        lambda root: read_idx_folder(root, "fashion-mnist", FASHION_CLASSES),
        system=Path("/usr/share/datasets/fashion-mnist"),
    ),
    "mnist": KnownDataset(
        _idx_files(
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
        lambda root: read_idx_folder(root, "mnist", flippable=False),
    ),
    "cifar10": KnownDataset(
        {
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz":
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
        },
        lambda root: read_cifar_folder(root, "cifar10"),
        unpacked="cifar-10-batches-bin",
    ),
    "cifar100": KnownDataset(
        {
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz":
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
        },
        lambda root: read_cifar_folder(root, "cifar100"),
        unpacked="cifar-100-binary",
    ),
}  # fmt: skip

NAMES = (*DATASETS, "digits")
_ACCEPTED = (
    "give the folder with the class folders, an archive of it "
    f"({', '.join(archive.ENDINGS)}), or a CSV file with the columns path and label"
)


def open_dataset(where: str) -> Dataset:
    """Opens a data set by path or by name. An existing path takes precedence over a name.

    A path is a folder, an archive (`convscope.data.archive`) or a CSV manifest
    (`convscope.data.manifest`).

    Raises:
        DataError: `where` is none of these and not a known name, or cannot be read.
    """
    path = Path(where).expanduser()
    if path.is_dir():
        return _read(path, path.resolve().name)
    if path.exists():
        return _read_file(path)
    if where == "digits":
        return _digits()
    return _known(where).read(fetch(where))


def open_images(where: str) -> Dataset:
    """Like `open_dataset`, but also opens a folder of images without classes (all labels -1)."""
    path = Path(where).expanduser()
    if path.is_dir() and not (has_idx(path) or has_cifar(path) or has_classes(path)):
        return read_unlabelled(path, path.resolve().name)
    return open_dataset(where)


def check_outside(folder: Path, data: str) -> None:
    """Checks that `folder`, to which results are written, is not among the user's images.

    Raises:
        DataError: `folder` is the data folder or inside it, or inside the folder of an image that
            the manifest lists.
    """
    path = Path(data).expanduser()
    if path.is_dir():
        image_folders = {path.resolve()}
    elif path.is_file() and path.suffix.lower() in manifest.ENDINGS:
        listed = read_manifest(path, path.stem)
        image_folders = {(path.parent / image).resolve().parent for image in listed.paths}
    else:
        return
    if image_folders & {folder.resolve(), *folder.resolve().parents}:
        raise DataError(
            f"{folder} is inside the data folder {data}, which is never written to; "
            "choose another --out"
        )


def fetch(name: str, progress: Progress = no_progress) -> Path:
    """The folder of a known data set in the cache or the system; downloads it if necessary.

    Raises:
        DataError: the name is unknown, or the download fails.
    """
    entry = _known(name)
    folder = cache_folder() / "datasets" / name
    root = folder / entry.unpacked if entry.unpacked else folder
    if _is_complete(root):
        return root
    if entry.system and _is_complete(entry.system):
        return entry.system
    for url, sha256 in entry.files.items():
        target = folder / url.rsplit("/", 1)[1]
        if not target.exists():
            download(url, target, sha256, progress)
        if entry.unpacked:
            extract(target, root)
    return root


def unpack(where: str, progress: Progress) -> None:
    """Extracts `where` if it is an archive, so that `open_dataset` finds it in the cache.

    Raises:
        DataError: the archive cannot be extracted. The message names it and the reason.
    """
    path = Path(where).expanduser()
    if path.is_file() and path.suffix.lower() not in manifest.ENDINGS and is_archive(path):
        extract_archive(path, cache_folder() / "archives", progress)


def _known(name: str) -> KnownDataset:
    if name not in DATASETS:
        raise DataError(
            f"no folder or file {name!r}, and no known data set of that name "
            f"(known: {', '.join(NAMES)})"
        )
    return DATASETS[name]


def _read(path: Path, name: str) -> Dataset:
    if has_idx(path):
        return read_idx_folder(path, name)
    if has_cifar(path):
        return read_cifar_folder(path, name)
    return read_folder(path, name)


def _read_file(path: Path) -> Dataset:
    if not path.is_file():
        raise DataError(f"{path} is a device or pipe; {_ACCEPTED}")
    if path.suffix.lower() in manifest.ENDINGS:
        return read_manifest(path, path.stem)
    if not is_archive(path):
        raise DataError(f"{path} is a file in an unsupported format; {_ACCEPTED}")
    ending = next((e for e in archive.ENDINGS if path.name.lower().endswith(e)), path.suffix)
    root = _data_root(extract_archive(path, cache_folder() / "archives"))
    try:
        return _read(root, path.name[: len(path.name) - len(ending)])
    except DataError as error:
        raise DataError(str(error).replace(str(root), str(path))) from error


def _data_root(folder: Path) -> Path:
    """`folder`, or the folder inside it if it only wraps that one, as in many archives."""
    entries = list(folder.iterdir())
    folders = [path for path in entries if path.is_dir()]
    if len(folders) != 1 or has_idx(folder) or has_cifar(folder):
        return folder
    only = folders[0]
    wraps = has_idx(only) or has_cifar(only) or any(path.is_dir() for path in only.iterdir())
    images = any(path.suffix.lower() in SUFFIXES for path in entries)
    if images or only.name.lower() in SPLIT_FOLDERS or not wraps:
        return folder
    return _data_root(only)


def _is_complete(root: Path) -> bool:
    if has_idx(root):
        return all((root / f"t10k-{part}.gz").exists() or (root / f"t10k-{part}").exists()
                   for part in ("images-idx3-ubyte", "labels-idx1-ubyte"))  # fmt: skip
    return has_cifar(root) and any((root / n).exists() for n in ("test.bin", "test_batch.bin"))


def _digits() -> Dataset:
    """scikit-learn's handwritten digits, from its file: importing its loader takes a second."""
    package = find_spec("sklearn")
    assert package is not None, "a dependency of convscope"
    assert package.origin is not None
    file = Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz"
    table = np.loadtxt(file, delimiter=",")
    pixels = np.round(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)[..., None]
    count = len(pixels)
    return Dataset(
        name="digits",
        class_names=tuple(str(i) for i in range(10)),
        paths=tuple(f"digits#{i}" for i in range(count)),
        labels=table[:, -1].astype(np.int64),
        splits=np.full(count, "", dtype="<U5"),
        source=ArraySource(pixels),
        channels=1,
        flippable=False,
    )
