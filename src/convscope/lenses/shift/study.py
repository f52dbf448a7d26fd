"""Runs compared under shifts of the same images, with their cost and accuracy."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.base.errors import ConvscopeError, DataError
from convscope.base.prefetch import prefetch_map
from convscope.base.storage import read_lines
from convscope.base.tensors import Pixels
from convscope.data.dataset import Dataset
from convscope.data.split import SKIPPED, read_split_table, stratified_sample
from convscope.evaluation.evaluate import indices_of
from convscope.evaluation.predictions import predictions_of
from convscope.explorer.problem import printable
from convscope.graph.comparisons import DenseTwin, comparisons
from convscope.graph.graph_of import graph_of
from convscope.images.borders import Border
from convscope.lenses.shift.compute import ShiftTable, check_shift, shift_tables
from convscope.lenses.shift.layers import layer_shifts, whole_distance
from convscope.lenses.shift.result import LayerShifts
from convscope.lenses.shift.statistics import Estimate, changed, difference_of, gap_of, share_of
from convscope.nets.catalog import num_parameters
from convscope.nets.classifier import BATCH_SIZE, Classifier
from convscope.runs.data import overlap, run_dataset
from convscope.runs.folder import load, read_status, recorded_split

_SEED = 0
_FITTED = 10_000
_IN_LAYERS = 128
_EPOCH = ("stage", "step", "epoch", "seconds")
_SAME = ("size", "resize", "fit", "channels")


@dataclass(frozen=True)
class Fit:
    """What a run cost, and its accuracy on training and test images.

    Attributes:
        weights: the network's, as `Graph.digest`.
        parameters: values that training changed.
        seconds_per_epoch: median over the complete epochs, validation included; None where no epoch
            was complete, or the weights were imported.
        train: accuracy on training images, without augmentation.
        test: accuracy on test images.
        gap: train less test, of two independent samples.
        first_convolution: its parameters, and those of a dense layer of its shapes.
    """

    weights: str
    parameters: int
    seconds_per_epoch: float | None
    train: Estimate | None
    test: Estimate
    gap: Estimate | None
    first_convolution: DenseTwin | None


@dataclass(frozen=True, eq=False)
class RunShift:
    """One run: every shift of every image, its layers, and its fit.

    `trained_on` counts the shifted images that have the content of one the run was trained on.
    """

    run: str
    network: str
    table: ShiftTable
    layers: tuple[LayerShifts, ...]
    fit: Fit
    trained_on: int


@dataclass(frozen=True)
class Difference:
    """A run's figures less those of the first run, `than`, on the same images."""

    run: str
    than: str
    consistency: Estimate
    accuracy: Estimate
    one_pixel_changed: Estimate


@dataclass(frozen=True, eq=False)
class Example:
    """One image for all runs: the first that all classify correctly unshifted, else the first.

    `pixels` are those of the network's input; `index` counts within the images of the tables.
    """

    index: int
    path: str
    label: str
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class ShiftStudy:
    """Everything that is drawn and written about some runs under shifts."""

    data: str
    split: str
    images: int
    of: int
    runs: tuple[RunShift, ...]
    differences: tuple[Difference, ...]
    example: Example
    class_names: tuple[str, ...]

    @property
    def border(self) -> Border:
        """How empty pixels are filled."""
        return self.runs[0].table.border

    @property
    def max_shift(self) -> int:
        """The largest |dx| and |dy|, in pixels."""
        return self.runs[0].table.max_shift


def shift_study(
    runs: Sequence[Path],
    *,
    data: str | None = None,
    max_shift: int = 8,
    border: str = "zero",
    limit: int | None = 1_000,
    batch_size: int = BATCH_SIZE,
    device: torch.device | str = "cpu",
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> ShiftStudy:
    """The runs' best weights under every shift of the same test images.

    Args:
        runs: run folders that were trained on the same data, with the same input.
        data: other labelled images, as in `convscope evaluate`.
        max_shift: dx and dy go from -max_shift to max_shift.
        border: how empty pixels are filled, see `convscope.images.borders.Border`.
        limit: of the test images, each class in proportion; None takes all.
        batch_size: images at a time.
        device: where the networks run.
        progress: called with (what is done, images run, images to run).

    Raises:
        ConvscopeError: runs that cannot be compared, saying how they differ; an impossible shift.
        DataError: a trunk, or neither test nor validation images.
    """
    border = Border.of(border)
    classifiers = [load(run).to(device) for run in runs]
    _check_networks(runs, classifiers, max_shift)
    _check_data(runs if data is None else ())
    names = classifiers[0].class_names or ()
    dataset = run_dataset(runs[0], data).aligned_to(names)
    indices, split = indices_of(dataset, None)
    chosen = indices if limit is None else stratified(dataset.labels, indices, limit)
    images = _decoded(dataset, chosen, classifiers[0].preprocess.channels, batch_size)
    tables = shift_tables(
        classifiers, images, dataset.labels[chosen], max_shift=max_shift, border=border,
        batch_size=batch_size, progress=lambda done, total: progress("shifts", done, total),
    )  # fmt: skip
    few = [dataset.image(i, classifiers[0].preprocess.channels) for i in _spread(chosen)]
    whole = whole_distance(classifiers)
    layers, fits, seen = [], [], []
    for done, (run, classifier) in enumerate(zip(runs, classifiers, strict=True)):
        progress("layers, training and test images", done, len(runs))
        layers.append(layer_shifts(classifier, few, (1, whole), border=border))
        fits.append(_fit(run, classifier, dataset, indices, data, batch_size))
        seen.append(overlap(run, dataset, chosen).trained_on)
    kinds = (classifier.name for classifier in classifiers)
    found = tuple(map(RunShift, _titles(runs), kinds, tables, layers, fits, seen))
    return ShiftStudy(
        data=printable(dataset.name),
        split=split,
        images=len(chosen),
        of=len(indices),
        runs=found,
        differences=tuple(_difference(found[0], other) for other in found[1:]),
        example=_example(found, dataset, chosen, classifiers[0]),
        class_names=names,
    )


def stratified(labels: np.ndarray, indices: np.ndarray, limit: int) -> np.ndarray:
    """At most `limit` of the images `indices`, each class in proportion, drawn by a fixed seed."""
    if len(indices) <= limit:
        return indices
    pool = np.zeros(len(labels), dtype=bool)
    pool[indices] = True
    return stratified_sample(labels, pool, limit, np.random.default_rng([_SEED, 0x5117]))


def _check_networks(
    runs: Sequence[Path], classifiers: Sequence[Classifier], max_shift: int
) -> None:
    if len(set(map(Path.resolve, runs))) < len(runs):
        raise ConvscopeError("a run is given twice; give each once")
    first = classifiers[0]
    for run, classifier in zip(runs, classifiers, strict=True):
        if classifier.class_names is None:
            raise DataError(f"{run} is a trunk: without a head it has no class to be consistent in")
        check_shift(max_shift, classifier.preprocess.size)
        mine, other = first.preprocess, classifier.preprocess
        parts = [
            f"{key} {getattr(mine, key)} and {getattr(other, key)}"
            for key in _SAME
            if getattr(mine, key) != getattr(other, key)
        ]
        if first.class_names != classifier.class_names:
            parts.append(f"classes {_short(first)} and {_short(classifier)}")
        if parts:
            raise ConvscopeError(
                f"{runs[0]} and {run} do not see the same pixels or classes: {'; '.join(parts)}; "
                "give runs with the same input and the same classes"
            )


def _short(classifier: Classifier) -> str:
    names = classifier.class_names or ()
    return f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''} ({len(names)})"


def _check_data(runs: Sequence[Path]) -> None:
    """Checks that all runs were given the same images, and the same ones for testing.

    Which of the others they held out for validation may differ, as it does from seed to seed.
    """
    first = None
    for run in runs:
        if read_status(run)["status"] == "imported":
            continue  # has no data of its own; reading the first run's data says what to do
        table = read_split_table(recorded_split(run).encode(), str(run / "split.csv"))
        known = Counter(
            (record.sha256, record.label, record.split == "test")
            for record in table.values()
            if record.split != SKIPPED
        )
        if first is None:
            first = known
        elif known != first:
            different = (known - first).total(), (first - known).total()
            raise ConvscopeError(
                f"{runs[0]} and {run} were not trained and tested on the same images: "
                f"{different[1]:,} images of the first (by content, class and test split) are "
                f"not the second's, {different[0]:,} the other way round; train both on the same "
                "data, or give --data IMAGES that neither has seen"
            )


def _decoded(dataset: Dataset, indices: np.ndarray, channels: int, ahead: int) -> Any:
    return prefetch_map(lambda index: dataset.image(index, channels), indices.tolist(), ahead=ahead)


def _spread(chosen: np.ndarray) -> list[int]:
    """Some of the images, evenly from the first to the last."""
    count = min(_IN_LAYERS, len(chosen))
    return chosen[np.arange(count) * len(chosen) // count].tolist()


def _fit(
    run: Path,
    classifier: Classifier,
    dataset: Dataset,
    tested: np.ndarray,
    data: str | None,
    batch_size: int,
) -> Fit:
    graph = graph_of(classifier)
    test = _hits(classifier, dataset, stratified(dataset.labels, tested, _FITTED), batch_size)
    train = None
    if data is None:
        own = run_dataset(run).aligned_to(classifier.class_names or ())
        trained = np.flatnonzero(own.splits == "train")
        train = _hits(classifier, own, stratified(own.labels, trained, len(test)), batch_size)
    return Fit(
        weights=graph.digest(),
        parameters=num_parameters(classifier.module),
        seconds_per_epoch=_seconds_per_epoch(run),
        train=None if train is None else share_of(train),
        test=share_of(test),
        gap=None if train is None else gap_of(train, test),
        first_convolution=comparisons(graph).first_convolution,
    )


def _hits(
    classifier: Classifier, dataset: Dataset, indices: np.ndarray, batch_size: int
) -> np.ndarray:
    found = predictions_of(classifier, dataset, indices, batch_size=batch_size)
    return found.logits.argmax(axis=1) == found.targets


def _seconds_per_epoch(run: Path) -> float | None:
    """The median over the epochs that went through all training images."""
    lines = [line.split(",") for line in read_lines(run / "metrics.csv")]
    if not lines or not set(_EPOCH) <= set(lines[0]):
        return None
    rows = [dict(zip(lines[0], line, strict=False)) for line in lines[1:]]
    try:
        steps = [int(row["step"]) for row in rows]
        lengths = np.diff([0, *steps])
        seconds = np.array([float(row["seconds"]) for row in rows])
    except (KeyError, ValueError):
        return None
    whole = lengths == lengths.max(initial=0)
    # One epoch cut off by a time budget looks complete; two of the same length are complete.
    return float(np.median(seconds[whole])) if whole.sum() > 1 else None


def _titles(runs: Sequence[Path]) -> list[str]:
    """The folders' names; with what is above them where two are the same."""
    names = [printable(run.resolve().name) for run in runs]
    return names if len(set(names)) == len(names) else [printable(str(run)) for run in runs]


def _difference(first: RunShift, other: RunShift) -> Difference:
    mine, theirs = other.table, first.table
    return Difference(
        other.run,
        first.run,
        difference_of(mine.agreements, theirs.agreements),
        difference_of(mine.right, theirs.right),
        difference_of(changed(mine.predicted), changed(theirs.predicted)),
    )


def _example(
    runs: Sequence[RunShift], dataset: Dataset, chosen: np.ndarray, classifier: Classifier
) -> Example:
    middle = runs[0].table.max_shift
    right = np.all(
        [run.table.predicted[:, middle, middle] == run.table.targets for run in runs], axis=0
    )
    index = int(right.argmax())
    place, preprocess = int(chosen[index]), classifier.preprocess
    pixels = dataset.image(place, preprocess.channels)
    return Example(
        index,
        printable(dataset.paths[place]),
        dataset.class_names[dataset.labels[place]],
        preprocess.centre(preprocess.canvas(pixels)),
    )
