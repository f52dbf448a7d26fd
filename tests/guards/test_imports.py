"""What commands import before they answer: heavy libraries load when they are needed."""

import json
import os
import subprocess
import sys

import pytest

COMPILER = {"torch._dynamo", "torch._inductor", "sympy"}
FIGURES = {"matplotlib", "sklearn", "scipy.stats", "pyarrow", "h5py", "tensorboard"}
WEB = {"fastapi", "uvicorn", "starlette"}
# Prints the modules that were imported when the first training step is told of, or at the end.
WATCHED = """
import json, sys
def tell(*_):
    print("MODULES" + json.dumps(sorted(sys.modules)), file=sys.stderr)
    sys.stderr.flush()
    import os
    os._exit(0)
if "--json-log" in sys.argv:
    import builtins
    say = builtins.print
    def watch(text="", *more, **settings):
        tell() if '"event": "step"' in str(text) else say(text, *more, **settings)
    builtins.print = watch
from convscope.cli.app import main
try:
    main()
finally:
    tell()
"""


def imported(cache, *arguments):
    environment = {**os.environ, "CONVSCOPE_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *map(str, arguments)], env=environment,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    text = done.stderr.rpartition("MODULES")[2]
    assert text, done.stderr
    return set(json.loads(text.splitlines()[0]))


def test_the_help_needs_no_library_of_numbers(tmp_path):
    modules = imported(tmp_path, "--help")
    heavy = {"torch", "numpy", "pydantic", "rich", "PIL", *FIGURES, *WEB}
    assert modules & heavy == set()
    assert not [name for name in modules if name.startswith("convscope.lenses.summary")]


@pytest.mark.slow
def test_a_summary_needs_the_compiler_once(tmp_path):
    first = imported(tmp_path, "summary", "vgg16")
    assert first >= COMPILER  # this is how torch exports a graph; if not, tell the documentation
    second = imported(tmp_path, "summary", "vgg16")
    assert second & (COMPILER | FIGURES | WEB) == set()
    assert "torch" in second


def test_the_first_training_step_needs_no_compiler(tmp_path):
    modules = imported(
        tmp_path, "train", "digits", "--epochs", 1, "--json-log", "--out", tmp_path / "run"
    )
    assert "convscope.training.loop" in modules
    assert modules & (COMPILER | FIGURES | WEB) == set()


@pytest.mark.slow
def test_the_explorer_starts_without_figures(trained, tmp_path):
    code = f"""
import json, sys
import convscope
model = convscope.load({str(trained)!r})
def opened():
    with convscope.explore(model, browser=False, run={str(trained)!r}):
        return set(sys.modules)
opened()
"""
    environment = {**os.environ, "CONVSCOPE_CACHE": str(tmp_path)}
    again = code + "print(json.dumps(sorted(opened())))"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=300)
    done = subprocess.run(
        [sys.executable, "-c", again], env=environment, check=True, timeout=300,
        capture_output=True, text=True,
    )  # fmt: skip
    modules = set(json.loads(done.stdout))
    assert modules >= WEB
    assert modules & (COMPILER | FIGURES) == set()
