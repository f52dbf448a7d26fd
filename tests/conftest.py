"""For all tests: shapes checked, network off but for this machine, one thread, seeds fixed."""

import socket

import pytest
from jaxtyping import install_import_hook

# Before anything of convscope is imported: every annotated shape is checked on every call.
install_import_hook("convscope", "typechecker.checked")

import torch  # noqa: E402

# Fixtures that several folders use: the command and a trained run; a running explorer.
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


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    """No test reads or writes the user's cache, or another test's."""
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
