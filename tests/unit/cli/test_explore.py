"""`convscope explore` as a user starts and stops it."""

import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.request
from pathlib import Path

import httpx
import pytest
from PIL import Image

from convscope.cli.explore import _data, _titles

COMMAND = Path(os.sys.executable).with_name("convscope")
SLOW = """
import torch
from torch import nn

def network(num_classes, input_shape):
    layers = [nn.Conv2d(3, 48, 3, padding=1)]
    layers += [nn.Conv2d(48, 48, 3, padding=1) for _ in range(40)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, num_classes))
"""


@pytest.fixture
def slow_network(tmp_path):
    (tmp_path / "slowly.py").write_text(SLOW)
    Image.new("RGB", (300, 260), (9, 99, 199)).save(tmp_path / "blue.png")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_address_when_it_is_ready_and_leaves_with_0_during_a_pass(
    slow_network, number
):
    command = [COMMAND, "explore", "slowly:network", "blue.png", "--no-browser", "--port", "0"]
    with subprocess.Popen(
        command, cwd=slow_network, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", url)
        origin = url.split("/?")[0]
        with urllib.request.urlopen(f"{origin}/health") as response:  # at once
            assert response.status == 200
        begun, lines, half = threading.Event(), [], []

        def ask():
            with httpx.Client(follow_redirects=True, timeout=60) as client:
                client.get(url)
                (cookie,) = client.cookies.jar
                half.append(half_upload(origin, f"{cookie.name}={cookie.value}"))
                with client.stream("GET", f"{origin}/api/pass?image=file-0") as response:
                    for line in response.iter_lines():
                        lines.append(line)
                        begun.set()

        asking = threading.Thread(target=ask)
        asking.start()
        assert begun.wait(120)
        process.send_signal(number)
        assert process.wait(60) == 0
        asking.join(60)
        output, errors = process.communicate()
    assert 'result":{' not in lines[-1]
    assert output == ""
    half[0].close()
    assert "Traceback" not in errors
    assert "Exception" not in errors
    assert "untrained" in errors
    assert len(errors.splitlines()) == 2


def half_upload(origin, cookie):
    """A connection on which a file was begun and goes no further."""
    host = origin.removeprefix("http://")
    name, port = host.split(":")
    half = socket.create_connection((name, int(port)))
    head = f"POST /api/images HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n"
    half.sendall(f"{head}Content-Length: 50000\r\n\r\nab".encode())
    return half


def test_a_port_in_use_is_an_error_that_names_it(convscope, images):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = convscope("explore", "mlp", images, "--port", port, "--no-browser")
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert done.stdout == ""


def test_images_that_are_not_there_and_splits_without_data_are_errors(convscope, tmp_path):
    done = convscope("explore", "mlp", tmp_path, "--no-browser")
    assert done.returncode == 2
    assert "no images in" in done.stderr
    done = convscope("explore", "mlp", "--split", "val", "--no-browser")
    assert done.returncode == 2
    assert "--data" in done.stderr


def test_a_run_brings_its_own_data_and_splits(trained):
    dataset = _data(str(trained), None)
    assert set(dataset.splits.tolist()) == {"train", "val", "test"}


def test_a_run_whose_data_is_gone_is_explored_without(trained, capsys, monkeypatch):
    from convscope.base.errors import DataError

    def gone(*_, **__):
        raise DataError("the folder is gone")

    monkeypatch.setattr("convscope.runs.data.run_dataset", gone)
    assert _data(str(trained), None) is None
    assert "the folder is gone" in capsys.readouterr().err
    with pytest.raises(DataError):
        _data(str(trained), "elsewhere")


def test_runs_of_the_same_name_beside_each_other_have_titles_that_differ(tmp_path):
    first, other, third = tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "c" / "third"
    assert _titles(str(first), [third]) == {first: "run", third: "third"}
    titles = _titles(str(first), [other, third])
    assert titles == {first: str(first), other: str(other), third: "third"}


def test_the_run_itself_cannot_stand_beside_it(convscope, trained):
    done = convscope("explore", trained, "--beside", trained, "--no-browser")
    assert done.returncode == 2
    assert str(trained) in done.stderr
    assert done.stdout == ""


def test_a_run_of_other_classes_beside_is_an_error_that_names_both(
    convscope, trained, tmp_path, monkeypatch
):
    from convscope.runs import folder as runs

    load, other = runs.load, tmp_path / "other"
    shutil.copytree(trained, other)
    strange = dataclasses.replace(load(trained), class_names=tuple(f"c{i}" for i in range(10)))
    monkeypatch.setattr(runs, "load", lambda run: strange if run == other else load(run))
    done = convscope("explore", trained, "--beside", other, "--no-browser")
    assert done.returncode == 2
    assert f"other cannot stand beside {trained.name}" in done.stderr
    assert done.stdout == ""


def test_what_is_no_run_cannot_stand_beside_one(convscope, trained, tmp_path):
    done = convscope("explore", trained, "--beside", tmp_path / "none", "--no-browser")
    assert done.returncode == 2
    assert "none" in done.stderr
