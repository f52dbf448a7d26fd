"""The Keras peer's environment and its process."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ENVIRONMENT = _HERE.parent / ".peers" / "keras"
_PACKAGES = ("keras", "tensorflow-cpu")


class PeerError(Exception):
    """The peer cannot be measured; the message says why."""


class KerasProcess:
    """`peer_keras.py` at work, told how many steps to train."""

    def __init__(self, python: Path, data: Path, settings: dict[str, Any]) -> None:
        command = [str(python), str(_HERE / "peer_keras.py"), str(data), json.dumps(settings)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.about = self._answer()

    def train(self, steps: int) -> dict[str, float]:
        """Trains `steps` more; {"seconds", "loss"}."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Ends the process: it stops where its input ends."""
        self._process.communicate(timeout=60)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, errors = self._process.communicate()
            raise PeerError(f"Keras stopped: {_last_line(errors)}")
        return json.loads(line)


def keras_python() -> Path:
    """The interpreter of the environment with Keras; made where it is missing or out of date.

    Raises:
        PeerError: it cannot be made, with pip's last line.
    """
    constraints = _HERE / "peers-constraints.txt"
    stamp, python = _ENVIRONMENT / "stamp", _ENVIRONMENT / "bin" / "python"
    wanted = hashlib.sha256(constraints.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    print("making .peers/keras (about a minute, once)", flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(_ENVIRONMENT)],
        [*pip, *_PACKAGES],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
        except subprocess.CalledProcessError as error:
            raise PeerError(f"cannot install Keras: {_last_line(error.stderr)}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PeerError(f"cannot install Keras: {error}") from error
    stamp.write_text(wanted)
    return python


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
