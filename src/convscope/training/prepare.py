"""Preparation of training: read the data, resolve the recipe, assign splits, preprocessing."""

import contextlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from convscope.base.device import default_device, num_cpus, training_precision
from convscope.base.errors import ConvscopeError, DataError, UnreadableImageError, listing
from convscope.data.augment import colour_basis
from convscope.data.catalog import open_dataset
from convscope.data.dataset import SPLITS, Dataset
from convscope.data.loader import Batches, Scan, fits_in_memory, scan
from convscope.data.split import (
    SKIPPED,
    assign_splits,
    check_splits,
    split_table,
    stratified_subset,
)
from convscope.images.preprocess import Preprocess
from convscope.nets.catalog import NETWORKS, build_module, find
from convscope.nets.classifier import Classifier
from convscope.training.events import Event, Prepared, Reading
from convscope.training.recipe import DataSpec, Recipe
from convscope.training.stages import start_from
from convscope.training.transfer import freeze, transfer_weights

_STATISTICS_IMAGES = 20_000
_SAMPLE = 32


@dataclass(frozen=True)
class Setup:
    """The prepared data of a run, the same for all stages.

    Attributes:
        recipe: with all values filled in that depend on the data.
        dataset: all images.
        splits: (n,) of "train", "val", "test", "skipped".
        scan: hashes, canvases and statistics of the images.
        device: on which training runs.
        cached: whether the canvases are in memory.
        began: when the preparation started (`perf_counter`).
    """

    recipe: Recipe
    dataset: Dataset
    splits: np.ndarray
    scan: Scan
    device: torch.device
    cached: bool
    began: float

    @property
    def basis(self) -> np.ndarray:
        """The basis (3, 3) of the RGB shift (`convscope.data.augment.colour_basis`)."""
        return colour_basis(self.scan.covariance)

    def train_indices(self) -> np.ndarray:
        """The sorted indices of the training images, reduced to the share `data.fraction`."""
        train = np.flatnonzero(self.splits == "train")
        return stratified_subset(
            self.dataset.labels, train, self.recipe.data.fraction, self.recipe.seed
        )

    def class_counts(self) -> np.ndarray:
        """The number of training images per class, (classes,)."""
        labels = self.dataset.labels[self.train_indices()]
        return np.bincount(labels, minlength=len(self.dataset.class_names))

    def preprocess(self, data: DataSpec) -> Preprocess:
        """The preprocessing, with mean and std of the recipe or of the training images."""
        plain = _plain_preprocess(data, self.dataset)
        if data.mean is not None and data.std is not None:
            return plain.model_copy(update={"mean": data.mean, "std": data.std})
        if data.standardise == "mean":
            std = (1 / 255,) * plain.channels
        else:
            variance = np.maximum(np.diag(self.scan.covariance), 1e-6)
            std = tuple(float(value) for value in np.sqrt(variance))
        return plain.model_copy(update={"mean": tuple(map(float, self.scan.mean)), "std": std})

    def batches(self, indices: np.ndarray, preprocess: Preprocess, batch_size: int) -> Batches:
        """Batches of the images `indices`, from memory or streamed."""
        workers = self.recipe.data.workers
        if self.cached:
            workers = 0
        elif workers is None:
            workers = num_cpus()
        return Batches(
            self.dataset, preprocess, indices, self.scan.canvases, batch_size, self.device, workers
        )


def prepare(
    recipe: Recipe,
    stop: Callable[[], bool],
    initial: Classifier | None = None,
    splits: Mapping[str, str] | None = None,
) -> Generator[Event, None, tuple[Setup, Prepared] | None]:
    """Opens, splits and reads the data, and yields the progress.

    Args:
        recipe: may leave values to the data.
        stop: when it returns true, reading stops.
        initial: the classifier with the weights that the first stage starts from, if any.
        splits: see `Start.splits`.

    Returns:
        The setup and the event to yield; None if `stop()` returned true.

    Raises:
        ConvscopeError: the data cannot be used for training, or the recipe does not match it.
    """
    began = perf_counter()
    dataset = open_dataset(recipe.data.source)
    device = default_device()
    recipe = resolved(recipe, dataset, device, initial)
    assigned = _assigned(dataset, recipe, splits)
    needed = np.isin(assigned, ("train", "val"))
    plain = _plain_preprocess(recipe.data, dataset)
    cached = _keeps_in_memory(recipe, int(needed.sum()), plain)
    train = np.flatnonzero(assigned == "train")
    measured = np.zeros(len(dataset), bool)
    measured[train[:: max(1, len(train) // _STATISTICS_IMAGES)]] = True
    scanned = None
    for item in scan(dataset, plain, needed & cached, measured):
        if isinstance(item, Scan):
            scanned = item
            break
        yield Reading(*item)
        if stop():
            break
    if scanned is None:
        return None
    assigned = _skip_bad(dataset, assigned, scanned.bad, skip=recipe.data.skip_bad)
    setup = Setup(recipe, dataset, assigned, scanned, device, cached, began)
    return setup, _prepared_event(setup)


def _assigned(dataset: Dataset, recipe: Recipe, known: Mapping[str, str] | None) -> np.ndarray:
    """The split of each image, (n,): the known one where all are known, else newly drawn.

    An image that was skipped gets the drawn one: it is read again, and skipped again.
    """
    drawn = assign_splits(dataset, recipe.seed, recipe.data.val, recipe.data.test)
    if known is None or known.keys() != set(dataset.paths):
        return drawn
    stored = np.array([known[path] for path in dataset.paths])
    return np.where(stored == SKIPPED, drawn, stored)


def _skip_bad(
    dataset: Dataset, splits: np.ndarray, bad: dict[int, UnreadableImageError], *, skip: bool
) -> np.ndarray:
    """The splits, with unreadable images marked as skipped."""
    if not bad:
        return splits
    if not skip:
        raise DataError(
            f"{len(bad)} of {len(dataset):,} files in {dataset.name} cannot be read:\n"
            f"{listing([str(error) for error in bad.values()], limit=len(bad))}\n"
            "repair or remove them, or leave them out with --skip-bad"
        )
    kept = splits.astype("<U7")
    kept[list(bad)] = SKIPPED
    check_splits(dataset, kept)
    return kept


def resolved(
    recipe: Recipe, dataset: Dataset, device: torch.device, initial: Classifier | None = None
) -> Recipe:
    """The recipe with all values filled in that depend on the data. Its networks are checked.

    Raises:
        ConvscopeError: the data has only one class, sizes do not match, or a network cannot be
            built or cannot start from the weights of the previous stage or of `initial`.
    """
    if len(dataset.class_names) < 2:
        raise DataError(
            f"{dataset.name} has only one class ({', '.join(dataset.class_names)}); "
            "a classifier needs two or more"
        )
    side = _typical_side(dataset)
    smallest, largest = find(recipe.model.name).sides
    size = recipe.data.size or min(max(side, smallest), largest)
    channels = dataset.channels if recipe.data.mean is None else len(recipe.data.mean)
    larger = round(size * 8 / 7)
    resize = recipe.data.resize or (larger if side >= larger else size)
    if resize < size:
        raise ConvscopeError(f"data.resize ({resize}) must be at least data.size ({size})")
    pad = recipe.augment.pad
    if pad is None:
        # If the canvas has no margin for random crops, shift colour photos a little. The grey
        # images of the MNIST family are centred, and shifts cost accuracy in short runs.
        pad = size // 8 if resize == size and dataset.channels == 3 else 0
    precision = training_precision(device) if recipe.precision == "auto" else recipe.precision
    flip = dataset.flippable if recipe.augment.flip is None else recipe.augment.flip
    path = Path(recipe.data.source).expanduser()
    source = str(path.resolve()) if path.exists() else recipe.data.source
    data = {"size": size, "resize": resize, "source": source}
    recipe = recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update=data),
            "augment": recipe.augment.model_copy(update={"pad": pad, "flip": flip}),
            "precision": precision,
        }
    )
    _check_networks(recipe, (channels, size, size), dataset.class_names, initial)
    return recipe


def _check_networks(
    recipe: Recipe,
    shape: tuple[int, int, int],
    class_names: tuple[str, ...],
    initial: Classifier | None,
) -> None:
    """Builds the networks of all stages on the meta device, to fail before the data is read."""
    previous = None
    for index, stage in enumerate(recipe.stages):
        model = recipe.at_stage(index).model
        if model.name not in NETWORKS:
            find(model.name)  # a user's network may not support the meta device
            continue
        with torch.device("meta"):
            module = build_module(
                model.name, num_classes=len(class_names), input_shape=shape, init=model.init,
                **model.options,
            )  # fmt: skip
        if previous is not None:
            start_from(stage.start, module, previous)
        elif initial is not None and index == 0:
            transfer_weights(module, initial, class_names)
        freeze(module, recipe.freeze)
        previous = module


def _plain_preprocess(data: DataSpec, dataset: Dataset) -> Preprocess:
    """The preprocessing with mean 0 and std 1, until the statistics are known."""
    if data.size is None or data.resize is None:
        raise ValueError("the recipe must be resolved first")
    channels = dataset.channels if data.mean is None else len(data.mean)
    return Preprocess(
        size=(data.size, data.size),
        channels=channels,
        resize=data.resize,
        fit=data.fit,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )


def _keeps_in_memory(recipe: Recipe, count: int, preprocess: Preprocess) -> bool:
    if recipe.data.cache != "auto":
        return recipe.data.cache == "memory"
    # Stages have canvases of different sizes, so images are streamed.
    return len(recipe.stages) == 1 and fits_in_memory(count, preprocess)


def _typical_side(dataset: Dataset) -> int:
    """The median of the shorter sides of up to 32 images, evenly spaced in the data set."""
    sides = []
    for index in np.linspace(0, len(dataset) - 1, min(32, len(dataset))).astype(int).tolist():
        with contextlib.suppress(UnreadableImageError):  # the scan reports all of them
            sides.append(min(dataset.image(index, dataset.channels).shape[:2]))
    return int(np.median(sides)) if sides else 0


def _leaked(setup: Setup) -> dict[str, int]:
    """By held-out split, the number of images whose content is also that of a training image."""
    hashes = np.array(setup.scan.hashes)
    trained = hashes[setup.splits == "train"]
    counts = {
        split: int(np.isin(hashes[setup.splits == split], trained).sum()) for split in SPLITS[1:]
    }
    return {split: count for split, count in counts.items() if count}


def _prepared_event(setup: Setup) -> Prepared:
    recipe, dataset = setup.recipe, setup.dataset
    first = recipe.at_stage(0)
    preprocess = setup.preprocess(first.data)
    indices = setup.train_indices()
    counts = {
        split: tuple(np.bincount(dataset.labels[part], minlength=len(dataset.class_names)).tolist())
        for split in SPLITS
        if len(part := (indices if split == "train" else np.flatnonzero(setup.splits == split)))
    }
    batches = setup.batches(indices, preprocess, min(_SAMPLE, len(indices)))
    batch = next(iter(batches.shuffled(recipe.seed, 0, first.augment, setup.basis)))
    mean, std = (np.array(values, np.float32) for values in (preprocess.mean, preprocess.std))
    sample = batch.images.permute(0, 2, 3, 1).cpu().numpy() * std + mean
    return Prepared(
        recipe=recipe,
        dataset=dataset.name,
        class_names=dataset.class_names,
        counts=counts,
        ignored=dataset.ignored,
        skipped=tuple(str(error) for error in setup.scan.bad.values()),
        leaked=_leaked(setup),
        cropped=setup.scan.cropped,
        preprocess=preprocess,
        split_table=split_table(dataset, setup.splits, setup.scan.hashes),
        sample=np.clip(np.round(sample * 255), 0, 255).astype(np.uint8),
        sample_labels=dataset.labels[batch.ids],
        device=str(setup.device),
        precision=recipe.precision,
        cached=setup.cached,
    )
