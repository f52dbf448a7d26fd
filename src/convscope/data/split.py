"""Stratified, seeded train/val/test splits, stored as `split.csv` with a SHA-256 per image."""

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from convscope.base.errors import DataError
from convscope.data.dataset import SPLITS, Dataset

MAX_VALIDATION = 5_000
COLUMNS = ("path", "label", "split", "sha256")
SKIPPED = "skipped"  # the split of an unreadable image that was left out


def assign_splits(dataset: Dataset, seed: int, val: float | None, test: float | None) -> np.ndarray:
    """Assigns each image to "train", "val" or "test", (n,).

    Splits of the data set are kept. A missing validation split is held out of the training images:
    the share `val`, or by default a tenth, at most 5,000 images. A missing test split is held out
    (by default 15 %) if the data set has no split at all or `test` is given; a data set with
    train and val but without test gets none.

    Args:
        dataset: the data set, n images.
        seed: the same seed gives the same splits.
        val: share of the training images, 0..1; None takes the default.
        test: share of all images, 0..1; None takes the default.

    Raises:
        DataError: a class has no training images left, or there are none for validation.
    """
    splits = dataset.splits.copy()
    given = set(splits.tolist()) - {""}
    splits[splits == ""] = "train"
    generator = np.random.default_rng([seed, 0x5911])
    if "test" not in given and (not given or test is not None):
        count = round((0.15 if test is None else test) * len(splits))
        splits[stratified_sample(dataset.labels, splits == "train", count, generator)] = "test"
    if "val" not in given:
        pool = int((splits == "train").sum())
        count = min(pool // 10, MAX_VALIDATION) if val is None else round(val * pool)
        splits[stratified_sample(dataset.labels, splits == "train", max(1, count), generator)] = (
            "val"
        )
    check_splits(dataset, splits)
    return splits


def check_splits(dataset: Dataset, splits: np.ndarray) -> None:
    """Checks that every class has training images, and that there are validation images.

    Raises:
        DataError: a class has no training images left, or there are none for validation.
    """
    counts = np.bincount(dataset.labels[splits == "train"], minlength=len(dataset.class_names))
    empty = [dataset.class_names[i] for i in np.flatnonzero(counts == 0)]
    if empty:
        raise DataError(
            f"{dataset.name}: no training image left for {', '.join(empty)}; add images of these "
            "classes, or hold out fewer"
        )
    if not (splits == "val").any():
        raise DataError(
            f"{dataset.name}: too few images to hold any out for validation; add images "
            "or a val folder"
        )


def stratified_sample(
    labels: np.ndarray, pool: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """A stratified random sample: about `count` sorted indices, each class in proportion.

    Fractions of an image go to the classes with the largest ones, and among equal fractions by
    chance (the method of largest remainders, with ties drawn). At least one image of each class
    stays in the pool; what it cannot give, other classes give.

    Args:
        labels: (n,) class indices.
        pool: (n,) mask of the images to sample from.
        count: the number of images to sample.
        generator: the source of random numbers.
    """
    candidates = np.flatnonzero(pool)
    if not len(candidates):
        return candidates.astype(np.int64)
    sizes = np.bincount(labels[candidates])
    take = _shares(sizes, count, generator.spawn(1)[0])
    chosen = [
        generator.permutation(candidates[labels[candidates] == label])[: take[label]]
        for label in range(len(sizes))
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _shares(sizes: np.ndarray, count: int, ties: np.random.Generator) -> np.ndarray:
    """How many images each class gives, (classes,): `count` in all, or as many as can be given."""
    most = np.maximum(sizes - 1, 0)
    exact = sizes * (count / sizes.sum())
    take = np.minimum(np.floor(exact).astype(int), most)
    by_chance = ties.permutation(len(sizes))
    order = by_chance[np.argsort(-(exact - take)[by_chance], kind="stable")]
    while (missing := count - int(take.sum())) > 0 and (take < most).any():
        able = order[(take < most)[order]]
        take[able[:missing]] += 1
    return take


def stratified_subset(
    labels: np.ndarray, train: np.ndarray, fraction: float, seed: int
) -> np.ndarray:
    """A stratified random subset of the training images: sorted indices, every class present.

    Args:
        labels: (n,) class indices.
        train: (m,) indices of the training images.
        fraction: share of them to keep, 0..1.
        seed: the same seed gives the same subset.
    """
    if fraction >= 1:
        return train
    pool = np.zeros(len(labels), bool)
    pool[train] = True
    count = max(1, round(fraction * len(train)))
    kept = stratified_sample(labels, pool, count, np.random.default_rng([seed, 0xF4AC]))
    missing = sorted(set(labels[train].tolist()) - set(labels[kept].tolist()))
    drawn = np.random.default_rng([seed, 0xF4AD])
    more = [int(drawn.choice(train[labels[train] == label])) for label in missing]
    return np.sort(np.concatenate([kept, np.array(more, np.int64)]))


def split_table(dataset: Dataset, splits: np.ndarray, hashes: Sequence[str]) -> str:
    """The content of `split.csv`: path, class name, split and SHA-256 of each image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i, path in enumerate(dataset.paths):
        writer.writerow((path, dataset.class_names[dataset.labels[i]], splits[i], hashes[i]))
    return text.getvalue()


class SplitRecord(NamedTuple):
    """Class name, split and SHA-256 of an image in `split.csv`."""

    label: str
    split: str
    sha256: str


def read_split_table(content: bytes, where: str) -> dict[str, SplitRecord]:
    """Parses the content of a run's `split.csv`; returns a record per path.

    Raises:
        DataError: the content is not such a table. The message names `where`.
    """
    rows = list(csv.reader(io.StringIO(content.decode(errors="replace"))))
    if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise DataError(f"{where} is not a table with the columns {', '.join(COLUMNS)}")
    unknown = {row[2] for row in rows[1:]} - {*SPLITS, SKIPPED}
    if unknown:
        raise DataError(
            f"{where} has unknown splits: {', '.join(sorted(unknown))}; "
            f"allowed are {', '.join((*SPLITS, SKIPPED))}"
        )
    return {path: SplitRecord(*record) for path, *record in rows[1:]}


def differences(recorded: str, current: str) -> list[str]:
    """The differences of two split tables, as `split_table` writes them: a line per kind of change.

    Empty if both have the same images with the same classes, splits and content.
    """
    before, now = (_rows_by_path(text) for text in (recorded, current))
    both = [path for path in before if path in now]
    lines = [
        _change("missing", [path for path in before if path not in now]),
        _change("new", [path for path in now if path not in before]),
        _change("changed in content", [path for path in both if before[path][2] != now[path][2]]),
    ]
    if any(lines[:2]):  # with other images the splits are drawn differently: do not list them all
        return [line for line in lines if line]
    for position, column in enumerate(COLUMNS[1:3]):
        lines.append(
            _change(
                f"with another {column}",
                [
                    f"{path}: {before[path][position]} is now {now[path][position]}"
                    for path in both
                    if before[path][position] != now[path][position]
                ],
            )
        )
    return [line for line in lines if line]


def _change(what: str, images: list[str]) -> str:
    more = ", ..." if len(images) > 3 else ""
    return f"{len(images):,} {what} ({', '.join(images[:3])}{more})" if images else ""


def _rows_by_path(table: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in csv.reader(io.StringIO(table)) if len(row) == len(COLUMNS)}
