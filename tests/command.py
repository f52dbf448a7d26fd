"""The command as a user runs it, and a run folder trained once for all of these tests."""

import contextlib
import io
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("convscope")
QUICK = ("--set", "model.options.head=[16]", "--set", "precision=float32")


@dataclass
class Done:
    returncode: int
    output: bytes
    stderr: str

    @property
    def stdout(self):
        return self.output.decode()


@pytest.fixture(scope="session")
def convscope():
    """Runs `convscope ARGUMENTS` through its entry point; gives exit code, output and error."""
    from convscope.cli.app import main

    def run(*arguments, cwd=None, stdin=""):
        before = sys.argv, sys.stdin
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        errors = io.StringIO()
        sys.argv, sys.stdin = ["convscope", *map(str, arguments)], io.StringIO(stdin)
        code = 0
        try:
            with (
                contextlib.redirect_stdout(output),
                contextlib.redirect_stderr(errors),
                contextlib.chdir(cwd or os.curdir),
            ):
                main()
        except SystemExit as left:
            code = left.code or 0
        finally:
            sys.argv, sys.stdin = before
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return Done(code, output.buffer.getvalue(), errors.getvalue())

    return run


@pytest.fixture(scope="session")
def trained(convscope, tmp_path_factory):
    """A run on the digits that learns, and so slowly that every machine leaves some mistakes."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    few = ("--epochs", 5, "--batch", 32, "--set", "optim.learning_rate=0.001")
    done = convscope("train", "digits", *few, "--out", folder, *QUICK)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Ten images of digits as files, named by their index in the data set."""
    from PIL import Image

    from convscope import open_dataset

    folder = tmp_path_factory.mktemp("images")
    data = open_dataset("digits")
    for index in range(0, 40, 4):
        Image.fromarray(data.image(index, 1)[:, :, 0]).save(folder / f"{index:02d}.png")
    return folder
