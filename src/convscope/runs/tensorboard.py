"""Curves for TensorBoard, where it is installed (`pip install convscope[tensorboard]`)."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from convscope.base.errors import ConvscopeError
from convscope.training.events import EpochEnded, Stepped

_EVERY = 10


class Scalars:
    """An event file with the curves of one session; a resumed run writes a second one.

    What was written of the steps from `first` on is hidden: they are done again.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self._folder, self._first = folder, first
        self._opened = False
        self._writer: Any = None

    def _open(self) -> Any:
        """The writer, opened at its first use: importing TensorBoard takes a second."""
        if self._opened:
            return self._writer
        self._opened = True
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415
        except ImportError:
            return None
        with self._named():
            self._writer = SummaryWriter(str(self._folder), purge_step=self._first or None)
        return self._writer

    def step(self, event: Stepped) -> None:
        """Loss and learning rate, every tenth step."""
        if event.step % _EVERY == 0 and (writer := self._open()) is not None:
            with self._named():
                writer.add_scalar("step/loss", event.loss, event.step)
                writer.add_scalar("step/learning_rate", event.learning_rate, event.step)

    def epoch(self, event: EpochEnded) -> None:
        """The epoch's figures."""
        if (writer := self._open()) is not None:
            with self._named():
                for name in ("train_loss", "train_top1", "val_loss", "val_top1"):
                    writer.add_scalar(f"epoch/{name}", getattr(event, name), event.step)

    def close(self) -> None:
        """Writes the remaining events."""
        if self._writer is not None:
            with self._named():
                self._writer.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of its thread are raised at a later call, and name no file."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise ConvscopeError(f"cannot write {self._folder}: {reason}") from error
