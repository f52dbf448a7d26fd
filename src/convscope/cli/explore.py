"""`convscope explore`: a network on a page in the browser."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.output import Source, stem, warn, warn_untrained
from convscope.console.source import classifier_of, is_run

if TYPE_CHECKING:
    from convscope.data.dataset import Dataset
    from convscope.server.serve import Explored


def explore(
    source: Source,
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Images to choose from: files, folders, globs.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Other images, labelled or not; by default the run's own."),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Another run with the same classes, to compare under shifts.",
                     show_default=False),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Start with images of train, val, test or all; by default test.",
                     show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 0,
    host: Annotated[
        str,
        typer.Option(help="The address to listen on; by default only this machine can connect."),
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:  # fmt: skip
    """Open a page in the browser to explore a network."""
    from convscope.base.device import default_device
    from convscope.console.paths import image_paths
    from convscope.runs.folder import load
    from convscope.server.serve import explore as serve
    from convscope.server.serve import is_loopback

    files, _ = image_paths(images or [])
    if images and not files:
        raise ConvscopeError(f"no images in {', '.join(images)}")
    classifier = classifier_of(source).to(default_device())
    warn_untrained(source)
    titles = _titles(source, beside or [])
    others = {titles[run]: load(run).to(default_device()) for run in beside or []}
    explored = serve(
        classifier, files, _data(source, data), port, browser=False, host=host, split=split,
        title=stem(source), trained=is_run(source), beside=others,
        run=source if is_run(source) else None,
    )  # fmt: skip
    if not is_loopback(host):
        warn(
            f"other machines can reach {host}: anyone with the address below can see these images, "
            "and the connection is not encrypted"
        )
    _until_stopped(explored, browser)


def _titles(source: str, beside: Sequence[Path]) -> dict[Path, str]:
    """A title for each run: the name of its folder, or its path if two folders have one name.

    Raises:
        ConvscopeError: a run is given twice.
    """
    runs = [Path(source), *beside]
    names = [stem(str(run)) for run in runs]
    if len({run.resolve() for run in runs}) < len(runs):
        raise ConvscopeError(
            f"--beside: each run may be given once; got {', '.join(map(str, runs))}"
        )
    return {
        run: name if names.count(name) == 1 else str(run)
        for run, name in zip(runs, names, strict=True)
    }


def _until_stopped(explored: "Explored", browser: bool) -> None:
    """Prints the page's address, waits for Ctrl-C or SIGTERM, and exits with 0."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Without this each search for cyclic garbage takes 150 ms: everything loaded so far stays.
    gc.collect()
    gc.freeze()
    print(explored.url, flush=True)
    sys.stderr.write("convscope: open this address in a browser; Ctrl-C stops it\n")
    if browser:
        import webbrowser

        webbrowser.open(explored.url)
    stop.wait()
    explored.close()
    # Without Python's cleanup, which may take seconds and waits for a pass that still runs.
    sys.stderr.flush()
    os._exit(0)


def _data(source: str, data: str | None) -> "Dataset | str | None":
    """The data set to choose images from: `data`, or the run's own if it can be read."""
    from convscope.runs.data import run_dataset

    if not is_run(source):
        return data
    try:
        return run_dataset(Path(source), data, unlabelled=True)
    except ConvscopeError as error:
        if data is not None:
            raise
        sys.stderr.write(f"convscope: the run's data set cannot be read: {error}\n")
        return None
