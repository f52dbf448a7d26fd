"""The atlas: its pass beside plain inference over the same images, and the whole of it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

import convscope
from benchmarks.measure import Row
from convscope.base.device import channels_last
from convscope.base.tensors import Images
from convscope.graph.capture import capture
from convscope.lenses.atlas.make import make_atlas
from convscope.lenses.atlas.ranking import atlas_layers, rank, unranked


def measure(count: int, rounds: int) -> list[Row]:
    """Rows for the small VGG on Fashion-MNIST's test images."""
    dataset = convscope.open_dataset("fashion-mnist")
    dataset = dataset.subset(np.flatnonzero(dataset.splits == "test")[:count])
    model = convscope.build_model("vgg-small", num_classes=10, input_shape=(1, 28, 28), seed=0)
    module = channels_last(model.module.eval())
    images = model.preprocess.batch([dataset.image(i, 1) for i in range(count)])
    rows = [_pass(module, images, dataset.labels, size, rounds) for size in (64, 250)]
    graph = capture(module, images[:2])
    whole = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            began = perf_counter()
            make_atlas(Path(folder), model, dataset, "test", atlas_layers(graph), graph=graph)
            whole.append(perf_counter() - began)
    note = f"{count:,} images, all 112 channels projected, files written; wanted for 10,000: 180"
    rows.append(Row("atlas: vgg-small at 28 x 28", whole, [], "make_atlas", "", "s",
                    higher_is_better=False, note=note))  # fmt: skip
    return rows


def _pass(
    module: torch.nn.Module, images: Images, labels: np.ndarray, size: int, rounds: int
) -> Row:
    graph = capture(module, images[:2])
    begun = unranked(graph, atlas_layers(graph), num_classes=10)

    def batches() -> Iterator[tuple[Images, np.ndarray]]:
        return ((images[i : i + size], labels[i : i + size]) for i in range(0, len(images), size))

    ours, plain = [], []
    for number in range(2 * rounds):
        for which in (ours, plain) if number % 2 else (plain, ours):
            began = perf_counter()
            if which is ours:
                for _ in rank(graph, batches(), begun):
                    pass
            else:
                with torch.inference_mode():
                    for batch, _ in batches():
                        module(batch)
            which.append(perf_counter() - began)
    return Row(
        f"atlas: the pass over {len(images):,} images at batch {size}", ours, plain, "rank()",
        "the plain forward", "s", higher_is_better=False,
        note="three blocks ranked, head not run; wanted: at most 1.2 times",
    )  # fmt: skip
