"""Batches for training and validation, from images in memory or streamed from files.

A small data set is decoded and resized once and kept in memory as uint8. A large one is decoded in
each epoch by worker processes. Both give the same pixels, so the result of a run does not depend on
this choice.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from convscope.base.errors import UnreadableImageError
from convscope.base.prefetch import prefetch_map
from convscope.base.storage import sha256_of
from convscope.base.tensors import Images, Pixels, Targets
from convscope.data.augment import (
    Augment,
    flip_images,
    only_flips,
    random_crop,
    shift_and_erase,
    uniform_numbers,
)
from convscope.data.canvases import Canvases
from convscope.data.dataset import ArraySource, Dataset
from convscope.images.preprocess import Preprocess

_CHUNK = 512


@dataclass(frozen=True)
class Scan:
    """The result of reading each image of a data set once.

    Attributes:
        hashes: SHA-256 of each image's content, (n,); "" if the file cannot be read.
        bad: the unreadable images: the error, by image index.
        cropped: mean share of an image's pixels outside the centre crop, 0..1.
        canvases: the images that are kept in memory; none if the data set is streamed.
        mean: (channels,) of pixels / 255, over the images of the mask `statistics`.
        covariance: (channels, channels) of the same.
    """

    hashes: tuple[str, ...]
    bad: dict[int, UnreadableImageError]
    cropped: float
    canvases: Canvases
    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Image indices into the data set, the network's input, and class indices."""

    ids: np.ndarray
    images: Images
    targets: Targets


def scan(
    dataset: Dataset,
    preprocess: Preprocess,
    keep: np.ndarray,
    statistics: np.ndarray,
) -> Iterator[tuple[int, int] | Scan]:
    """Reads each image once. Yields (images read, total) from time to time, and last a `Scan`.

    Args:
        dataset: the data set, n images.
        preprocess: resizes the images to canvases; mean and std are not used.
        keep: (n,) mask of the images whose canvases are kept in memory.
        statistics: (n,) mask of the images over which mean and covariance are computed.
    """
    hashes: list[str] = []
    kept: dict[int, Pixels] = {}
    bad: dict[int, UnreadableImageError] = {}
    channels = preprocess.channels
    visible, count, total, products = 0.0, 0, np.zeros(channels), np.zeros((channels, channels))

    def read(index: int) -> tuple[str, float, Pixels | None, UnreadableImageError | None]:
        digest = ""
        try:
            content = dataset.source.content(index)
            digest = sha256_of(content)
            pixels = dataset.source.decode(content, index, channels)
            needed = keep[index] or statistics[index]
            canvas = preprocess.canvas(pixels) if needed else None
            return digest, preprocess.visible_share(pixels.shape[0], pixels.shape[1]), canvas, None
        except UnreadableImageError as error:
            return digest, 0.0, None, error

    threads = 1 if isinstance(dataset.source, ArraySource) else None
    results = prefetch_map(read, range(len(dataset)), _CHUNK, threads)
    for index, (digest, share, canvas, error) in enumerate(results):
        hashes.append(digest)
        visible += share
        if error is not None:
            bad[index] = error
        elif canvas is not None:
            if keep[index]:
                kept[index] = canvas
            if statistics[index]:
                values = canvas.reshape(-1, channels).astype(np.float32) / 255
                count += len(values)
                total += values.sum(axis=0, dtype=np.float64)
                products += (values.T @ values).astype(np.float64)
        if (index + 1) % _CHUNK == 0 or index + 1 == len(dataset):
            yield index + 1, len(dataset)
    mean = total / max(1, count)
    yield Scan(
        hashes=tuple(hashes),
        bad=bad,
        cropped=1 - visible / max(1, len(dataset) - len(bad)),
        canvases=Canvases.from_images(kept, len(dataset)),
        mean=mean,
        covariance=products / max(1, count) - np.outer(mean, mean),
    )


def fits_in_memory(count: int, preprocess: Preprocess) -> bool:
    """Whether `count` canvases, assumed to be 4:3, take at most a quarter of the main memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return count * preprocess.resize**2 * preprocess.channels * 4 / 3 <= memory / 4


@dataclass(frozen=True)
class Batches:
    """Batches of some images of a data set.

    Attributes:
        dataset: the data set.
        preprocess: makes the network's input.
        indices: (m,) of the images in the data set.
        canvases: images in memory. Images that are not among them are read from the source.
        batch_size: images per batch.
        device: where the batches are put.
        workers: the number of worker processes that read images; 0 reads in this process.
    """

    dataset: Dataset
    preprocess: Preprocess
    indices: np.ndarray
    canvases: Canvases
    batch_size: int
    device: torch.device
    workers: int = 0

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def in_order(self) -> Iterator[Batch]:
        """Each image once, in order, without augmentation: for evaluation."""
        groups = self._groups(self.indices)
        for ids, pixels in self._read(_Reader(self, None, 0, 0), groups):
            yield self._batch(ids, self.preprocess.normalise(pixels, self.device))

    def shuffled(
        self, seed: int, epoch: int, augment: Augment, basis: np.ndarray, skip: int = 0
    ) -> Iterator[Batch]:
        """One epoch of augmented batches; (seed, epoch) determines order and augmentation.

        An incomplete last batch is dropped unless it is the only one, because batch norm needs
        more than a few images.

        Args:
            seed: of the run.
            epoch: counted from 0.
            augment: the settings of the augmentation.
            basis: (3, 3) from `colour_basis`.
            skip: the number of batches to leave out at the beginning, in a resumed epoch.
        """
        order = np.random.default_rng([seed, epoch]).permutation(self.indices)
        groups = self._groups(order)[: self.steps_per_epoch][skip:]
        for ids, pixels in self._read(_Reader(self, augment, seed, epoch), groups):
            images = self.preprocess.normalise(pixels, self.device)
            draws = uniform_numbers(seed, epoch, ids)
            shift_and_erase(images, draws, augment, self.preprocess, basis)
            yield self._batch(ids, images)

    @property
    def steps_per_epoch(self) -> int:
        """The number of training batches in an epoch: complete ones, or the only one."""
        return max(1, len(self.indices) // self.batch_size)

    def _groups(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def _batch(self, ids: np.ndarray, images: Images) -> Batch:
        targets = torch.from_numpy(self.dataset.labels[ids]).to(self.device)
        return Batch(ids, images, targets)

    def _read(
        self, reader: "_Reader", groups: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if self.workers == 0:
            for ids in groups:
                yield ids, reader[ids]
            return
        # A separate generator: by default the loader draws from torch's global one, whose state is
        # part of the run. A resumed run starts a loader in the middle of an epoch, where the
        # uninterrupted run does not, so the runs would differ.
        loader = DataLoader(
            reader, sampler=groups, batch_size=None, num_workers=self.workers,
            worker_init_fn=_init_worker, generator=torch.Generator(),
        )  # fmt: skip
        for ids, pixels in zip(groups, loader, strict=True):
            yield ids, pixels.numpy()


class _Reader(TorchDataset[np.ndarray]):
    """Reads the images of a batch as one array (batch, height, width, channels) of pixels."""

    def __init__(self, batches: Batches, augment: Augment | None, seed: int, epoch: int) -> None:
        self._batches, self._augment, self._key = batches, augment, (seed, epoch)

    def __getitem__(self, ids: np.ndarray) -> np.ndarray:
        batches, preprocess = self._batches, self._batches.preprocess
        draws = uniform_numbers(*self._key, ids)
        if self._augment is None or only_flips(self._augment):
            # Canvases that need no crop are indexed at once, in an eighth of the time.
            canvases = batches.canvases.gather(ids)
            if canvases is not None and canvases.shape[1:3] == preprocess.size:
                if self._augment is None:
                    return canvases
                return flip_images(canvases, draws, self._augment)
        pixels = np.empty((len(ids), *preprocess.size, preprocess.channels), np.uint8)
        for row, index in enumerate(ids.tolist()):
            canvas = batches.canvases.get(index)
            if canvas is None:
                image = batches.dataset.image(index, preprocess.channels)
                canvas = preprocess.canvas(image)
            if self._augment is None:
                pixels[row] = preprocess.centre(canvas)
            else:
                pixels[row] = random_crop(canvas, draws[row], self._augment, preprocess)
        return pixels


def _init_worker(worker: int) -> None:
    """Resets a worker's signal handlers, which it inherits from the main process.

    Only the main process handles Ctrl-C; it then stops the workers, with SIGTERM if necessary. The
    inherited handler of SIGTERM would make a worker wait for the end of the training step instead.
    """
    del worker
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
