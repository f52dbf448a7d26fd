"""`convscope explore`: a network in the browser, from a probability down to a dot product."""

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
from convscope.cli.predict import image_paths
from convscope.console.output import Source, stem, warn_untrained
from convscope.console.source import classifier_of, is_run

if TYPE_CHECKING:
    from convscope.data.dataset import Dataset
    from convscope.server.serve import Explored


def explore(
    source: Source,
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Images to look at: files, folders, globs.", show_default=False),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Images to choose from, labelled or not; by default the run's own."),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="Another run with the same classes, to see the same moved images.",
                     show_default=False),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Begin with images of this split; by default test.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    host: Annotated[
        str, typer.Option(help="Where to listen; another lets other machines reach the page.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:  # fmt: skip
    """Open a page to explore a network, down to the dot product behind every number."""
    from convscope.base.device import default_device
    from convscope.runs.folder import load
    from convscope.server.serve import explore as serve
    from convscope.server.serve import is_loopback

    files = list(image_paths(images or []))
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
        sys.stderr.write(
            f"convscope: careful: other machines can reach {host}; whoever has the address below "
            "sees these images, and it travels unencrypted\n"
        )
    _until_stopped(explored, browser)


def _titles(source: str, beside: Sequence[Path]) -> dict[Path, str]:
    """What runs are called beside each other: their folders' names; their paths where two are one.

    Raises:
        ConvscopeError: a run is given twice.
    """
    runs = [Path(source), *beside]
    names = [stem(str(run)) for run in runs]
    if len({run.resolve() for run in runs}) < len(runs):
        raise ConvscopeError(f"--beside: a run is given twice: {', '.join(map(str, runs))}")
    return {
        run: name if names.count(name) == 1 else str(run)
        for run, name in zip(runs, names, strict=True)
    }


def _until_stopped(explored: "Explored", browser: bool) -> None:
    """Says where the page is, and ends the process with 0 when it is asked to stop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # What is loaded by now stays: without this a search for cyclic garbage takes 150 ms, not 0.
    gc.collect()
    gc.freeze()
    print(explored.url, flush=True)
    sys.stderr.write("convscope: open this address in a browser; Ctrl-C ends it\n")
    if browser:
        import webbrowser

        webbrowser.open(explored.url)
    stop.wait()
    explored.close()
    # Without Python's tidying up: that takes seconds on a busy machine, and waits for a step of the
    # network that is still running.
    sys.stderr.flush()
    os._exit(0)


def _data(source: str, data: str | None) -> "Dataset | str | None":
    """The data set to choose images from: what was asked for, else the run's own if it is there."""
    from convscope.runs.data import run_dataset

    if not is_run(source):
        return data
    try:
        return run_dataset(Path(source), data, unlabelled=True)
    except ConvscopeError as error:
        if data is not None:
            raise
        sys.stderr.write(f"convscope: without the run's data: {error}\n")
        return None
