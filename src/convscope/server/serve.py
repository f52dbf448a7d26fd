"""Start and stop the explorer's server."""

import asyncio
import ipaddress
import secrets
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import uvicorn

from convscope.base.errors import ConvscopeError, DataError
from convscope.data.catalog import open_images
from convscope.data.dataset import Dataset
from convscope.explorer.explorer import Explorer
from convscope.explorer.gallery import Images
from convscope.explorer.store import MAX_BYTES, Store
from convscope.explorer.subject import Subject, subject
from convscope.lenses.catalog import LENSES, lens
from convscope.nets.classifier import Classifier
from convscope.server.app import build
from convscope.server.guard import Access, Guard

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_START = 30.0  # seconds until the server must listen
_STOP = 2.5


class Explored:
    """A running explorer. `url` opens it in a browser; `close()` ends it."""

    def __init__(self, server: uvicorn.Server, thread: threading.Thread, url: str,
                 explorer: Explorer) -> None:  # fmt: skip
        self.url = url
        self._server = server
        self._thread = thread
        self._explorer = explorer

    def close(self) -> bool:
        """Stops the server and its computations; returns whether they stopped in some seconds."""
        self._explorer.store.close()
        self._server.should_exit = True
        self._thread.join(_STOP)
        return not self._thread.is_alive()

    def __enter__(self) -> "Explored":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Explored({self.url})"

    def _repr_html_(self) -> str:
        return f'<a href="{escape(self.url)}" target="_blank" rel="noopener">{escape(self.url)}</a>'


def explore(
    classifier: Classifier,
    images: Sequence[str | Path] | str | Path | None = None,
    data: Dataset | str | Path | None = None,
    port: int = 0,
    browser: bool = True,
    *,
    host: str = "127.0.0.1",
    split: str | None = None,
    title: str | None = None,
    trained: bool = True,
    beside: Mapping[str, Classifier] | None = None,
    run: str | Path | None = None,
    max_bytes: int = MAX_BYTES,
) -> Explored:
    """Opens a page on which one clicks from a class probability down to a single dot product.

    Returns at once; the server runs in a thread until `close()` or the end of the program. Only
    this machine can reach it, and only a browser that has opened its address once.

    Args:
        classifier: the network. Its weights are not changed, and must not be changed meanwhile.
        images: image files to open.
        data: a source of further images: a `Dataset`, its folder or name, or a folder of images.
        port: 0 takes a free one.
        browser: opens the page in the browser.
        host: the address to listen on; another than 127.0.0.1 lets other machines reach the page,
            with the token and unencrypted.
        split: the split of the data to begin with.
        title: the name of the network on the page; by default its own.
        trained: False says on the page that the weights are random.
        beside: other classifiers by title, for comparison under shifts; they must have the same
            input size and the same classes.
        run: a run folder whose atlas and shift study are shown.
        max_bytes: the memory for recorded passes.

    Raises:
        ConvscopeError: the port is in use, or the network cannot be captured or the data read.
    """
    listening = _listening(host, port)
    try:
        files = [images] if isinstance(images, str | Path) else list(images or ())
        explored = subject(classifier, title=title, trained=trained)
        others = [_beside(explored, name, other) for name, other in (beside or {}).items()]
        explorer = Explorer(
            explored,
            _gallery(classifier, data, [str(file) for file in files], split),
            Store(max_bytes),
            None if run is None else Path(run),
            tuple(others),
            {} if run is None else _stored(Path(run), explored),
        )
    except BaseException:
        listening.close()
        raise
    server = _started(listening, host, explorer)
    if browser:
        webbrowser.open(server.url)
    return server


def _stored(run: Path, subject: Subject) -> dict[str, Any]:
    """The studies in a run folder, by lens."""
    studies = {}
    for name in LENSES:
        stored = lens(name).stored
        study = None if stored is None else stored(run, subject)
        if study is not None:
            studies[name] = study
    return studies


def _beside(explored: Subject, name: str, other: Classifier) -> Subject:
    """Another classifier, called `name`, to compare with the one that is explored.

    Raises:
        ConvscopeError: its input or its classes are different.
    """
    classifier = explored.classifier
    differ = [
        f"{key} {getattr(classifier.preprocess, key)} and {getattr(other.preprocess, key)}"
        for key in ("size", "channels", "resize", "fit")
        if getattr(classifier.preprocess, key) != getattr(other.preprocess, key)
    ]
    if classifier.class_names is None or classifier.class_names != other.class_names:
        differ.append("their classes are not the same")
    if differ:
        raise ConvscopeError(
            f"{name} cannot stand beside {explored.title}: {'; '.join(differ)}; give a run that "
            "sees the same pixels and knows the same classes"
        )
    return subject(other, title=name)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host in _LOOPBACK


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes every connection, including one that arrives while the others are being closed.

        uvicorn leaves such a connection open, and its client would wait forever.
        """
        await super().shutdown(sockets)
        for connection in self.server_state.connections.copy():
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed


def _started(listening: socket.socket, host: str, explorer: Explorer) -> Explored:
    """Starts the server and waits until it answers."""
    port = listening.getsockname()[1]
    access = Access(port, secrets.token_urlsafe(24), *_names(host))
    server = _Server(
        uvicorn.Config(
            Guard(build(explorer), access), log_config=None, access_log=False, lifespan="off",
            log_level="critical",  # the guard logs bugs; an invalid request is not a bug
            ws="none", http="h11", loop="asyncio", server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )  # fmt: skip
    thread = threading.Thread(
        target=server.run, args=([listening],), name="convscope explore", daemon=True
    )
    thread.start()
    end = time.monotonic() + _START
    while not server.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    if not server.started:
        raise ConvscopeError(f"the server did not start on {host}, port {port}")
    name = f"[{host}]" if ":" in host else host
    if access.anywhere:
        name = socket.gethostname()
    return Explored(server, thread, f"http://{name}:{port}/?token={access.token}", explorer)


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server((host, port), family=family)
        # Head and body of a response are two packets; without this the second is delayed by 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConvscopeError(
            f"cannot listen on {host}, port {port}: {reason}; give another --port, or 0 for a free "
            "one"
        ) from error


def _names(host: str) -> tuple[frozenset[str], bool]:
    """The host names that a browser may use, and whether any IP address is accepted."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    own = {f"[{host}]" if ":" in host else host.lower()}
    if everywhere:
        own = {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset({"127.0.0.1", "localhost", *own}), everywhere


def _gallery(
    classifier: Classifier, data: Dataset | str | Path | None, files: list[str], split: str | None
) -> Images:
    dataset = data if isinstance(data, Dataset) or data is None else open_images(str(data))
    if split is not None and dataset is None:
        raise DataError(f"--split {split}: there is no data set; give one with --data")
    labelled = False
    if dataset is not None and dataset.class_names:
        try:
            dataset = dataset.aligned_to(classifier.class_names or ())
            labelled = True
        except DataError:
            sys.stderr.write(
                f"convscope: {dataset.name} has other classes than the network: "
                "its images are shown without labels\n"
            )
    return Images(dataset, files, labelled=labelled, begin_with=split)
