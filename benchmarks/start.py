"""How long `convscope --help` takes, beside a Python that does nothing."""

import subprocess
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.measure import Row, interleaved


def measure(rounds: int) -> list[Row]:
    """One row, in seconds of wall time."""
    command = Path(sys.executable).with_name("convscope")

    def timed(*words: str) -> float:
        began = perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        return perf_counter() - began

    values = interleaved(
        {
            "ours": lambda: timed(str(command), "--help"),
            "peer": lambda: timed(sys.executable, "-c", "pass"),
        },
        rounds,
    )
    row = Row(
        "start: `convscope --help`", values["ours"], values["peer"], "convscope --help",
        "python -c pass", "s", higher_is_better=False,
    )  # fmt: skip
    return [row]
