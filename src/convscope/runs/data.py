"""The images of a run with the splits of its training, and changes to them since then."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convscope.base.errors import DataError
from convscope.base.storage import sha256_of
from convscope.data.catalog import open_dataset, open_images
from convscope.data.dataset import Dataset
from convscope.data.split import SKIPPED, SplitRecord, read_split_table
from convscope.evaluation.evaluate import indices_of
from convscope.runs.folder import read_recipe, recorded_split


@dataclass(frozen=True)
class Overlap:
    """Counts of evaluated images that occur in a run's `split.csv`.

    Attributes:
        trained_on: images whose content is that of a training image.
        changed: images whose path occurs with other content.
        relabelled: images whose content occurs only in other classes.
    """

    trained_on: int
    changed: int
    relabelled: int


def run_dataset(run: Path, data: str | None = None, *, unlabelled: bool = False) -> Dataset:
    """The data set of a run, or `data`, with splits.

    The splits are those of the run, if `data` is None or all of its images are images of the run by
    path and content, as in a moved folder. Otherwise they are those of `data`.

    Args:
        run: the run folder.
        data: a path or a name for `open_dataset`.
        unlabelled: whether `data` may be a folder of images without classes, which has no splits.

    Raises:
        DataError: the data cannot be found or read, or the run's `split.csv` is damaged.
    """
    open_data = open_images if unlabelled else open_dataset
    dataset = open_data(data or read_recipe(run).data.source)
    recorded = _read_split_records(run)
    if data is not None and not (dataset.class_names and _same_images(dataset, recorded)):
        return dataset
    names = [recorded[path].split if path in recorded else "" for path in dataset.paths]
    splits = np.array(names, dtype="<U7")
    if not (splits != "").any():
        raise DataError(
            f"{run / 'split.csv'} lists none of the images of {dataset.name}; "
            "give the data set of the run with --data"
        )
    return replace(dataset, splits=splits).subset(np.flatnonzero(splits != SKIPPED))


def images_of(run: Path, data: str | None, split: str | None) -> tuple[Dataset, str]:
    """The images of a split of the run's data set or of `data`, and the name of the split.

    `split` is as for `indices_of`. `data` may also be a folder of images without classes. Its
    classes are not aligned to the run's.

    Raises:
        DataError: as for `run_dataset`, or there is no such split.
    """
    dataset = run_dataset(run, data, unlabelled=True)
    indices, split = indices_of(dataset, split)
    return dataset.subset(indices), split


def overlap(run: Path, dataset: Dataset, indices: np.ndarray) -> Overlap:
    """Compares the content of the images `indices` with the run's `split.csv`."""
    recorded = _read_split_records(run)
    trained = {record.sha256 for record in recorded.values() if record.split == "train"}
    labels: dict[str, set[str]] = {}
    for record in recorded.values():
        labels.setdefault(record.sha256, set()).add(record.label)
    seen = changed = relabelled = 0
    for index in indices.tolist():
        digest = sha256_of(dataset.source.content(index))
        path = dataset.paths[index]
        seen += digest in trained
        changed += path in recorded and recorded[path].sha256 != digest
        label = dataset.class_names[dataset.labels[index]]
        relabelled += label not in labels.get(digest, (label,))
    return Overlap(seen, changed, relabelled)


def _same_images(dataset: Dataset, recorded: dict[str, SplitRecord]) -> bool:
    if not all(path in recorded for path in dataset.paths):
        return False
    return all(
        recorded[path].sha256 == sha256_of(dataset.source.content(index))
        for index, path in enumerate(dataset.paths)
    )


def _read_split_records(run: Path) -> dict[str, SplitRecord]:
    return read_split_table(recorded_split(run).encode(), str(run / "split.csv"))
