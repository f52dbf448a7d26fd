"""`python -m benchmarks [--quick] [--only NAME ...]`: measures, prints and writes the results."""

import argparse
from collections.abc import Callable
from time import perf_counter

from benchmarks import atlas, epoch, evaluation, explorer, report, seeing, start, training
from benchmarks.machine import facts
from benchmarks.measure import Row

Measurements = dict[str, Callable[[], list[Row]]]

_FULL: Measurements = {
    "training-small": lambda: training.measure((16, 32, 64), steps=40, rounds=9),
    "training-wide": lambda: training.measure((32, 64, 128), steps=20, rounds=9),
    "evaluation": lambda: evaluation.measure(2_000, rounds=5),
    "epoch": lambda: epoch.measure(10_000, rounds=3),
    "start": lambda: start.measure(rounds=9),
    "seeing": lambda: seeing.measure(rounds=5),
    "explorer": lambda: explorer.measure(rounds=5),
    "atlas": lambda: atlas.measure(10_000, rounds=3),
}
_QUICK: Measurements = {
    "training-small": lambda: training.measure((16, 32, 64), steps=8, rounds=3),
    "training-wide": lambda: training.measure((32, 64, 128), steps=4, rounds=3),
    "evaluation": lambda: evaluation.measure(500, rounds=2),
    "epoch": lambda: epoch.measure(2_000, rounds=2),
    "start": lambda: start.measure(rounds=3),
    "seeing": lambda: seeing.measure(rounds=2),
    "explorer": lambda: explorer.measure(rounds=2),
    "atlas": lambda: atlas.measure(2_000, rounds=2),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", nargs="+", choices=list(_FULL), help="only some of them")
    asked = parser.parse_args()
    machine, began = facts(), perf_counter()
    measurements = _QUICK if asked.quick else _FULL
    measured: dict[str, list[Row]] = {}
    for name in asked.only or measurements:
        started = perf_counter()
        measured[name] = measurements[name]()
        print(f"{name}: {perf_counter() - started:.0f} s", flush=True)
        print("\n".join(report.table(measured[name])[2:]), flush=True)
    if asked.quick and asked.only:
        return  # a look at some: nothing to keep
    print(f"written: {report.write(measured, machine, asked.quick, perf_counter() - began)}")


if __name__ == "__main__":
    main()
