"""Compute an atlas in a folder, or continue one that was stopped."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np

from convscope.base.errors import ConvscopeError
from convscope.base.prefetch import prefetch_map
from convscope.base.storage import lock, make_folder, remove_temporary_files, sha256_of
from convscope.base.tensors import Images
from convscope.data.dataset import Dataset
from convscope.graph.batching import LARGEST_BATCH, batch_in_memory
from convscope.graph.geometry import receptive_fields
from convscope.graph.graph import Graph
from convscope.graph.graph_of import graph_of
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
from convscope.lenses.atlas.projections import crops_of, projections
from convscope.lenses.atlas.ranking import TOP, Ranking, rank, unranked
from convscope.nets.classifier import Classifier

_SAVE_SECONDS = 20.0

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
    """Makes the atlas of a classifier over a data set in `folder`, or continues where it stopped.

    What was made from the same weights, images and settings is kept; everything else in the folder
    is replaced.

    Args:
        folder: where the atlas is stored.
        classifier: with or without classes.
        dataset: the images, in order; labels count in its class names, which may be empty.
        split: the name of the split that the images are.
        layers: from `atlas_layers`.
        top: images kept per channel.
        projected: how many channels of each layer are projected, drawn at random from those that
            are not dead; None: all.
        seed: of that draw.
        graph: the classifier's, where it is captured already.
        progress: called with the stage (`images`, then each layer), the number of images that are
            done, and of all.

    Raises:
        ConvscopeError: an image cannot be read, the folder cannot be written or is in use.
    """
    graph = graph or graph_of(classifier)
    about = About(
        FORMAT, graph.digest(), classifier.preprocess.model_dump(mode="json"), dataset.name, split,
        _digest_of_paths(dataset), list(dataset.class_names), list(layers), top, projected, seed,
    )  # fmt: skip
    make_folder(folder)
    with lock(folder):
        remove_temporary_files(folder)
        if (complete := _complete(folder, about, dataset)) is not None:
            return complete
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
    """The rankings over all images, continued where a pass was stopped; saved every 20 seconds."""
    stopped = _stopped(folder, about, reader.dataset)
    classes = len(about.class_names)
    rankings, digests = stopped or (
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


def _stopped(
    folder: Path, about: About, dataset: Dataset
) -> tuple[Mapping[str, Ranking], list[bytes]] | None:
    """The pass that was stopped; if it is of other images or settings, its files are deleted."""
    stopped = read_pass(folder, about)
    if stopped is not None:
        contents = (dataset.source.content(index) for index in range(len(stopped[1])))
        digests = prefetch_map(
            lambda content: hashlib.sha256(content).digest(), contents, LARGEST_BATCH
        )
        if all(now == then for now, then in zip(digests, stopped[1], strict=True)):
            return stopped
    for old in (*folder.glob("*.safetensors"), folder / IMAGES):
        old.unlink(missing_ok=True)
    return None


def _complete(folder: Path, about: About, dataset: Dataset) -> Atlas | None:
    """The atlas in the folder, if it is the one wanted; else `atlas.json` is deleted."""
    try:
        atlas = read_atlas(folder)
        if atlas.about == about and not atlas.changed(dataset):
            return atlas
    except ConvscopeError:
        pass
    (folder / ABOUT).unlink(missing_ok=True)
    return None


def _batch_size(graph: Graph) -> int:
    """Images at a time: 64, or as many as fit; it does not change the ranking."""
    largest = max(math.prod(node.output_shape) for node in graph.nodes)
    return batch_in_memory(largest, least=2, most=LARGEST_BATCH)


def _drawn(ranking: Ranking, about: About) -> list[int]:
    """The channels that are projected: all, or some of those that are not dead, at random."""
    if about.projected is None:
        return list(range(len(ranking.active)))
    random = np.random.default_rng(about.seed)
    living = random.permutation(np.flatnonzero(~ranking.dead))
    return sorted(living[: about.projected].tolist())


def _digest_of_paths(dataset: Dataset) -> str:
    lines = zip(dataset.labels.tolist(), dataset.paths, strict=True)
    return sha256_of("\n".join(f"{label} {path}" for label, path in lines).encode())
