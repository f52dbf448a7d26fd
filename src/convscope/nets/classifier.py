"""Weights never travel alone: module, preprocessing and class names are one value."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from convscope.base.ahead import map_ahead
from convscope.base.errors import ConvscopeError, UnreadableImageError
from convscope.base.tensors import Images, Logits, Pixels
from convscope.images.files import read_image
from convscope.images.preprocess import Preprocess

BATCH_SIZE = 64

T = TypeVar("T")


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one image file: logits (classes,) or the reason why it cannot."""

    path: str
    logits: torch.Tensor | None
    error: str | None = None


@dataclass(frozen=True)
class Classifier:
    """A network with the preprocessing it was trained with and the names of its classes.

    `class_names` is None for a trunk, a network without a head.
    """

    name: str
    module: nn.Module
    preprocess: Preprocess
    class_names: tuple[str, ...] | None

    def __post_init__(self) -> None:
        names = self.class_names
        if names is not None and len(set(names)) != len(names):
            raise ConvscopeError(f"{self.name}: class names must differ, got {list(names)}")

    def logits(self, images: Images) -> Logits:
        """Scores before softmax, (batch, classes) float32 on the CPU, in eval mode.

        The mode of each part of the module is put back afterwards.

        Raises:
            ConvscopeError: for a trunk, or where the module's output does not fit the class names.
        """
        if self.class_names is None:
            raise ConvscopeError(f"{self.name} is a trunk: without a head it has no classes")
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
                f"{self.name}: the module's output has shape {tuple(scores.shape)}, "
                f"but there are {len(self.class_names)} class names"
            )
        return scores.float().cpu()

    def logits_of(self, images: Iterable[Pixels], batch_size: int = BATCH_SIZE) -> Iterator[Logits]:
        """Logits of decoded images, batch by batch: the one path of evaluation and prediction."""
        for group in _groups(images, batch_size):
            yield self.logits(self.preprocess.batch(group))

    def predictions(
        self, paths: Iterable[str | Path], batch_size: int = BATCH_SIZE
    ) -> Iterator[Prediction]:
        """One `Prediction` per path, in order; an unreadable file gives a row with its error."""

        def read(path: str | Path) -> tuple[str, Pixels | str]:
            try:
                return str(path), read_image(Path(path), self.preprocess.channels)
            except UnreadableImageError as error:
                return str(path), error.reason

        for group in _groups(map_ahead(read, paths, ahead=batch_size), batch_size):
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
        """For each image file the `topk` most probable classes, (name, probability), best first.

        Raises:
            UnreadableImageError: for the first file that is not a readable image.
        """
        paths = [paths] if isinstance(paths, str | Path) else paths
        answers = []
        for prediction in self.predictions(paths):
            if prediction.logits is None:
                raise UnreadableImageError(prediction.path, prediction.error or "unreadable")
            answers.append(self.ranked(prediction.logits, topk))
        return answers

    def ranked(self, logits: torch.Tensor, topk: int) -> list[tuple[str, float]]:
        """The `topk` classes of one image's logits (classes,) with their softmax, best first."""
        if self.class_names is None:
            raise ConvscopeError(f"{self.name} is a trunk: without a head it has no classes")
        probabilities = torch.softmax(logits.double(), 0)
        best = torch.argsort(probabilities, descending=True, stable=True)[:topk]
        return [(self.class_names[int(i)], float(probabilities[i])) for i in best]

    def to(self, device: torch.device | str) -> "Classifier":
        """The same classifier with its module on `device`."""
        return replace(self, module=self.module.to(device))


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
