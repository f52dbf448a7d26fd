"""The events that training yields. The terminal, the run folder and the JSON log consume them."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from convscope.base.tensors import PixelBatch
from convscope.base.values import Value
from convscope.images.preprocess import Preprocess
from convscope.nets.classifier import Classifier
from convscope.training.recipe import ModelSpec, Recipe
from convscope.training.state import State
from convscope.training.transfer import TransferredWeights


@dataclass(frozen=True)
class Event:
    """The base class of all events. `kind` is the event's name in JSON lines."""

    kind: ClassVar[str] = "event"


@dataclass(frozen=True)
class Resumed(Event):
    """The first event of a resumed run: the position from which it continues."""

    kind: ClassVar[str] = "resumed"
    step: int
    epoch: int
    stage: int


@dataclass(frozen=True)
class Reading(Event):
    """Progress of reading, checking and hashing the images: `done` of `total`."""

    kind: ClassVar[str] = "reading"
    done: int
    total: int


@dataclass(frozen=True)
class Prepared(Event):
    """Data, preprocessing and device are determined. Training has not started yet.

    Attributes:
        recipe: with all values filled in that depend on the data.
        dataset: the data set's name.
        class_names: in the order of the logits.
        counts: images per class, by split.
        ignored: the number of files that are not images.
        skipped: the unreadable images that were left out, with reasons (`data.skip_bad`).
        leaked: by held-out split, the number of images whose content is also a training image.
        cropped: mean share of an image's pixels outside the centre crop, 0..1 (fit="crop").
        preprocess: of the first stage.
        split_table: the content of `split.csv`.
        sample: (batch, height, width, channels) pixels of an augmented training batch.
        sample_labels: (batch,) class indices.
        device: as torch names it.
        precision: "float32" or "bfloat16".
        cached: whether the images are kept in memory.
    """

    kind: ClassVar[str] = "prepared"
    recipe: Recipe = field(repr=False)
    dataset: str
    class_names: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    ignored: int
    skipped: tuple[str, ...]
    leaked: dict[str, int]
    cropped: float
    preprocess: Preprocess
    split_table: str = field(repr=False)
    sample: PixelBatch = field(repr=False)
    sample_labels: np.ndarray = field(repr=False)
    device: str
    precision: str
    cached: bool


@dataclass(frozen=True)
class StageStarted(Event):
    """A stage of the recipe begins; most recipes have one.

    Attributes:
        stage: its index, from 0.
        stages: the number of stages.
        name: of the stage.
        model: name of the network.
        parameters: the number of values in the network's parameters.
        frozen: how many of them are not trained.
        steps_per_epoch: optimiser steps.
        preprocess: of this stage.
        taken: what was copied from the recipe's weights; None if the stage starts without them.
    """

    kind: ClassVar[str] = "stage"
    stage: int
    stages: int
    name: str
    model: str
    parameters: int
    frozen: int
    steps_per_epoch: int
    preprocess: Preprocess
    taken: TransferredWeights | None


@dataclass(frozen=True)
class Planned(Event):
    """The plan of a time budget changed at `step`: the run is to end after `total` steps."""

    kind: ClassVar[str] = "plan"
    step: int
    total: int


@dataclass(frozen=True)
class Stepped(Event):
    """One optimiser step.

    Attributes:
        step: the number of steps done.
        total: planned for the whole run; None until a time budget is planned.
        epoch: the number of epochs done.
        loss: mean of the batch.
        learning_rate: of this step.
        images_per_second: in this epoch so far.
        waiting: the share of the time that was spent waiting for data, 0..1.
        eta: the expected time to the end, in seconds.
    """

    kind: ClassVar[str] = "step"
    step: int
    total: int | None
    epoch: int
    loss: float
    learning_rate: float
    images_per_second: float
    waiting: float
    eta: float


@dataclass(frozen=True)
class EpochEnded(Event):
    """The metrics of an epoch. Those of training are computed on augmented images.

    Attributes:
        stage: index of the stage.
        epoch: the number of epochs done in this stage.
        step: the number of steps done in this stage.
        train_loss: mean over the epoch's batches.
        train_top1: accuracy, 0..1.
        val_loss: mean cross-entropy on the validation images.
        val_top1: accuracy, 0..1.
        learning_rate: at the end of the epoch.
        images_per_second: in training.
        waiting: the share of the training time that was spent waiting for data, 0..1.
        seconds: of the epoch with validation.
        best: whether the validation result is the best so far.
    """

    kind: ClassVar[str] = "epoch"
    stage: int
    epoch: int
    step: int
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    learning_rate: float
    images_per_second: float
    waiting: float
    seconds: float
    best: bool


@dataclass(frozen=True)
class Checkpoint(Event):
    """A state to store. It is valid only until the next event is requested.

    Attributes:
        state: position and tensors, shared with the running training.
        classifier: the network with these weights.
        recipe: of the complete run; None for imported weights.
        model: the network of the stage.
        best: whether these are the best weights so far.
    """

    kind: ClassVar[str] = "checkpoint"
    state: State = field(repr=False)
    classifier: Classifier = field(repr=False)
    recipe: Recipe | None = field(repr=False)
    model: ModelSpec
    best: bool


@dataclass(frozen=True)
class Interrupted(Event):
    """Training was stopped at `step`. A `Checkpoint` of this step came before."""

    kind: ClassVar[str] = "interrupted"
    step: int


@dataclass(frozen=True)
class Finished(Event):
    """Training is complete.

    Attributes:
        step: the number of steps done.
        best_epoch: the epoch with the best validation result, from 1.
        seconds: training time of all sessions.
        val: `top1` and `loss` of the best epoch.
        reason: why training ended.
    """

    kind: ClassVar[str] = "finished"
    step: int
    best_epoch: int
    seconds: float
    val: dict[str, float]
    reason: str


def as_json(event: Event) -> dict[str, Any]:
    """The event as JSON-ready values, without images, tables and tensors."""
    if isinstance(event, Checkpoint):
        position = event.state.position
        at = {"stage": position.stage, "epoch": position.epoch, "step": position.step}
        return {"event": event.kind, **at, "best": event.best}
    left_out = {"split_table", "sample", "sample_labels", "state", "classifier"}
    values = {key: value for key, value in vars(event).items() if key not in left_out}
    plain = {k: v.model_dump(mode="json") for k, v in values.items() if isinstance(v, Value)}
    if isinstance(values.get("taken"), TransferredWeights):
        plain["taken"] = asdict(values["taken"])
    return {"event": event.kind, **values, **plain}
