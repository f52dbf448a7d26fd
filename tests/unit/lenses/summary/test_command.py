"""`convscope summary`: the table at every width, JSON, own networks, runs, and wrong inputs."""

import doctest
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[4] / "docs"

OWN = """
import torch
from torch import nn

def small(num_classes, input_shape):
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, num_classes),
    )

def reads_values(num_classes, input_shape):
    rates = [float(rate) for rate in torch.linspace(0, 0.5, 3)]
    return nn.Sequential(nn.Dropout(rates[1]), small(num_classes, input_shape))

def broken(num_classes, input_shape):
    return nn.Conv2d(5, 2, 3)
"""


def test_vgg16_says_what_the_guide_says(convscope):
    done = convscope("summary", "vgg16")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for number in (
        "483,388,358,656", "1,792", "36,928", "295,168", "2,359,808", "102,764,544", "16,781,312",
        "4,097,000", "138,357,544", "15,470,264,320", "15,346,630,656", "123,633,664",
        "19,300,736", "105,226,702,848", "212/32/90", "196/16/90", "25,088", "14 x 14",
    ):  # fmt: skip
        assert number in text, number
    for word in ("block 5", "head", "total", "multiply-adds: a multiplication with its addition"):
        assert word in text
    assert "too narrow" not in text


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        (80, {"activations", "dense twin", "memory", "receptive field"}),
        (100, {"activations", "dense twin"}),
        (120, set()),
    ],
)
def test_a_terminal_gets_the_columns_it_has_room_for(monkeypatch, convscope, columns, missing):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = convscope("summary", "vgg16")
    assert done.returncode == 0, done.stderr
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert max(map(len, text.splitlines())) <= columns
    left_out = re.search(r"too narrow for ([a-z, \n-]*);", text)
    named = set(left_out[1].replace("\n", "").split(", ")) if left_out else set()
    assert named == missing
    rows = [line for line in text.splitlines() if re.match(r"  (features|classifier)\.\d", line)]
    assert len(rows) == 31 + 7  # none is folded
    assert "138,357,544" in text


def test_json(convscope):
    done = convscope("summary", "vgg11", "--input", "1x64x48", "--classes", 7, "--json")
    data = json.loads(done.stdout)
    assert (data["name"], data["input_shape"]) == ("vgg11", [1, 64, 48])
    assert data["layers"][-1]["output_shape"] == [7]
    assert data["layers"][0]["parameters"] == 64 * 10
    assert data["comparisons"]["mlp"]["inputs"] == 64 * 48


def test_a_perceptron_has_no_dense_twin(convscope):
    done = convscope("summary", "mlp", "--input", "3x224x224")
    assert "19,429,736" in done.stdout
    assert "dense twin" not in done.stdout
    assert "head" in done.stdout
    assert "block" not in done.stdout


def test_a_run(convscope, trained):
    done = convscope("summary", trained, "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["layers"][-1]["output_shape"] == [10]
    larger = data["input_shape"][:1] + [2 * side for side in data["input_shape"][1:]]
    other = json.loads(
        convscope("summary", trained, "--json", "--input", "x".join(map(str, larger))).stdout
    )
    assert other["input_shape"] == larger
    assert other["totals"]["parameters"] == data["totals"]["parameters"]
    assert other["totals"]["macs"] > data["totals"]["macs"]


def test_a_run_keeps_its_channels_and_classes(convscope, trained):
    done = convscope("summary", trained, "--input", "3x28x28")
    assert done.returncode == 2
    assert "1 channel; give 1x28x28" in done.stderr
    done = convscope("summary", trained, "--classes", 3)
    assert done.returncode == 2
    assert "is a run and has its own classes" in done.stderr


@pytest.mark.parametrize("name", ["small", "reads_values"])
def test_a_network_of_ones_own(convscope, tmp_path, name):
    (tmp_path / "own_summary.py").write_text(OWN)
    arguments = ("--input", "3x20x20", "--classes", 6, "--json")
    done = convscope("summary", f"own_summary:{name}", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"]["parameters"] == 4 * 28 + 6 * 5


def test_a_network_of_ones_own_that_does_not_take_the_input(convscope, tmp_path):
    (tmp_path / "own_summary.py").write_text(OWN)
    done = convscope("summary", "own_summary:broken", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be captured" in done.stderr
    assert "channels" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vgg16", "--input", "224x224"), "--input '224x224': give channels x height x width"),
        (("vgg16", "--input", "3x0x224"), "each at least 1"),
        (("vgg16", "--input", "3,224,224"), "as 3x224x224"),
        (("vgg16", "--input", "3x-1x224"), "as 3x224x224"),
        (("vgg16", "--input", "3x99999999x99999999"), "at most 4,096 pixels"),
        (("vgg16", "--input", "3x16x16"), "too small"),
        (("vgg17",), "'vgg17' is neither a run folder nor a network"),
        (("no/such/run",), "does not exist"),
        (("no.module:here",), "cannot import"),
        (("vgg16", "--classes", "0"), "--classes"),
    ],
)
def test_wrong_inputs_are_named(convscope, arguments, words):
    done = convscope("summary", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_guide_shows_what_is_printed(convscope):
    text = (DOCS / "lenses/summary.md").read_text()
    for command, shown in re.findall(r"```\n\$ convscope (.*)\n((?:.*\n)*?)```", text):
        printed = convscope(*command.split()).stdout.splitlines()
        lines = [line for line in shown.splitlines() if line != "..."]
        assert len(lines) > 10
        missing = {line.rstrip() for line in lines} - {line.rstrip() for line in printed}
        assert not missing


def test_the_errata_hold(convscope):
    page = DOCS / "errata.md"
    assert doctest.testfile(str(page), module_relative=False).failed == 0
    text = page.read_text()
    assert text.count(">>>") > 10
    for command, number in re.findall(r"`convscope ([^`]*)` prints ([\d,]+)", text):
        assert number in convscope(*command.split()).stdout, command
