"""Makes an atlas in a folder, and goes on where a killed one stopped."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from convscope.base.errors import ConvscopeError
from convscope.base.prefetch import prefetch_map
from convscope.base.storage import lock, make_folder, remove_temporary_files, sha256_of
from convscope.base.tensors import Images
from convscope.data.dataset import Dataset
from convscope.graph.capture import capture
from convscope.graph.geometry import receptive_fields
from convscope.graph.graph import Graph
from convscope.images.preprocess import Preprocess
from convscope.lenses.atlas.files import (
    ABOUT,
    FORMAT,
    IMAGES,
    PASS,
    About,
    Atlas,
    Layer,
    layer_path,
    read_atlas,
    read_pass,
    write_about,
    write_layer,
    write_pass,
)
from convscope.lenses.atlas.ranking import TOP, Ranking, rank, unranked
from convscope.lenses.atlas.winners import crops_of, projections
from convscope.nets.classifier import Classifier

_SAVE_SECONDS = 20.0
_BATCH = 64
_NUMBERS_AT_ONCE = 2**27  # of the two largest outputs of a batch: 512 MB

Progress = Callable[[str, int, int], None]


def make_atlas(
    folder: Path,
    classifier: Classifier,
    dataset: Dataset,
    split: str,
    layers: Sequence[str],
    *,
    top: int = TOP,
    projected: int | None = None,
    seed: int = 0,
    graph: Graph | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Atlas:
    """Makes the atlas of a classifier over a data set in `folder`, or goes on where it stopped.

    What was made from the same weights, images and settings is kept, all else in the folder is
    replaced.

    Args:
        folder: of the atlas.
        classifier: with or without classes.
        dataset: the images, in order; labels in the order of its class names, which may be none.
        split: what the images are called.
        layers: from `atlas_layers`.
        top: images kept per channel.
        projected: how many channels of a layer are projected, drawn by `seed` from those that are
            not dead; None: all.
        seed: of that draw.
        graph: the classifier's, where it is captured already.
        progress: called with the stage (`images`, then a layer), what is done of it and what it
            has.

    Raises:
        ConvscopeError: an image cannot be read, the folder cannot be written or is in use.
    """
    size = classifier.preprocess.channels, *classifier.preprocess.size
    graph = graph or capture(classifier.module, torch.zeros(2, *size))
    about = About(
        FORMAT, graph.digest(), classifier.preprocess.model_dump(mode="json"), dataset.name, split,
        _digest_of_paths(dataset), list(dataset.class_names), list(layers), top, projected, seed,
    )  # fmt: skip
    make_folder(folder)
    with lock(folder):
        remove_temporary_files(folder)
        if (whole := _whole(folder, about, dataset)) is not None:
            return whole
        reader = _Reader(dataset, classifier.preprocess)
        rankings, digests = _ranked(folder, about, graph, reader, progress)
        for name in layers:
            path = layer_path(folder, about, name)
            if not path.exists():
                write_layer(path, _layer(graph, rankings[name], about, reader, progress))
        write_about(folder, about, dataset, digests)
        (folder / PASS).unlink(missing_ok=True)
        return read_atlas(folder)


def _layer(
    graph: Graph, ranking: Ranking, about: About, reader: "_Reader", progress: Progress
) -> Layer:
    field = receptive_fields(graph).get(ranking.node)
    crops = crops_of(ranking, field, (graph.input_shape[1], graph.input_shape[2]))
    found = projections(
        graph, ranking, crops, _drawn(ranking, about), reader.images,
        progress=lambda done, total: progress(ranking.node, done, total),
    )  # fmt: skip
    return Layer(ranking, crops, field is not None and field.exact, found)


@dataclass(frozen=True)
class _Reader:
    """The images of a data set as the network sees them."""

    dataset: Dataset
    preprocess: Preprocess

    def images(self, numbers: Sequence[int]) -> Images:
        channels = self.preprocess.channels
        return self.preprocess.batch([self.dataset.image(number, channels) for number in numbers])

    def batches(self, start: int, size: int) -> Iterator[tuple[Images, np.ndarray, list[bytes]]]:
        """Images from `start` on, their labels and the digests of their contents; read ahead."""
        source, preprocess = self.dataset.source, self.preprocess

        def read(index: int) -> tuple[np.ndarray, bytes]:
            content = source.content(index)
            pixels = source.decode(content, index, preprocess.channels)
            return preprocess.centre(preprocess.canvas(pixels)), hashlib.sha256(content).digest()

        group: list[tuple[np.ndarray, bytes]] = []
        numbers = range(start, len(self.dataset))
        for index, item in zip(numbers, prefetch_map(read, numbers, size), strict=True):
            group.append(item)
            if len(group) == size or index == numbers[-1]:
                pixels, digests = zip(*group, strict=True)
                labels = self.dataset.labels[index + 1 - len(group) : index + 1]
                yield preprocess.normalise(np.stack(pixels)), labels, list(digests)
                group = []


def _ranked(
    folder: Path, about: About, graph: Graph, reader: _Reader, progress: Progress
) -> tuple[Mapping[str, Ranking], list[bytes]]:
    """The rankings over all images, from where the pass stands; saved now and then."""
    begun = _begun(folder, about, reader.dataset)
    classes = len(about.class_names)
    rankings, digests = begun or (
        unranked(graph, about.layers, top=about.top, num_classes=classes), []
    )  # fmt: skip
    found = reader.batches(len(digests), _batch_size(graph))

    def batches() -> Iterator[tuple[Images, np.ndarray]]:
        for images, labels, more in found:
            digests.extend(more)
            yield images, labels

    saved = monotonic()
    for latest in rank(graph, batches(), rankings):
        rankings = latest
        progress("images", len(digests), len(reader.dataset))
        if monotonic() - saved > _SAVE_SECONDS:
            write_pass(folder, about, rankings, digests)
            saved = monotonic()
    write_pass(folder, about, rankings, digests)
    return rankings, digests


def _begun(
    folder: Path, about: About, dataset: Dataset
) -> tuple[Mapping[str, Ranking], list[bytes]] | None:
    """Where the pass stands; where it is of another atlas or of other images, all goes."""
    begun = read_pass(folder, about)
    if begun is not None:
        contents = (dataset.source.content(index) for index in range(len(begun[1])))
        digests = prefetch_map(lambda content: hashlib.sha256(content).digest(), contents, _BATCH)
        if all(now == then for now, then in zip(digests, begun[1], strict=True)):
            return begun
    for old in (*folder.glob("*.safetensors"), folder / IMAGES):
        old.unlink(missing_ok=True)
    return None


def _whole(folder: Path, about: About, dataset: Dataset) -> Atlas | None:
    """The atlas that is there, where it is what is asked for; `atlas.json` is gone otherwise."""
    try:
        atlas = read_atlas(folder)
        if atlas.about == about and not atlas.changed(dataset):
            return atlas
    except ConvscopeError:
        pass
    (folder / ABOUT).unlink(missing_ok=True)
    return None


def _batch_size(graph: Graph) -> int:
    """Images at a time: 64, or as many as fit; it changes no winner."""
    largest = max(math.prod(node.output_shape) for node in graph.nodes)
    return max(2, min(_BATCH, _NUMBERS_AT_ONCE // (2 * largest)))


def _drawn(ranking: Ranking, about: About) -> list[int]:
    """The channels that are projected: all, or some that are not dead, drawn by the seed."""
    if about.projected is None:
        return list(range(len(ranking.active)))
    random = np.random.default_rng(about.seed)
    living = random.permutation(np.flatnonzero(~ranking.dead))
    return sorted(living[: about.projected].tolist())


def _digest_of_paths(dataset: Dataset) -> str:
    lines = zip(dataset.labels.tolist(), dataset.paths, strict=True)
    return sha256_of("\n".join(f"{label} {path}" for label, path in lines).encode())
