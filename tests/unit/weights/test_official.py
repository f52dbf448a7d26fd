"""Official weights: from the cache, downloaded, or an error that says where to put the file."""

import hashlib

import pytest

from convscope.base.download import cache_folder
from convscope.base.errors import DataError, WeightsError
from convscope.weights import official as module
from convscope.weights.official import FILES, official

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def known(monkeypatch):
    """A file whose name has the first digits of its content's hash."""
    name = f"vgg11-{DIGEST[:8]}.pth"
    monkeypatch.setitem(FILES, "vgg11", name)
    return cache_folder() / "weights" / name


def test_a_file_put_there_by_hand_is_taken(known):
    known.parent.mkdir(parents=True)
    known.write_bytes(CONTENT)
    assert official("vgg11") == known


def test_another_file_there_is_refused(known):
    known.parent.mkdir(parents=True)
    known.write_bytes(b"other")
    with pytest.raises(WeightsError, match=f"{known} has SHA-256 .*expected {DIGEST[:8]}; delete"):
        official("vgg11")


def test_it_is_downloaded_with_the_known_hash(known, monkeypatch):
    def download(url, target, sha256, progress):
        assert url == f"https://download.pytorch.org/models/{known.name}"
        assert DIGEST.startswith(sha256)
        target.parent.mkdir(parents=True)
        target.write_bytes(CONTENT)

    monkeypatch.setattr(module, "download", download)
    assert official("vgg11").read_bytes() == CONTENT


def test_offline_it_says_where_to_put_which_file(known, monkeypatch):
    def download(url, *arguments):
        raise DataError(f"cannot download {url}: unreachable")

    monkeypatch.setattr(module, "download", download)
    with pytest.raises(WeightsError, match="unreachable") as caught:
        official("vgg11")
    assert f"https://download.pytorch.org/models/{known.name}" in str(caught.value)
    assert f"save it as {known}" in str(caught.value)


def test_a_network_without_official_weights(known):
    with pytest.raises(WeightsError, match="no official ImageNet weights of 'mlp'; choose one"):
        official("mlp")


def test_complete_hashes_begin_with_the_digits_of_the_names():
    for name, digest in module._KNOWN.items():
        assert FILES[name].removesuffix(".pth").endswith(f"-{digest[:8]}")
        assert len(digest) == 64
