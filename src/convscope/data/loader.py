"""Canvases in memory or streamed, and the batches that training and evaluation draw from them.

Small sets are decoded and resized once and kept as uint8; large ones are decoded anew each epoch by
worker processes. Both give the same pixels, so a run does not depend on which was chosen.
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
    change_values,
    cut,
    mirror,
    takes_whole_images,
    uniforms,
)
from convscope.data.canvases import Canvases
from convscope.data.dataset import ArraySource, Dataset
from convscope.images.preprocess import Preprocess

_CHUNK = 512


@dataclass(frozen=True)
class Scan:
    """What one reading of every image found.

    Attributes:
        hashes: SHA-256 of each image's content, (n,); "" where there is none to be read.
        bad: why an image cannot be read, by its index.
        cropped: mean share of an image's pixels that the central cut leaves out, 0..1.
        canvases: the kept images; none where the set is streamed.
        mean, covariance: of the statistics images' pixels / 255, per channel.
    """

    hashes: tuple[str, ...]
    bad: dict[int, UnreadableImageError]
    cropped: float
    canvases: Canvases
    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Batch:
    """Image indices into the data set, images as the network sees them, and targets."""

    ids: np.ndarray
    images: Images
    targets: Targets


def scan(
    dataset: Dataset,
    preprocess: Preprocess,
    keep: np.ndarray,
    statistics: np.ndarray,
) -> Iterator[tuple[int, int] | Scan]:
    """Reads every image once: yields (done, all) now and then, and the `Scan` at the end.

    `keep` and `statistics` are masks (n,): whose canvases are kept, and whose pixels are measured.
    """
    hashes: list[str] = []
    kept: dict[int, Pixels] = {}
    bad: dict[int, UnreadableImageError] = {}
    channels = preprocess.channels
    seen, count, total, products = 0.0, 0, np.zeros(channels), np.zeros((channels, channels))

    def look(index: int) -> tuple[str, float, Pixels | None, UnreadableImageError | None]:
        digest = ""
        try:
            content = dataset.source.content(index)
            digest = sha256_of(content)
            pixels = dataset.source.decode(content, index, channels)
            wanted = keep[index] or statistics[index]
            canvas = preprocess.canvas(pixels) if wanted else None
            return digest, preprocess.visible_share(pixels.shape[0], pixels.shape[1]), canvas, None
        except UnreadableImageError as error:
            return digest, 0.0, None, error

    threads = 1 if isinstance(dataset.source, ArraySource) else None
    looked = prefetch_map(look, range(len(dataset)), _CHUNK, threads)
    for index, (digest, share, canvas, error) in enumerate(looked):
        hashes.append(digest)
        seen += share
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
        cropped=1 - seen / max(1, len(dataset) - len(bad)),
        canvases=Canvases.of(kept, len(dataset)),
        mean=mean,
        covariance=products / max(1, count) - np.outer(mean, mean),
    )


def fits_in_memory(count: int, preprocess: Preprocess) -> bool:
    """Whether `count` canvases take at most a quarter of the machine's memory (4:3 assumed)."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return count * preprocess.resize**2 * preprocess.channels * 4 / 3 <= memory / 4


@dataclass(frozen=True)
class Batches:
    """The images of one part of a data set, ready to be served in batches.

    `canvases` may lack some or all of them: those are read from the data set's source.
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
        """Every image once, unchanged, in order: for evaluation."""
        groups = self._groups(self.indices)
        for ids, pixels in self._served(_Reader(self, None, 0, 0), groups):
            yield self._batch(ids, self.preprocess.normalise(pixels, self.device))

    def shuffled(
        self, seed: int, epoch: int, augment: Augment, basis: np.ndarray, skip: int = 0
    ) -> Iterator[Batch]:
        """One epoch in the order that (seed, epoch) gives, augmented; the first `skip` left out.

        The last batch is dropped where it is not full and not the only one: batch norm needs more
        than a few images.
        """
        order = np.random.default_rng([seed, epoch]).permutation(self.indices)
        groups = self._groups(order)[: self.steps_per_epoch][skip:]
        for ids, pixels in self._served(_Reader(self, augment, seed, epoch), groups):
            images = self.preprocess.normalise(pixels, self.device)
            draws = uniforms(seed, epoch, ids)
            change_values(images, draws, augment, self.preprocess, basis)
            yield self._batch(ids, images)

    @property
    def steps_per_epoch(self) -> int:
        """Training batches in an epoch: full ones, or the only one."""
        return max(1, len(self.indices) // self.batch_size)

    def _groups(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def _batch(self, ids: np.ndarray, images: Images) -> Batch:
        targets = torch.from_numpy(self.dataset.labels[ids]).to(self.device)
        return Batch(ids, images, targets)

    def _served(
        self, reader: "_Reader", groups: Sequence[np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if self.workers == 0:
            for ids in groups:
                yield ids, reader[ids]
            return
        # A generator of its own: by default it would draw from torch's global one, whose state
        # belongs to the run, and a resumed run opens a loader where the unbroken one had one open.
        loader = DataLoader(
            reader, sampler=groups, batch_size=None, num_workers=self.workers,
            worker_init_fn=_quiet_worker, generator=torch.Generator(),
        )  # fmt: skip
        for ids, pixels in zip(groups, loader, strict=True):
            yield ids, pixels.numpy()


class _Reader(TorchDataset[np.ndarray]):
    """Image indices to one array of pixels (batch, height, width, channels), in any process."""

    def __init__(self, batches: Batches, augment: Augment | None, seed: int, epoch: int) -> None:
        self._batches, self._augment, self._key = batches, augment, (seed, epoch)

    def __getitem__(self, ids: np.ndarray) -> np.ndarray:
        batches, preprocess = self._batches, self._batches.preprocess
        draws = uniforms(*self._key, ids)
        if self._augment is None or takes_whole_images(self._augment):
            # Canvases that need no cut are gathered at once: an eighth of the time of one by one.
            whole = batches.canvases.together(ids)
            if whole is not None and whole.shape[1:3] == preprocess.size:
                return whole if self._augment is None else mirror(whole, draws, self._augment)
        pixels = np.empty((len(ids), *preprocess.size, preprocess.channels), np.uint8)
        for place, index in enumerate(ids.tolist()):
            canvas = batches.canvases.get(index)
            if canvas is None:
                image = batches.dataset.image(index, preprocess.channels)
                canvas = preprocess.canvas(image)
            if self._augment is None:
                pixels[place] = preprocess.centre(canvas)
            else:
                pixels[place] = cut(canvas, draws[place], self._augment, preprocess)
        return pixels


def _quiet_worker(worker: int) -> None:
    """Workers leave Ctrl-C to the main process, which stops them in order, by SIGTERM if need be.

    They inherit its handlers, and would take a SIGTERM for a wish to stop after the step.
    """
    del worker
    import signal  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
