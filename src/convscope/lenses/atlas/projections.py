"""The patch that a unit sees of a top image, and its activation projected to the pixels."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from convscope.base.tensors import Images
from convscope.graph.backward import backward
from convscope.graph.batching import LARGEST_BATCH, batch_in_memory
from convscope.graph.geometry import ReceptiveField
from convscope.graph.graph import INPUT, Graph
from convscope.graph.projection import croppable, project, records_needed
from convscope.graph.trace import trace
from convscope.lenses.atlas.ranking import Ranking


@dataclass(frozen=True, eq=False)
class Projections:
    """The activations of some channels in their top images, projected to the pixels.

    Attributes:
        channels: (projected,) their indices, rising.
        shares: (projected, top, colours, height, width) half precision, -1..1: the signal at the
            pixels of the image's crop, from its first row and column on, divided by its largest
            magnitude; zero beyond the crop, and where there is no image.
        scales: (projected, top) these magnitudes. shares x scales is the activation times the
            signal of `backward` with a seed of 1, in units of the preprocessed image.
    """

    channels: np.ndarray
    shares: np.ndarray
    scales: np.ndarray


def crops_of(
    ranking: Ranking, field: ReceptiveField | None, image_size: tuple[int, int]
) -> np.ndarray:
    """(channels, top, 4): top, left, bottom, right of what each unit sees of its top images.

    In pixels of the preprocessed image, bottom and right excluded; all of the image where the
    layer's receptive field is not known; zeros for a unit that sees only padding, -1 without image.
    """
    crops = np.full((*ranking.images.shape, 4), -1)
    there = ranking.images >= 0
    if field is None:
        crops[there] = (0, 0, *image_size)
        return crops
    rows, columns = ranking.positions[there].T
    crops[there] = field.boxes(rows, columns)
    return crops


def projections(
    graph: Graph,
    ranking: Ranking,
    crops: np.ndarray,
    channels: Sequence[int],
    read: Callable[[Sequence[int]], Images],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Projections:
    """The deconvnet projections of some channels' top images.

    Each unit is projected alone, by the rule of Zeiler & Fergus 2014, and multiplied by its
    activation. Values and switches are those of the whole image, which is run again.

    Args:
        graph: the network that the ranking is of.
        ranking: from `rank`.
        crops: from `crops_of`.
        channels: which of the ranking's channels.
        read: the preprocessed images of some numbers of the data set.
        progress: called with the number of images that are done, and of all.

    Raises:
        ConvscopeError: an image cannot be read.
    """
    chosen = np.asarray(channels, dtype=np.int64)
    place, position = np.nonzero(ranking.images[chosen] >= 0)
    of_image = np.argsort(ranking.images[chosen][place, position], kind="stable")
    place, position = place[of_image], position[of_image]
    units = chosen[place]
    images = ranking.images[units, position]
    boxes = crops[units, position]
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=0, initial=1).tolist()
    shape = (len(chosen), ranking.images.shape[1], graph.input_shape[0], *sides)
    shares, scales = np.zeros(shape, np.float16), np.zeros(shape[:2], np.float32)
    distinct = np.unique(images)
    step = _images_at_once(graph, ranking.node)
    for start in range(0, len(distinct), step):
        group = distinct[start : start + step]
        part = np.flatnonzero((images >= group[0]) & (images <= group[-1]))
        rows, columns = ranking.positions[units[part], position[part]].T
        seeds = np.stack([np.searchsorted(group, images[part]), units[part], rows, columns], 1)
        signal = _signals(graph, ranking.node, read(group.tolist()), seeds, boxes[part], sides)
        signal *= ranking.strengths[units[part], position[part]][:, None, None, None]
        most = np.abs(signal).max(axis=(1, 2, 3))
        scales[place[part], position[part]] = most
        most[most == 0] = 1
        shares[place[part], position[part]] = signal / most[:, None, None, None]
        progress(start + len(group), len(distinct))
    return Projections(chosen, shares, scales)


def _images_at_once(graph: Graph, node_name: str) -> int:
    names = records_needed(graph, node_name) if croppable(graph, node_name) else graph.by_name
    numbers = sum(math.prod(graph[name].output_shape) for name in names)
    return batch_in_memory(numbers, most=LARGEST_BATCH)


def _signals(
    graph: Graph,
    node_name: str,
    images: Images,
    seeds: np.ndarray,
    boxes: np.ndarray,
    sides: Sequence[int],
) -> np.ndarray:
    """(units, colours, height, width) the units' signals, each from its box's corner on."""
    top, left = (torch.from_numpy(boxes[:, axis].copy()) for axis in (0, 1))
    if croppable(graph, node_name):
        needed = sorted(records_needed(graph, node_name))
        with torch.inference_mode():
            records = graph.run({INPUT: images.to(graph.device)}, needed, batch_invariant=True)
        units = [tuple(seed) for seed in seeds.tolist()]
        patch = project(graph, records, node_name, units)
        return patch.moved(top, left, (sides[0], sides[1])).values.numpy()
    return _by_backward(graph, node_name, images, seeds, boxes, sides)


def _by_backward(
    graph: Graph,
    node_name: str,
    images: Images,
    seeds: np.ndarray,
    boxes: np.ndarray,
    sides: Sequence[int],
) -> np.ndarray:
    """The same over the whole image, for networks that cannot be projected on crops."""
    record = trace(graph, images)
    found = np.zeros((len(seeds), graph.input_shape[0], *sides), np.float32)
    largest = max(math.prod(node.output_shape) for node in graph.nodes)
    step = batch_in_memory(largest)
    for start in range(0, len(seeds), step):
        part = seeds[start : start + step]
        seed = torch.zeros(len(part), *graph[node_name].output_shape)
        seed[torch.arange(len(part)), *torch.from_numpy(part[:, 1:].copy()).T] = 1
        signal: Tensor = backward(record, node_name, seed, "deconvnet", images=part[:, 0].tolist())
        for place, (y0, x0, y1, x1) in enumerate(boxes[start : start + step].tolist(), start):
            found[place, :, : y1 - y0, : x1 - x0] = signal[place - start, :, y0:y1, x0:x1].cpu()
    return found
