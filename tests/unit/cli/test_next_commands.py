"""The commands that `train` and `evaluate` propose, for every layout of a data set."""

import re
import shlex
import signal
import subprocess

import pytest

from command import COMMAND, QUICK
from folders import class_folders

LAYOUTS = {
    "class folders": [""],
    "train and val": ["train", "val"],
    "train and test": ["train", "test"],
    "all splits": ["train", "val", "test"],
}
OF_OTHERS = ("tensorboard", "xdg-open")


def proposed(output):
    """The commands after the line "next:"."""
    _, _, after = output.partition("\nnext:\n")
    return [shlex.split(line) for line in after.splitlines() if line.startswith("  ")]


def explored(arguments, cwd):
    """The exit code of an explorer that has printed its address and is then stopped."""
    command = [COMMAND, *arguments, "--no-browser"]
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("http://")
        process.send_signal(signal.SIGTERM)
        return process.wait(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_proposed_command_works(convscope, tmp_path, layout):
    for seed, split in enumerate(LAYOUTS[layout]):
        class_folders(tmp_path / "photos" / split, ["cat", "dog"], 14, seed)
    other = class_folders(tmp_path / "other", ["cat", "dog"], 3, seed=9)
    image = str(next((other / "cat").iterdir()))
    done = convscope("train", "photos", "--epochs", 1, *QUICK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    waiting, tried = proposed(done.stdout), []
    while waiting:
        program, *arguments = waiting.pop(0)
        filled = {"IMAGE...": image, "OTHER_IMAGES": str(other)}
        arguments = [filled.get(one, one) for one in arguments]
        if program in OF_OTHERS or arguments in tried:
            continue
        tried.append(arguments)
        assert program == "convscope"
        if arguments[0] == "explore":
            assert explored(arguments, tmp_path) == 0
            continue
        done = convscope(*arguments, cwd=tmp_path)
        assert done.returncode == 0, (arguments, done.stderr)
        waiting += proposed(done.stdout)
    assert {arguments[0] for arguments in tried} == {"evaluate", "explore", "predict"}


def test_without_a_test_split_the_validation_images_are_used_and_it_is_said(convscope, tmp_path):
    for seed, split in enumerate(("train", "val")):
        class_folders(tmp_path / "photos" / split, ["cat", "dog"], 10, seed)
    run = tmp_path / "run"
    done = convscope("train", tmp_path / "photos", "--epochs", 1, *QUICK, "--out", run)
    assert done.returncode == 0, done.stderr
    chosen_on = "the epoch with the best weights was chosen on the validation images"
    for command in (
        ["evaluate", run], ["shift", run, "--max-shift", 1, "--images", 4], ["atlas", run]
    ):  # fmt: skip
        done = convscope(*command)
        assert done.returncode == 0, (command, done.stderr)
        assert re.search(r"\bval\b", done.stdout + done.stderr), command
        assert (chosen_on in done.stderr) == (command[0] != "atlas")
    assert chosen_on not in convscope("evaluate", run, "--data", tmp_path / "photos").stderr
