"""Old spellings of options: rewritten for their own command alone, and named."""

import json

import pytest

from convscope.cli.old_spellings import current


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("atlas run --layers a,b", "atlas run --layer a,b"),
        ("atlas run --layers=blocks --top 3", "atlas run --layer=blocks --top 3"),
        ("import f.pth --classes names.txt", "import f.pth --class-names names.txt"),
        ("predict run a.png --format json", "predict run a.png --json"),
        ("predict run --format=json a.png", "predict run --json a.png"),
        ("shift run --border circular", "shift run --border wrap"),
        ("kernel a.png --border=circular", "kernel a.png --border wrap"),
    ],
)
def test_old_spellings_are_rewritten_and_named(capsys, before, now):
    assert current(before.split()) == now.split()
    assert " is now --" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "", "--help", "summary vgg16 --classes 10", "predict run a.png --format csv",
        "shift run --border edge", "filters run --layers x", "predict run -- --format json",
        "predict run --format",
    ],
)  # fmt: skip
def test_everything_else_is_left_alone(capsys, text):
    assert current(text.split()) == text.split()
    assert capsys.readouterr().err == ""


def test_the_command_takes_them(convscope, trained, images):
    old = convscope("predict", trained, images / "00.png", "--format", "json")
    new = convscope("predict", trained, images / "00.png", "--json")
    assert (old.returncode, new.returncode) == (0, 0), old.stderr + new.stderr
    assert json.loads(old.stdout) == json.loads(new.stdout)
    assert "--format json is now --json" in old.stderr
    assert new.stderr == ""
    assert "table|csv|parquet>" in convscope("predict", "--help").stdout
