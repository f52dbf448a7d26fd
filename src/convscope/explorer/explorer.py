"""The state that the routes share: images, passes and predictions of one network."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import numpy as np
import torch

from convscope.base.errors import UnreadableImageError
from convscope.base.tensors import Pixels
from convscope.explorer.gallery import Images
from convscope.explorer.problem import RefusedError
from convscope.explorer.store import Pending, Store, StoredPass
from convscope.explorer.subject import Subject, UnitsOff
from convscope.explorer.wire import LayerDetail, Prediction
from convscope.graph.batching import batch_in_turn
from convscope.graph.program import Watch
from convscope.graph.trace import Trace, with_targets
from convscope.images.files import to_channels
from convscope.images.preprocess import resized

_MAX_OFF = 1_000
_MAX_PREDICTIONS = 200_000

T = TypeVar("T")


@dataclass(frozen=True)
class PassRequest:
    """Which pass is requested: the image, the target class, and the units switched off."""

    image: str
    target: int | None
    off: UnitsOff


@dataclass(eq=False)
class Explorer:
    """A network with the images that can be opened, and the results computed so far."""

    subject: Subject
    images: Images
    store: Store
    folder: Path | None = None  # of the run
    beside: tuple[Subject, ...] = ()  # networks with the same input and classes
    stored: Mapping[str, Any] = field(default_factory=dict)  # studies in the run folder, by lens
    details: dict[str, LayerDetail] = field(default_factory=dict)
    # By image; a few bytes each.
    predictions: dict[str, Prediction] = field(default_factory=dict)
    _limiters: dict[str, anyio.CapacityLimiter] = field(default_factory=dict)
    _last: dict[str, tuple[object, Any]] = field(default_factory=dict)

    @property
    def run(self) -> str | None:
        """The run folder as it was typed, for a command; only the name of an absolute path."""
        if self.folder is None:
            return None
        return self.folder.name if self.folder.is_absolute() else str(self.folder)

    async def in_thread(self, work: Callable[[], T], kind: str = "light") -> T:
        """Runs `work` off the event loop; "heavy" work, such as decoding, two at a time."""
        if kind not in self._limiters:
            self._limiters[kind] = anyio.CapacityLimiter(2 if kind == "heavy" else 4)
        return await anyio.to_thread.run_sync(work, limiter=self._limiters[kind])

    def pass_request(self, image: str, target: int | None, off: str | None) -> PassRequest:
        """The parameters of a request, checked.

        Raises:
            RefusedError: there is no such image, class or unit.
        """
        self.images.picture(image)
        if target is not None and not 0 <= target < len(self.subject.classes):
            last = len(self.subject.classes) - 1
            raise RefusedError(
                422, f"target: classes are 0 to {last}" if last >= 0 else "no classes"
            )
        units = _units(off)
        self.subject.masks(units)
        return PassRequest(image, target, units)

    async def recorded(
        self, requested: PassRequest, begun: Callable[[Pending], None] | None = None
    ) -> StoredPass:
        """The pass from the store, without the target."""

        def make(watch: Watch) -> Trace:
            watch(0, 0)
            image = self.subject.images([self.read(requested.image)])
            return self.subject.run(image, requested.off, watch)

        return await self.store.get((requested.image, requested.off), make, begun)

    async def trace(self, requested: PassRequest) -> Trace:
        """The pass with its target: the one requested, else the label, else the prediction."""
        stored = await self.recorded(requested)
        return self.with_target(stored.trace, requested)

    def with_target(self, trace: Trace, requested: PassRequest) -> Trace:
        """A pass for a class: the one requested, else the label, else the predicted one."""
        if self.subject.probabilities is None:
            return trace
        target = requested.target
        if target is None:
            target = self.images.picture(requested.image).label
        if target is None:
            target = int(trace.logits[0].argmax())
        return with_targets(trace, torch.tensor([target]))

    def read(self, image: str) -> Pixels:
        """An image with the number of channels of the network's input."""
        return self.images.pixels(image, self.subject.classifier.preprocess.channels)

    def seen(self, image: str) -> Pixels:
        """An image as the network sees it, before normalisation."""
        preprocess = self.subject.classifier.preprocess
        return preprocess.centre(preprocess.canvas(self.read(image)))

    def grey(self, image: str) -> np.ndarray:
        """An image as the network sees it, in grey, (height, width) float64; the last is cached."""
        return self.remembered(
            "grey", image, lambda: to_channels(self.seen(image), 1)[:, :, 0].astype(np.float64)
        )

    def remembered(self, name: str, key: object, make: Callable[[], T]) -> T:
        """The result of `make`, cached until another key is requested under the same name."""
        entry = self._last.get(name)
        if entry is None or entry[0] != key:
            entry = self._last[name] = key, make()
        return entry[1]

    def small(self, image: str, channels: int, longest: int) -> Pixels:
        """An image whose longer side is at most `longest`, in colour or grey."""
        pixels = self.images.pixels(image, channels)
        height, width = pixels.shape[:2]
        scale = longest / max(height, width)
        if scale >= 1:
            return pixels
        return resized(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))

    async def predict(
        self, images: Sequence[str], wanted: Callable[[], Awaitable[bool]]
    ) -> list[Prediction]:
        """The predictions for images, in their order; stops when `wanted` returns False."""
        if self.subject.probabilities is None:
            raise RefusedError(422, "a trunk has no classes to predict")
        for image in images:
            self.images.picture(image)
        known = {image: self.predictions[image] for image in images if image in self.predictions}
        missing = [image for image in dict.fromkeys(images) if image not in known]
        size = batch_in_turn(self.subject.table.totals.macs)
        for start in range(0, len(missing), size):
            if not await wanted():
                raise RefusedError(422, "the request was withdrawn")
            group = missing[start : start + size]
            predicted = await anyio.to_thread.run_sync(
                self._predicted, group, limiter=self.store.turn
            )
            known |= {one.image: one for one in predicted}
            if len(self.predictions) > _MAX_PREDICTIONS:
                self.predictions.clear()
            self.predictions.update((one.image, one) for one in predicted)
        return [known[image] for image in images]

    def _predicted(self, images: Sequence[str]) -> list[Prediction]:
        readable: dict[str, torch.Tensor] = {}
        predictions = []
        for image in images:
            self.store.go_on()
            try:
                readable[image] = self.subject.images([self.read(image)])
            except UnreadableImageError as error:
                reason = error.reason or "unreadable"
                predictions.append(_prediction(image, None, reason))
        if readable:
            batch = torch.cat(list(readable.values()))
            rows = self.subject.probabilities_of(batch, self.store.go_on)
            for image, row in zip(readable, rows, strict=True):
                predictions.append(_prediction(image, row, None))
        return predictions


def _prediction(image: str, row: torch.Tensor | None, error: str | None) -> Prediction:
    if row is None:
        return Prediction(image=image, predicted=None, probability=None, error=error)
    best = int(row.argmax())
    return Prediction(image=image, predicted=best, probability=float(row[best]), error=None)


def _units(text: str | None) -> UnitsOff:
    """Parses `[["layer", unit], ...]`; the units are sorted, without duplicates.

    Raises:
        RefusedError: the text has another form.
    """
    try:
        given = json.loads(text) if text else []
        units = {(str(layer), int(unit)) for layer, unit in given}
        fits = all(type(layer) is str and type(unit) is int for layer, unit in given)
    except (TypeError, ValueError, RecursionError, OverflowError):
        fits, units = False, set()
    if not fits or len(units) > _MAX_OFF:
        raise RefusedError(
            422, f'off: give JSON as [["layer", unit], ...], at most {_MAX_OFF} units'
        )
    return tuple(sorted(units))
