"""The environment of a run: the code, libraries and machine on which results depend."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from convscope import __version__
from convscope.base.device import num_cpus
from convscope.base.errors import ConvscopeError
from convscope.base.storage import read_json

_LIBRARIES = ("torch", "numpy", "pillow", "simplejpeg", "safetensors", "scikit-learn")


def environment() -> dict[str, Any]:
    """The current environment as JSON-ready values."""
    return {
        "convscope": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": num_cpus(),
        "torch_threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": sys.argv,
        "variables": {k: v for k, v in os.environ.items() if k.startswith(("OMP_", "MKL_"))},
    }


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Differences of two environments that may change the last bits of results, one line each."""
    keys = ("convscope", "commit", "processor", "torch_threads", "cpu_capability", "gpu")
    pairs = [(key, before.get(key), now.get(key)) for key in keys]
    libraries = before.get("libraries", {}), now.get("libraries", {})
    pairs += [(name, libraries[0].get(name), libraries[1].get(name)) for name in _LIBRARIES]
    return [f"{name}: {now} instead of {then}" for name, then, now in pairs if then != now]


def changes_since(path: Path) -> list[str]:
    """`changes` from the environment in the file `path` (`environment.json`) to the current one."""
    try:
        before = read_json(path)
    except ConvscopeError:
        before = None
    if not isinstance(before, dict) or not isinstance(before.get("libraries"), dict):
        return [f"{path} cannot be read: the environment of the run is unknown"]
    return changes(before, environment())


def _commit() -> str | None:
    """The commit of this code, if it runs from a checkout of its repository."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
