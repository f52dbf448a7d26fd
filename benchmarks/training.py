"""Training speed of the small VGG at 28 x 28: `train()` beside a plain loop and Keras.

Only what comes between two `Stepped` events of `train()` is timed: batches, augmentation, step and
the event itself; reading the data, validation and storing checkpoints are not.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.arithmetic import matrix_product_rate, training_multiply_adds
from benchmarks.keras_process import KerasProcess, PeerError, keras_python
from benchmarks.measure import Row, interleaved
from benchmarks.plain import PlainLoop
from convscope.data.catalog import open_dataset
from convscope.data.split import assign_splits
from convscope.nets.catalog import build_module
from convscope.training.catalog import scratch
from convscope.training.events import Event, Prepared, StageStarted, Stepped
from convscope.training.loop import train
from convscope.training.recipe import Recipe

_SIDE = 28
_BATCH = 128
_SETTLING = 4


class OurLoop:
    """`train()`, resumed and suspended between steps."""

    def __init__(self, recipe: Recipe) -> None:
        self._events: Iterator[Event] = train(recipe)
        self.loss = 0.0
        for event in self._events:
            if isinstance(event, Prepared):
                self.prepared = event
            if isinstance(event, StageStarted):
                self.parameters = event.parameters
                break

    def train(self, steps: int) -> float:
        """Seconds that the next `steps` steps took."""
        seconds = 0.0
        while steps:
            began = perf_counter()
            event = next(self._events)
            if isinstance(event, Stepped):
                seconds += perf_counter() - began
                steps -= 1
                self.loss = event.loss
        return seconds


def measure(widths: tuple[int, int, int], steps: int, rounds: int) -> list[Row]:
    """Rows for one network: ours against each peer, mixed precision, share of the matrix rate."""
    recipe = _recipe(widths)
    ours = OurLoop(recipe)
    mixed = OurLoop(recipe.model_copy(update={"precision": "auto"}))
    images, labels = _training_arrays(ours.prepared)
    plain = PlainLoop(recipe, ours.prepared, images, labels)
    counted = _BATCH * steps
    contenders: dict[str, Callable[[], float]] = {
        "matrix": matrix_product_rate(0.3 if steps < 20 else 1.0),
        "ours": lambda: counted / _settled(ours.train, steps),
        "plain": lambda: counted / _settled(plain.train, steps),
        "mixed": lambda: counted / _settled(mixed.train, steps),
    }
    losses: dict[str, float] = {}
    with ExitStack() as stack:
        try:
            keras = _keras(stack, ours.prepared, images, labels)
        except PeerError as error:
            about: dict[str, Any] | str = str(error)
        else:
            about = keras.about
            assert about["parameters"] == ours.parameters, "Keras trains another network"

            def run() -> float:
                keras.train(_SETTLING)
                answer = keras.train(steps)
                losses["keras"] = answer["loss"]
                return counted / answer["seconds"]

            contenders["keras"] = run
        values = interleaved(contenders, rounds)
    losses |= {"ours": ours.loss, "plain": plain.loss, "mixed": mixed.loss}
    values["work"] = [float(_multiply_adds(recipe, ours.prepared))]
    return _rows(recipe, mixed.prepared.precision, values, losses, about)


def _settled(work: Callable[[int], float], steps: int) -> float:
    """Seconds for `steps`, after a few that find caches and clock as the one before left them."""
    work(_SETTLING)
    return work(steps)


def _recipe(widths: tuple[int, int, int]) -> Recipe:
    recipe = scratch("fashion-mnist", "vgg-small")
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"size": _SIDE, "cache": "memory"}),
            "model": recipe.model.model_copy(update={"options": {"widths": list(widths)}}),
            "precision": "float32",
            "batch_size": _BATCH,
            "epochs": 1000,
        }
    )


def _training_arrays(prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """The images that `train()` trains on (n, 28, 28, channels), uint8, and their labels."""
    recipe, preprocess = prepared.recipe, prepared.preprocess
    dataset = open_dataset(recipe.data.source)
    splits = assign_splits(dataset, recipe.seed, recipe.data.val, recipe.data.test)
    indices = np.flatnonzero(splits == "train")
    decoded = (dataset.image(i, preprocess.channels) for i in indices.tolist())
    images = np.stack([preprocess.centre(preprocess.canvas(image)) for image in decoded])
    return images, dataset.labels[indices]


def _keras(
    stack: ExitStack, prepared: Prepared, images: np.ndarray, labels: np.ndarray
) -> KerasProcess:
    python = keras_python()
    recipe, preprocess = prepared.recipe, prepared.preprocess
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    np.savez(folder / "data.npz", images=images, labels=labels)
    settings = {
        "input_shape": images.shape[1:],
        "widths": recipe.model.options["widths"],
        "head": [128, 128],
        "num_classes": len(prepared.class_names),
        "batch_size": recipe.batch_size,
        "flip": recipe.augment.flip,
        "mean": preprocess.mean,
        "std": preprocess.std,
        "total_steps": (recipe.epochs or 1) * (len(images) // recipe.batch_size),
        **recipe.optim.model_dump(
            include={"learning_rate", "momentum", "weight_decay", "label_smoothing", "warmup"}
        ),
    }
    process = KerasProcess(python, folder / "data.npz", settings)
    stack.callback(process.close)
    return process


def _multiply_adds(recipe: Recipe, prepared: Prepared) -> int:
    shape = (prepared.preprocess.channels, *prepared.preprocess.size)
    module = build_module(
        recipe.model.name, num_classes=10, input_shape=shape, **recipe.model.options
    )
    return training_multiply_adds(module, shape)


def _rows(
    recipe: Recipe,
    mixed_precision: str,
    values: dict[str, list[float]],
    losses: dict[str, float],
    keras: dict[str, Any] | str,
) -> list[Row]:
    widths = "-".join(map(str, recipe.model.options["widths"]))
    what = f"vgg-small {widths} at 28 x 28, batch {recipe.batch_size}"
    name = f"training, {what}"
    ours, plain, unit = values["ours"], values["plain"], "images/s"
    work, matrix = values["work"][0], values["matrix"]
    shares = {key: [v * work / m for v, m in zip(values[key], matrix, strict=True)]
              for key in ("ours", "plain")}  # fmt: skip
    loss = "last losses: " + ", ".join(f"{key} {value:.3f}" for key, value in losses.items())
    rows = [
        Row(f"{name}, float32", ours, plain, "train()", "plain PyTorch loop", unit,
            note=f"the same data, optimiser and schedule, channels-last; {loss}",
            extra={"losses": losses}),
    ]  # fmt: skip
    if isinstance(keras, str):
        rows.append(Row(f"{name}, float32", ours, (), "train()", "Keras", unit, note=keras))
    else:
        versions = f"Keras {keras['keras']}, TensorFlow {keras['tensorflow']}"
        note = f"`fit` fed by tf.data; both networks have {keras['parameters']:,} trained values"
        rows.append(Row(f"{name}, float32", ours, values["keras"], "train()", versions, unit,
                        note=note, extra=keras))  # fmt: skip
    mixed = f"train(), {mixed_precision} products (mixed precision)"
    rows += [
        Row(f"{name}, precision=auto: {mixed_precision}", values["mixed"], plain, mixed,
            "plain PyTorch loop, float32", unit,
            note="not the same arithmetic: what the default precision brings on this machine"),
        Row(f"share of the float32 matrix rate, {what}", shares["ours"], shares["plain"],
            "train()", "plain PyTorch loop", "share",
            note=f"{work / 1e6:.1f} million multiply-adds an image and step (3 x forward); "
            f"2048 x 2048 x 2048 products ran at {np.median(matrix) / 1e9:.1f} billion a second "
            f"on {torch.get_num_threads()} threads",
            extra={"multiply_adds_per_image": work, "matrix_rate": matrix}),
    ]  # fmt: skip
    return rows
