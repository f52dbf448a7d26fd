"""For all tests: shapes are checked, only this machine is reached, one thread, fixed seeds."""

import socket

import pytest
from jaxtyping import install_import_hook

# Before anything of convscope is imported: every annotated shape is checked on every call.
install_import_hook("convscope", "typechecker.checked")

import torch  # noqa: E402

# Fixtures for several folders. tests/command.py: the command, a trained run; tests/running.py: a
# running explorer.
pytest_plugins = ["command", "running"]

torch.set_num_threads(1)
_connect = socket.socket.connect


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def connect(self, address):
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"tests may not connect to {address}")
        return _connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


def pytest_collection_modifyitems(items):
    """Slow tests are not part of the coverage: tracing lines would double their time."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker("no_cover")


@pytest.fixture(scope="session", autouse=True)
def _session_cache(tmp_path_factory):
    """The cache of fixtures that live longer than a test."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("CONVSCOPE_CACHE", str(cache))
        yield cache


@pytest.fixture
def _graphs(_session_cache):
    """Captured graphs: by default each network is captured once for all tests.

    Tests of capturing itself override this, and capture each time.
    """
    folder = _session_cache / "graphs"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory, _graphs):
    """No test reads or writes the user's cache or, but for captured graphs, another test's."""
    cache = tmp_path_factory.mktemp("cache")
    (cache / "graphs").symlink_to(_graphs)
    monkeypatch.setenv("CONVSCOPE_CACHE", str(cache))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
