"""The Classifier: a module with its preprocessing and class names, as one value."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from convscope.base.errors import ConvscopeError, UnreadableImageError
from convscope.base.prefetch import prefetch_map
from convscope.base.tensors import Images, Logits, Pixels
from convscope.images.files import read_image
from convscope.images.preprocess import Preprocess

BATCH_SIZE = 64

T = TypeVar("T")


@dataclass(frozen=True)
class Prediction:
    """The result for one image file: logits (classes,), or the error why it cannot be read."""

    path: str
    logits: torch.Tensor | None
    error: str | None = None


@dataclass(frozen=True)
class Classifier:
    """A network, the preprocessing it was trained with and the names of its classes.

    `class_names` is None for a network without a head.
    """

    name: str
    module: nn.Module
    preprocess: Preprocess
    class_names: tuple[str, ...] | None

    def __post_init__(self) -> None:
        names = self.class_names
        if names is not None and len(set(names)) != len(names):
            raise ConvscopeError(f"{self.name}: class names must be unique, got {list(names)}")

    def logits(self, images: Images) -> Logits:
        """Scores before softmax, (batch, classes) float32 on the CPU, in eval mode.

        Each submodule returns to its previous mode afterwards.

        Raises:
            ConvscopeError: the network has no head, or its output does not match the class names.
        """
        if self.class_names is None:
            raise _no_head(self.name)
        modes = [(part, part.training) for part in self.module.modules()]
        self.module.eval()
        try:
            with torch.inference_mode():
                parameter = next(self.module.parameters(), None)
                device = torch.device("cpu") if parameter is None else parameter.device
                scores = self.module(images.to(device))
        finally:
            for part, training in modes:
                part.training = training
        if scores.ndim != 2 or scores.shape[1] != len(self.class_names):
            raise ConvscopeError(
                f"{self.name}: the module's output has shape {tuple(scores.shape)}; "
                f"{len(self.class_names)} class names need (batch, {len(self.class_names)})"
            )
        return scores.float().cpu()

    def logits_of(self, images: Iterable[Pixels], batch_size: int = BATCH_SIZE) -> Iterator[Logits]:
        """Logits of decoded images, batch by batch. Evaluation and prediction both use this."""
        for group in _batched(images, batch_size):
            yield self.logits(self.preprocess.batch(group))

    def predictions(
        self, paths: Iterable[str | Path], batch_size: int = BATCH_SIZE
    ) -> Iterator[Prediction]:
        """One `Prediction` per path, in order. An unreadable file gives one with its error."""

        def read(path: str | Path) -> tuple[str, Pixels | str]:
            try:
                return str(path), read_image(Path(path), self.preprocess.channels)
            except UnreadableImageError as error:
                return str(path), error.reason

        for group in _batched(prefetch_map(read, paths, ahead=batch_size), batch_size):
            images = [image for _, image in group if not isinstance(image, str)]
            rows = iter(self.logits(self.preprocess.batch(images)) if images else ())
            for path, image in group:
                if isinstance(image, str):
                    yield Prediction(path, None, image)
                else:
                    yield Prediction(path, next(rows))

    def predict(
        self, paths: Sequence[str | Path] | str | Path, topk: int = 5
    ) -> list[list[tuple[str, float]]]:
        """The `topk` most probable classes of each image file, (name, probability), best first.

        Raises:
            UnreadableImageError: for the first file that is not a readable image.
            ConvscopeError: the network has no head.
        """
        paths = [paths] if isinstance(paths, str | Path) else paths
        rankings = []
        for prediction in self.predictions(paths):
            if prediction.logits is None:
                raise UnreadableImageError(prediction.path, prediction.error or "unreadable")
            rankings.append(self.ranked(prediction.logits, topk))
        return rankings

    def ranked(self, logits: torch.Tensor, topk: int) -> list[tuple[str, float]]:
        """The `topk` classes of one image's logits (classes,) with their probabilities, best first.

        Raises:
            ConvscopeError: the network has no head.
        """
        if self.class_names is None:
            raise _no_head(self.name)
        probabilities = torch.softmax(logits.double(), 0)
        best = torch.argsort(probabilities, descending=True, stable=True)[:topk]
        return [(self.class_names[int(i)], float(probabilities[i])) for i in best]

    def to(self, device: torch.device | str) -> "Classifier":
        """This classifier with its module on `device`."""
        return replace(self, module=self.module.to(device))


def _no_head(name: str) -> ConvscopeError:
    return ConvscopeError(f"{name} is a trunk: it has no head, and so no classes")


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """`itertools.batched` of Python 3.12, with lists."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
