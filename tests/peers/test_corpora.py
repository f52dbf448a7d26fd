"""Other projects' hostile images: read or refused in one line; no crash, no hang, little memory.

`tools/get-corpora` fetches them. Where they are missing, these tests are skipped, but fail in CI.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CORPORA = Path(__file__).parents[2] / ".peers" / "corpora"
LEAST = {"pillow": 1000, "gdk-pixbuf": 290}

# A process of its own: what crashes or hangs in a decoder written in C ends it, not the test run.
# SIGALRM is left to the system, which ends the process even inside such a decoder.
READER = """
import json, re, resource, signal, sys, warnings
from pathlib import Path
warnings.filterwarnings("ignore", module="PIL")
from convscope.base.errors import UnreadableImageError
from convscope.images.files import read_image
def peak():  # Linux hands the parent's ru_maxrss on to its children
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for line in sys.stdin:
    path = json.loads(line)
    signal.alarm(10)
    try:
        pixels, reason = read_image(Path(path), 3), None
        assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == "uint8" and pixels.size
    except UnreadableImageError as error:
        reason = error.reason
    print(json.dumps([path, reason, peak()]), flush=True)
"""


def images(name):
    files = sorted(p for p in (CORPORA / name).rglob("*") if p.is_file())
    if not files:
        assert "CI" not in os.environ, "run tools/get-corpora first: CI does not skip these tests"
        pytest.skip(f"no {CORPORA / name}: run tools/get-corpora")
    assert len(files) >= LEAST[name]
    return files


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST)
def test_every_file_is_read_or_refused_in_one_line(name, record_property):
    files = images(name)
    done = subprocess.run(
        [sys.executable, "-c", READER], capture_output=True, text=True, check=False,
        input="".join(json.dumps(str(file)) + "\n" for file in files),
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{files[len(answers)]} ended the reader: {done.stderr[-2000:]}"
    assert [path for path, _, _ in answers] == [str(file) for file in files]
    reasons = [reason for _, reason, _ in answers if reason is not None]
    assert all(reason and reason.isprintable() and len(reason) < 200 for reason in reasons)
    peak = max(peak for _, _, peak in answers)
    assert peak < 1_000_000_000
    read = len(files) - len(reasons)
    assert min(read, len(reasons)) > 100
    record_property("read, refused, peak bytes", (read, len(reasons), peak))
    print(f"{name}: {read} read, {len(reasons)} refused, peak {peak / 1e6:.0f} MB")


@pytest.mark.slow
def test_the_command_says_something_of_every_file(tmp_path):
    """`predict` over all of them by standard input: exit code 3, a row each, no traceback."""
    files = [file for name in LEAST for file in images(name)]
    command = Path(sys.executable).with_name("convscope")
    run = tmp_path / "run"
    small = ["--set", "model.options.head=[16]", "--set", "model.options.widths=[4,4,8]"]
    train = ["train", "digits", "--epochs", "1", *small]
    subprocess.run([command, *train, "--out", run], check=True, capture_output=True)
    done = subprocess.run(
        [command, "predict", run, "-", "--format", "csv"],
        input="".join(f"{file}\n" for file in files), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == len(files) + 1
