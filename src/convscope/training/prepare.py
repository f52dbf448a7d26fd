"""Everything before the first step: data read and checked, splits, sizes, preprocessing."""

import contextlib
from collections.abc import Callable, Generator
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
from convscope.training.transfer import freeze, take

_STATISTICS_IMAGES = 20_000
_SAMPLE = 32


@dataclass(frozen=True)
class Setup:
    """What training needs and never changes."""

    recipe: Recipe
    dataset: Dataset
    splits: np.ndarray
    scan: Scan
    device: torch.device
    cached: bool
    began: float

    @property
    def basis(self) -> np.ndarray:
        """For the RGB shift (`convscope.data.augment.colour_basis`)."""
        return colour_basis(self.scan.covariance)

    def train_indices(self) -> np.ndarray:
        """The images trained on, after `fraction`."""
        train = np.flatnonzero(self.splits == "train")
        return stratified_subset(
            self.dataset.labels, train, self.recipe.data.fraction, self.recipe.seed
        )

    def class_counts(self) -> np.ndarray:
        """Training images per class."""
        labels = self.dataset.labels[self.train_indices()]
        return np.bincount(labels, minlength=len(self.dataset.class_names))

    def preprocess(self, data: DataSpec) -> Preprocess:
        """The network's view of an image: the recipe's mean and std, or the training split's."""
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
        """The images `indices`, from memory or streamed."""
        workers = self.recipe.data.workers
        if self.cached:
            workers = 0
        elif workers is None:
            workers = num_cpus()
        return Batches(
            self.dataset, preprocess, indices, self.scan.canvases, batch_size, self.device, workers
        )


def prepare(
    recipe: Recipe, stop: Callable[[], bool], initial: Classifier | None = None
) -> Generator[Event, None, tuple[Setup, Prepared] | None]:
    """Opens, splits and reads the data; returns None where `stop()` turned true meanwhile.

    `initial` is the classifier whose weights the first stage starts from, if any.

    Raises:
        ConvscopeError: for data that cannot be trained on, or a recipe that does not fit it.
    """
    began = perf_counter()
    dataset = open_dataset(recipe.data.source)
    device = default_device()
    recipe = resolved(recipe, dataset, device, initial)
    splits = assign_splits(dataset, recipe.seed, recipe.data.val, recipe.data.test)
    wanted = np.isin(splits, ("train", "val"))
    plain = _plain_preprocess(recipe.data, dataset)
    cached = _cached(recipe, int(wanted.sum()), plain)
    train = np.flatnonzero(splits == "train")
    measured = np.zeros(len(dataset), bool)
    measured[train[:: max(1, len(train) // _STATISTICS_IMAGES)]] = True
    found = None
    for item in scan(dataset, plain, wanted & cached, measured):
        if isinstance(item, Scan):
            found = item
            break
        yield Reading(*item)
        if stop():
            break
    if found is None:
        return None
    splits = _without_bad(dataset, splits, found.bad, skip=recipe.data.skip_bad)
    setup = Setup(recipe, dataset, splits, found, device, cached, began)
    return setup, _prepared(setup)


def _without_bad(
    dataset: Dataset, splits: np.ndarray, bad: dict[int, UnreadableImageError], *, skip: bool
) -> np.ndarray:
    """The splits, with the images that cannot be read marked as skipped."""
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
    """The recipe with everything that was left to the data filled in, and its networks tried out.

    Raises:
        ConvscopeError: for a single class, sizes that do not fit, or networks that cannot be built
            or started from one another or from `initial`.
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
        # Where there is no room for random crops, shift colour photos a little; grey ones of the
        # MNIST family are centred, and shifting them costs accuracy in short runs.
        pad = size // 8 if resize == size and dataset.channels == 3 else 0
    precision = training_precision(device) if recipe.precision == "auto" else recipe.precision
    flip = dataset.flippable if recipe.augment.flip is None else recipe.augment.flip
    place = Path(recipe.data.source).expanduser()
    source = str(place.resolve()) if place.exists() else recipe.data.source
    data = {"size": size, "resize": resize, "source": source}
    recipe = recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update=data),
            "augment": recipe.augment.model_copy(update={"pad": pad, "flip": flip}),
            "precision": precision,
        }
    )
    _rehearse(recipe, (channels, size, size), dataset.class_names, initial)
    return recipe


def _rehearse(
    recipe: Recipe,
    shape: tuple[int, int, int],
    class_names: tuple[str, ...],
    initial: Classifier | None,
) -> None:
    """Builds the networks of all stages without memory: what cannot work fails before reading."""
    previous = None
    for index, stage in enumerate(recipe.stages):
        model = recipe.at_stage(index).model
        if model.name not in NETWORKS:
            find(model.name)
            continue
        with torch.device("meta"):
            module = build_module(
                model.name, num_classes=len(class_names), input_shape=shape, init=model.init,
                **model.options,
            )  # fmt: skip
        if previous is not None:
            start_from(stage.start, module, previous)
        elif initial is not None and index == 0:
            take(module, initial, class_names)
        freeze(module, recipe.freeze)
        previous = module


def _plain_preprocess(data: DataSpec, dataset: Dataset) -> Preprocess:
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


def _cached(recipe: Recipe, count: int, preprocess: Preprocess) -> bool:
    if recipe.data.cache != "auto":
        return recipe.data.cache == "memory"
    # Stages differ in the size of their canvases: those are made anew in each epoch.
    return len(recipe.stages) == 1 and fits_in_memory(count, preprocess)


def _typical_side(dataset: Dataset) -> int:
    """The median of the shorter sides of up to 32 images, evenly spread over the set."""
    sides = []
    for index in np.linspace(0, len(dataset) - 1, min(32, len(dataset))).astype(int).tolist():
        with contextlib.suppress(UnreadableImageError):  # all of them are listed after reading
            sides.append(min(dataset.image(index, dataset.channels).shape[:2]))
    return int(np.median(sides)) if sides else 0


def _leaked(setup: Setup) -> dict[str, int]:
    """Images of each held-out split whose content is that of a training image too."""
    hashes = np.array(setup.scan.hashes)
    trained = hashes[setup.splits == "train"]
    counts = {
        split: int(np.isin(hashes[setup.splits == split], trained).sum()) for split in SPLITS[1:]
    }
    return {split: count for split, count in counts.items() if count}


def _prepared(setup: Setup) -> Prepared:
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
    shown = batch.images.permute(0, 2, 3, 1).cpu().numpy() * std + mean
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
        sample=np.clip(np.round(shown * 255), 0, 255).astype(np.uint8),
        sample_labels=dataset.labels[batch.ids],
        device=str(setup.device),
        precision=recipe.precision,
        cached=setup.cached,
    )
