"""What an epoch over JPEG files costs, beside the same epoch over decoded arrays in memory.

Three ways to the same batches of a vgg-small training at 64 x 64 (random crops out of 73 pixels,
flips): arrays that are decoded already; files in the default way (read once, kept as canvases,
because they fit into memory), from the second epoch on; and files decoded anew in each epoch by one
worker process a core, as for data sets that do not fit.
"""

from collections.abc import Callable
from itertools import islice
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.jpegs import DISTINCT, jpeg_folder
from benchmarks.measure import Row, interleaved
from convscope.base.device import channels_last, num_cpus, training_precision
from convscope.data.augment import Augment, colour_basis
from convscope.data.canvases import Canvases
from convscope.data.dataset import ArraySource, Dataset
from convscope.data.folder import read_folder
from convscope.data.loader import Batches, Scan, fits_in_memory, scan
from convscope.images.preprocess import Preprocess
from convscope.nets.catalog import build_model

_SIDE, _RESIZE, _BATCH = 64, 73, 128
_CPU = torch.device("cpu")


def measure(count: int, rounds: int) -> list[Row]:
    """Rows in seconds an epoch."""
    folder = jpeg_folder(count)
    dataset = read_folder(folder, "jpegs")
    plain = Preprocess(size=(_SIDE, _SIDE), channels=3, resize=_RESIZE, mean=(0,) * 3, std=(1,) * 3)
    began = perf_counter()
    scanned = _scanned(dataset, plain)
    reading = perf_counter() - began
    deviation = np.sqrt(np.diag(scanned.covariance))
    preprocess = plain.model_copy(
        update={"mean": tuple(map(float, scanned.mean)), "std": tuple(map(float, deviation))}
    )
    precision = training_precision(_CPU)
    step = _training_step(mixed=precision == "bfloat16")
    indices = np.arange(len(dataset))

    def epochs(source: Dataset, canvases: Canvases, workers: int):
        batches = Batches(source, preprocess, indices, canvases, _BATCH, _CPU, workers)
        return _epochs(batches, scanned, step)

    none = Canvases.from_images({}, len(dataset))
    values = interleaved(
        {
            "arrays": epochs(_arrays(dataset, scanned), none, 0),
            "kept": epochs(dataset, scanned.canvases, 0),
            "streamed": epochs(dataset, none, num_cpus()),
        },
        rounds,
        warm_up=0,
    )
    what = f"an epoch over {count:,} JPEGs of 500 x 375, vgg-small at 64 x 64, {precision}"
    links = "; hard links to 2,000 different files" if count > DISTINCT else ""
    kept = "fits" if fits_in_memory(count, preprocess) else "would not fit: `cache=memory` only"
    return [
        Row(f"{what}: the default, from the second epoch on", values["kept"], values["arrays"],
            "files, kept in memory", "decoded arrays", "s", higher_is_better=False,
            note=f"{kept} in a quarter of the memory; reading, hashing and resizing all files "
            f"before the first epoch took {reading:.1f} s{links}",
            extra={"reading_seconds": reading}),
        Row(f"{what}: streamed", values["streamed"], values["arrays"],
            f"files, decoded anew by {num_cpus()} workers", "decoded arrays", "s",
            higher_is_better=False,
            note="`cache=stream`, or a data set over a quarter of the memory" + links),
    ]  # fmt: skip


def _scanned(dataset: Dataset, preprocess: Preprocess) -> Scan:
    every = np.ones(len(dataset), bool)
    *_, found = scan(dataset, preprocess, every, every)
    assert isinstance(found, Scan)
    return found


def _arrays(dataset: Dataset, scanned: Scan) -> Dataset:
    """The same images as one array of canvases."""
    images = scanned.canvases.gather(np.arange(len(dataset)))
    assert images is not None
    return Dataset(
        "arrays", dataset.class_names, dataset.paths, dataset.labels, dataset.splits,
        ArraySource(images), 3,
    )  # fmt: skip


def _training_step(mixed: bool) -> Callable[[torch.Tensor, torch.Tensor], None]:
    model = build_model("vgg-small", num_classes=10, input_shape=(3, _SIDE, _SIDE), seed=0)
    module = channels_last(model.module).train()
    optimiser = torch.optim.SGD(
        module.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )

    def step(images: torch.Tensor, targets: torch.Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            logits = module(images)
        loss = F.cross_entropy(logits.float(), targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        assert np.isfinite(loss.item())

    return step


def _epochs(
    batches: Batches, scanned: Scan, step: Callable[[torch.Tensor, torch.Tensor], None]
) -> Callable[[], float]:
    basis, augment = colour_basis(scanned.covariance), Augment(flip=True, pad=0)
    epoch = 0
    for batch in islice(batches.shuffled(0, epoch, augment, basis), 3):  # warms up
        step(batch.images, batch.targets)

    def run() -> float:
        nonlocal epoch
        epoch += 1
        began = perf_counter()
        for batch in batches.shuffled(0, epoch, augment, basis):
            step(batch.images, batch.targets)
        return perf_counter() - began

    return run
