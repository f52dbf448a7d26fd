"""Ctrl-C and SIGTERM before a command has handlers of its own."""

import signal
import subprocess
import sys

import pytest

# Raised in a destructor, the exit is dropped by Python; the command goes on, here to sleep.
SWALLOWED = """
import os, time
from convscope import __main__ as begin
begin._AGAIN = 0.2
class Closing:
    def __del__(self):
        os.kill(os.getpid(), {number})
def command():
    Closing()
    print("dropped", flush=True)
    try:
        time.sleep(60)
    finally:
        print("closed", flush=True)
import convscope.cli.app
convscope.cli.app.main = command
begin.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_exit_that_python_drops_is_asked_for_again(number):
    code = SWALLOWED.format(number=int(number))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 128 + number, done.stderr
    assert done.stdout.split() == ["dropped", "closed"]
    assert done.stderr.startswith("convscope: stopped\n")


LOADING = """
import builtins, os
import convscope.__main__ as begin
load = builtins.__import__
def stopped(name, *more):
    if name == "convscope.cli.app":
        os.kill(os.getpid(), 2)
    return load(name, *more)
builtins.__import__ = stopped
begin.main()
"""


def test_stopped_while_it_is_loading():
    done = subprocess.run(
        [sys.executable, "-c", LOADING], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (130, "convscope: stopped\n")
