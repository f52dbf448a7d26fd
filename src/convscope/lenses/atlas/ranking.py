"""For each channel the images of a data set that activate it most.

One pass; memory does not depend on the number of images. A channel's strength in an image is its
largest activation there, at one position. Images are ranked by strength, equal ones by their order
in the data set: the size of the batches does not matter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Images
from convscope.graph.blocks import activated, block_outputs, convolutions
from convscope.graph.graph import INPUT, Graph

TOP = 9
BLOCKS, CONVOLUTIONS = "blocks", "convolutions"


@dataclass(frozen=True, eq=False)
class Ranking:
    """A layer's channels over the images seen so far.

    Attributes:
        node: the layer.
        strengths: (channels, top) of the top images, falling; 0 where fewer activate a channel.
        images: (channels, top) their numbers in the data set; -1 where there is none.
        positions: (channels, top, 2) row and column of the largest activation; -1 likewise.
        count: images seen.
        active: (channels,) how many images have an activation above zero.
        total: (channels,) the sum of the images' strengths.
        largest: (channels,) the largest activation, which may be negative.
        class_total: (classes, channels) the strengths summed by class, negative ones as zero.
        class_count: (classes,) images of each class seen; both are empty without labels.
    """

    node: str
    strengths: np.ndarray
    images: np.ndarray
    positions: np.ndarray
    count: int
    active: np.ndarray
    total: np.ndarray
    largest: np.ndarray
    class_total: np.ndarray
    class_count: np.ndarray

    @property
    def dead(self) -> np.ndarray:
        """(channels,) bool: no image activates it."""
        return self.active == 0

    @property
    def share(self) -> np.ndarray:
        """(channels,) the share of images with an activation above zero."""
        return self.active / max(1, self.count)

    @property
    def mean(self) -> np.ndarray:
        """(channels,) the mean over images of the largest activation in each."""
        return self.total / max(1, self.count)

    def selectivity(self) -> tuple[np.ndarray, np.ndarray]:
        """(channels,) class selectivity, 0..1, and the class with the largest mean strength.

        (m - o) / (m + o), m being the largest of the classes' means and o the mean of the others':
        1 if only one class activates the channel, 0 if all do equally. NaN and -1 for dead
        channels, without labels, and with images of fewer than two classes.

        Source: Morcos et al. 2018, arXiv 1803.06959, section 3.4; theirs are means over positions,
        ours of the largest activation in an image.
        """
        seen = np.flatnonzero(self.class_count)
        channels = len(self.active)
        if len(seen) < 2:
            return np.full(channels, np.nan), np.full(channels, -1)
        means = self.class_total[seen] / self.class_count[seen, None]
        best = means.argmax(axis=0)
        most = means.max(axis=0)
        others = (means.sum(axis=0) - most) / (len(seen) - 1)
        active = most + others > 0
        index = np.divide(most - others, most + others, where=active,
                          out=np.full(channels, np.nan))  # fmt: skip
        return index, np.where(active, seen[best], -1)


def atlas_layers(graph: Graph, names: Sequence[str] = (BLOCKS,)) -> list[str]:
    """The layers to rank, in the network's order.

    Args:
        graph: from `capture`.
        names: `blocks`, the outputs of all convolution blocks; `convolutions`, each that
            can be trained, with the activation function after it; or names of layers.

    Raises:
        ConvscopeError: an unknown name, a layer without rows and columns, or none left.
    """
    chosen: set[str] = set()
    for name in names:
        if name == BLOCKS:
            chosen.update(node.name for node in block_outputs(graph).values())
        elif name == CONVOLUTIONS:
            chosen.update(activated(graph, node).name for node in convolutions(graph))
        else:
            if len(graph[name].output_shape) != 3:
                raise ConvscopeError(
                    f"{name!r} gives {graph[name].output_shape}, without rows and columns: an "
                    "atlas shows channels of maps"
                )
            chosen.add(name)
    if not chosen:
        raise ConvscopeError("the network has no convolutions: there are no channels to rank")
    return [node.name for node in graph.nodes if node.name in chosen]


def unranked(
    graph: Graph, layers: Sequence[str], *, top: int = TOP, num_classes: int = 0
) -> dict[str, Ranking]:
    """The rankings of layers before the first image.

    Args:
        graph: from `capture`.
        layers: from `atlas_layers`.
        top: images kept per channel.
        num_classes: of the labels; 0 where there are none.
    """
    return {name: _empty(name, graph[name].output_shape[0], top, num_classes) for name in layers}


def rank(
    graph: Graph,
    batches: Iterable[tuple[Images, np.ndarray]],
    start: Mapping[str, Ranking],
) -> Iterator[Mapping[str, Ranking]]:
    """The rankings after each batch, so that they can be stored in between.

    Args:
        graph: from `capture`, with weights.
        batches: preprocessed images and their labels (batch,), in the order of the data set;
            labels are ignored where the rankings have no classes.
        start: from `unranked`, or rankings to continue from.

    Raises:
        ConvscopeError: an activation is NaN or infinite.
    """
    rankings = start
    for images, labels in batches:
        with torch.inference_mode():
            found = graph.run(
                {INPUT: images.to(graph.device)}, list(rankings), batch_invariant=True
            )
        rankings = {name: _with(ranking, found[name], labels) for name, ranking in rankings.items()}
        yield rankings


def _empty(name: str, channels: int, top: int, num_classes: int) -> Ranking:
    return Ranking(
        node=name,
        strengths=np.zeros((channels, top), np.float32),
        images=np.full((channels, top), -1),
        positions=np.full((channels, top, 2), -1),
        count=0,
        active=np.zeros(channels, np.int64),
        total=np.zeros(channels),
        largest=np.full(channels, -np.inf, np.float32),
        class_total=np.zeros((num_classes, channels)),
        class_count=np.zeros(num_classes, np.int64),
    )


def _with(ranking: Ranking, maps: Tensor, labels: np.ndarray) -> Ranking:
    """The ranking after one more batch of a layer's maps (batch, channels, height, width)."""
    strengths = maps.amax((2, 3)).float().cpu().numpy()
    if not np.isfinite(strengths).all():
        image, channel = np.argwhere(~np.isfinite(strengths))[0]
        raise ConvscopeError(
            f"{ranking.node}: channel {channel} gives {strengths[image, channel]} for image "
            f"{ranking.count + image} of the data: nothing can be ranked"
        )
    active = strengths > 0
    positive = np.where(active, strengths, 0).astype(np.float64)
    class_total, class_count = ranking.class_total, ranking.class_count
    if len(class_count):
        member = np.eye(len(class_count))[labels]
        class_total = class_total + member.T @ positive
        class_count = class_count + member.sum(axis=0).astype(np.int64)
    return replace(
        _merged(ranking, maps, strengths),
        count=ranking.count + len(strengths),
        active=ranking.active + active.sum(axis=0),
        total=ranking.total + strengths.sum(axis=0, dtype=np.float64),
        largest=np.maximum(ranking.largest, strengths.max(axis=0)),
        class_total=class_total,
        class_count=class_count,
    )


def _merged(ranking: Ranking, maps: Tensor, strengths: np.ndarray) -> Ranking:
    """The top images with those of a batch; where two are equal, the earlier one comes first."""
    top = ranking.strengths.shape[1]
    # Zero does not count. Of equal strengths the earlier image stays: a later one must be larger.
    better = strengths > ranking.strengths[:, -1]
    channels = np.flatnonzero(better.any(axis=0))
    if not len(channels):
        return ranking
    together = np.concatenate([ranking.strengths[channels], strengths[:, channels].T], axis=1)
    order = np.argsort(-together, axis=1, kind="stable")[:, :top]
    rows = np.arange(len(channels))[:, None]
    kept = together[rows, order]
    # Where each comes from: one of the former top images, or an image of the batch.
    former = np.minimum(order, top - 1)
    images = ranking.images[channels][rows, former]
    positions = ranking.positions[channels][rows, former]
    row, place = np.nonzero((order >= top) & (kept > 0))
    batch = order[row, place] - top
    images[row, place] = ranking.count + batch
    positions[row, place] = _argmax(maps, batch, channels[row])
    images[kept <= 0] = -1
    positions[kept <= 0] = -1
    result = [a.copy() for a in (ranking.strengths, ranking.images, ranking.positions)]
    for array, part in zip(result, (kept, images, positions), strict=True):
        array[channels] = part
    return replace(ranking, strengths=result[0], images=result[1], positions=result[2])


def _argmax(maps: Tensor, images: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """(n, 2) row and column of the largest value of some maps; of equal ones the first."""
    chosen = maps[torch.from_numpy(images), torch.from_numpy(channels)]
    width = chosen.shape[2]
    place = chosen.flatten(1).float().cpu().numpy().argmax(axis=1)
    return np.stack([place // width, place % width], axis=1)
