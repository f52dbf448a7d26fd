"""Download torchvision's official ImageNet weights of the VGG family.

The name of each file has the first eight digits of its SHA-256, by which it is verified. For two of
the files the complete SHA-256 is known here.
"""

from pathlib import Path

from convscope.base.download import Progress, cache_folder, download, no_progress, sha256_of_file
from convscope.base.errors import DataError, WeightsError

_ADDRESS = "https://download.pytorch.org/models/"
FILES = {
    "vgg11": "vgg11-8a719046.pth",
    "vgg13": "vgg13-19584684.pth",
    "vgg16": "vgg16-397923af.pth",
    "vgg19": "vgg19-dcbb9e9d.pth",
    "vgg11-bn": "vgg11_bn-6002323d.pth",
    "vgg13-bn": "vgg13_bn-abd245e5.pth",
    "vgg16-bn": "vgg16_bn-6c64b313.pth",
    "vgg19-bn": "vgg19_bn-c79401a0.pth",
}
_KNOWN = {
    "vgg16": "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "vgg16-bn": "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a",
}


def official(name: str, progress: Progress = no_progress) -> Path:
    """The file of a network's official ImageNet weights in the cache; downloads it if necessary.

    Args:
        name: of the network, such as `vgg16-bn`.
        progress: called with the file's name, the bytes received and the total number of bytes.

    Raises:
        WeightsError: the network has no official weights; they cannot be downloaded (the message
            says where to put the file by hand); or the file in the cache has another SHA-256.
    """
    if name not in FILES:
        raise WeightsError(
            f"there are no official ImageNet weights of {name!r}; choose one of {', '.join(FILES)}"
        )
    path = cache_folder() / "weights" / FILES[name]
    digest = _KNOWN.get(name) or path.stem.rsplit("-", 1)[1]
    url = _ADDRESS + path.name
    if not path.exists():
        try:
            download(url, path, digest, progress)
        except DataError as error:
            raise WeightsError(
                f"{error}; without internet access, download {url} elsewhere and save it as {path}"
            ) from None
        return path
    try:
        actual = sha256_of_file(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    if not actual.startswith(digest):
        raise WeightsError(
            f"{path} has SHA-256 {actual}, expected {digest}; delete it, or replace it with the "
            f"file from {url}"
        )
    return path
