"""How long commands take to start, beside `import torch` and a Python that does nothing.

Every command has run once before: bytecode, and graphs of networks in the cache folder, are there.
"""

import http.cookiejar
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from benchmarks.measure import Row, command_seconds, interleaved

COMMAND = str(Path(sys.executable).with_name("convscope"))


def measure(rounds: int) -> list[Row]:
    """Rows in seconds of wall time."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONVSCOPE_CACHE"] = str(Path(folder, "cache"))
        run = Path(folder, "run")
        train = (COMMAND, "train", "digits", "--epochs", "1", "--json-log", "--out")
        subprocess.run([*train, str(run)], check=True, capture_output=True)
        number = iter(range(10**6))

        def explorer(part: int) -> float:
            return _explorer_seconds(run)[part]

        values = interleaved(
            {
                "pass": lambda: command_seconds(sys.executable, "-c", "pass"),
                "torch": lambda: command_seconds(sys.executable, "-c", "import torch"),
                "convscope --help": lambda: command_seconds(COMMAND, "--help"),
                "convscope summary vgg16": lambda: command_seconds(COMMAND, "summary", "vgg16"),
                "address of convscope explore": lambda: explorer(0),
                "first answer of convscope explore": lambda: explorer(1),
                "first step of convscope train digits": lambda: _first_step(
                    [*train, f"{folder}/{next(number)}"]
                ),
            },
            rounds,
        )
    nothing, torch = values.pop("pass"), values.pop("torch")
    rows = []
    for name, seconds in values.items():
        peer = nothing if name.endswith("--help") else torch
        about = "python -c pass" if peer is nothing else "python -c 'import torch'"
        rows.append(Row(f"start: {name}", seconds, peer, name, about, "s", higher_is_better=False))
    return rows


@contextmanager
def _running(command: list[str]) -> Iterator[Iterator[str]]:
    """The lines of a command's standard output as they come; ended afterwards."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.kill()


def _explorer_seconds(run: Path) -> tuple[float, float]:
    """Seconds until the address is printed, and until the page and the network are answered."""
    began = perf_counter()
    with _running([COMMAND, "explore", str(run), "--no-browser"]) as lines:
        found = (re.search(r"http://\S+", line) for line in lines)
        url = next(match[0] for match in found if match)
        printed = perf_counter() - began
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        browser = urllib.request.build_opener(cookies)
        for address in (url, url.split("/?")[0] + "/api/subject"):
            with browser.open(address) as response:
                response.read()
        return printed, perf_counter() - began


def _first_step(command: list[str]) -> float:
    """Seconds until the log tells of the first training step."""
    began = perf_counter()
    with _running(command) as lines:
        next(line for line in lines if json.loads(line)["event"] == "step")
        return perf_counter() - began
