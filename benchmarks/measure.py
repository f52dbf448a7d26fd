"""Interleaved repeats and what is said of them.

Every figure of a row comes from the same rounds: in each round all contenders run one after the
other, and the ratio is taken within the round, so that a machine that slows down halfway slows both
sides down.
"""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured.
        ours, peer: the values of each round, in `unit`; `peer` is empty where there is none.
        ours_is, peer_is: who they are.
        unit: of the values.
        higher_is_better: false for times.
        note: what a reader must know, or why there is no peer.
        extra: more figures for the JSON file.
    """

    name: str
    ours: Sequence[float]
    peer: Sequence[float]
    ours_is: str
    peer_is: str
    unit: str
    higher_is_better: bool = True
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> list[float]:
        """Ours / peer, round by round."""
        return [a / b for a, b in zip(self.ours, self.peer, strict=True)] if self.peer else []

    def as_json(self) -> dict[str, Any]:
        """All values, and the medians that the table shows."""
        ratios = self.ratios
        summary = {
            "n": len(self.ours),
            "ours_median": median(self.ours),
            "peer_median": median(self.peer) if self.peer else None,
            "ratio_median": median(ratios) if ratios else None,
            "ratio_min": min(ratios, default=None),
            "ratio_max": max(ratios, default=None),
        }
        return {**asdict(self), "ratios": ratios, **summary}


def command_seconds(*words: str) -> float:
    """How long a command takes, in seconds of wall time."""
    began = perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return perf_counter() - began


def interleaved(
    contenders: dict[str, Callable[[], float]], rounds: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """What each contender returned in each round, after `warm_up` rounds that do not count.

    A contender does a fixed piece of work and returns its rate or its seconds. Every other round
    goes backwards: who runs right after a matrix product finds a slower processor (4 % here).
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warm_up + rounds):
        names = list(contenders)
        for name in names if number % 2 else reversed(names):
            value = contenders[name]()
            if number >= warm_up:
                values[name].append(value)
    return values
