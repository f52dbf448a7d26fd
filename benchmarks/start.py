"""How long `convscope --help` takes, beside a Python that does nothing."""

import sys
from pathlib import Path

from benchmarks.measure import Row, command_seconds, interleaved


def measure(rounds: int) -> list[Row]:
    """One row, in seconds of wall time."""
    command = Path(sys.executable).with_name("convscope")

    values = interleaved(
        {
            "ours": lambda: command_seconds(str(command), "--help"),
            "peer": lambda: command_seconds(sys.executable, "-c", "pass"),
        },
        rounds,
    )
    row = Row(
        "start: `convscope --help`", values["ours"], values["peer"], "convscope --help",
        "python -c pass", "s", higher_is_better=False,
    )  # fmt: skip
    return [row]
