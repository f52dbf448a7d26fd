"""Who is trained on, who is held out: stratified, seeded, saved with a SHA-256 per image."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from convscope.base.errors import DataError
from convscope.data.dataset import SPLITS, Dataset

MAX_VALIDATION = 5_000
COLUMNS = ("path", "label", "split", "sha256")
SKIPPED = "skipped"  # in a split table: cannot be read, and was left out


def assign_splits(dataset: Dataset, seed: int, val: float | None, test: float | None) -> np.ndarray:
    """One of "train", "val", "test" for every image, (n,).

    Splits that the data brings are kept. A missing validation split is held out of the training
    images: the share `val`, or by default a tenth, at most 5,000. A missing test split is held out
    (default 15 %) only where the data brings no split at all; a train/val folder without a test
    split has none.

    Raises:
        DataError: a class has no image left to train on, or none are left for validation.
    """
    splits = dataset.splits.copy()
    given = set(splits.tolist()) - {""}
    splits[splits == ""] = "train"
    generator = np.random.default_rng([seed, 0x5911])
    if "test" not in given and (not given or test is not None):
        count = round((0.15 if test is None else test) * len(splits))
        splits[held_out(dataset.labels, splits == "train", count, generator)] = "test"
    if "val" not in given:
        pool = int((splits == "train").sum())
        count = min(pool // 10, MAX_VALIDATION) if val is None else round(val * pool)
        splits[held_out(dataset.labels, splits == "train", max(1, count), generator)] = "val"
    check_splits(dataset, splits)
    return splits


def check_splits(dataset: Dataset, splits: np.ndarray) -> None:
    """Whether there is something to train on and to validate with.

    Raises:
        DataError: a class has no image left to train on, or none are left for validation.
    """
    counts = np.bincount(dataset.labels[splits == "train"], minlength=len(dataset.class_names))
    empty = [dataset.class_names[i] for i in np.flatnonzero(counts == 0)]
    if empty:
        raise DataError(f"{dataset.name}: no training image left for {', '.join(empty)}")
    if not (splits == "val").any():
        raise DataError(
            f"{dataset.name}: too few images to hold any out for validation; add images, "
            "or a val folder of your own"
        )


def held_out(
    labels: np.ndarray, pool: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Indices of `count` images out of `pool` (a mask), each class in proportion, sorted.

    Every class keeps at least one image in the pool.
    """
    candidates = np.flatnonzero(pool)
    if not len(candidates):
        return candidates.astype(np.int64)
    sizes = np.bincount(labels[candidates])
    exact = sizes * (count / max(1, len(candidates)))
    take = np.floor(exact).astype(int)
    remainder = np.argsort(-(exact - take), kind="stable")[: max(0, count - int(take.sum()))]
    take[remainder] += 1
    take = np.minimum(take, np.maximum(sizes - 1, 0))
    chosen = [
        generator.permutation(candidates[labels[candidates] == label])[: take[label]]
        for label in range(len(sizes))
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def thinned(labels: np.ndarray, train: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """The share `fraction` of the training indices `train`, each class in proportion."""
    if fraction >= 1:
        return train
    pool = np.zeros(len(labels), bool)
    pool[train] = True
    count = max(1, round(fraction * len(train)))
    kept = held_out(labels, pool, count, np.random.default_rng([seed, 0xF4AC]))
    missing = sorted(set(labels[train].tolist()) - set(labels[kept].tolist()))
    first = [int(train[labels[train] == label][0]) for label in missing]
    return np.sort(np.concatenate([kept, np.array(first, np.int64)]))


def split_table(dataset: Dataset, splits: np.ndarray, hashes: Sequence[str]) -> str:
    """The run's `split.csv`: path, class name, split and SHA-256 of every image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i, path in enumerate(dataset.paths):
        writer.writerow((path, dataset.class_names[dataset.labels[i]], splits[i], hashes[i]))
    return text.getvalue()


class Recorded(NamedTuple):
    """What a split table says of an image."""

    label: str
    split: str
    sha256: str


def read_split_table(content: bytes, where: str) -> dict[str, Recorded]:
    """What a run's `split.csv` says of each path.

    Raises:
        DataError: `where` is not such a table.
    """
    rows = list(csv.reader(io.StringIO(content.decode(errors="replace"))))
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise DataError(f"{where} is no table of {', '.join(COLUMNS)}")
    unknown = {row[2] for row in rows[1:]} - {*SPLITS, SKIPPED}
    if unknown:
        raise DataError(f"{where} has unknown splits: {', '.join(sorted(unknown))}")
    return {path: Recorded(*record) for path, *record in rows[1:]}


def differences(recorded: str, found: str) -> list[str]:
    """What has become of the images of one split table in another, one line a kind of change.

    Both as `split_table` writes them. Empty where they say the same of every image.
    """
    before, now = (_rows(text) for text in (recorded, found))
    both = [path for path in before if path in now]
    lines = [
        _change("gone", [path for path in before if path not in now]),
        _change("new", [path for path in now if path not in before]),
        _change("changed in content", [path for path in both if before[path][2] != now[path][2]]),
    ]
    if any(lines[:2]):  # other images, other draws: what else differs follows from them
        return [line for line in lines if line]
    for place, column in enumerate(COLUMNS[1:3]):
        lines.append(
            _change(
                f"of another {column}",
                [
                    f"{path}: {before[path][place]} is now {now[path][place]}"
                    for path in both
                    if before[path][place] != now[path][place]
                ],
            )
        )
    return [line for line in lines if line]


def _change(what: str, images: list[str]) -> str:
    more = ", ..." if len(images) > 3 else ""
    return f"{len(images):,} {what} ({', '.join(images[:3])}{more})" if images else ""


def _rows(table: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in csv.reader(io.StringIO(table)) if len(row) == len(COLUMNS)}
