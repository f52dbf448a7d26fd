"""What training tells while it runs. Consumers print, store or show; training does not care."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np

from convscope.base.tensors import PixelBatch
from convscope.base.values import Value
from convscope.images.preprocess import Preprocess
from convscope.nets.classifier import Classifier
from convscope.training.recipe import ModelSpec, Recipe
from convscope.training.state import State
from convscope.training.transfer import Taken


@dataclass(frozen=True)
class Event:
    """Base of all events; `kind` is the name in JSON lines."""

    kind: ClassVar[str] = "event"


@dataclass(frozen=True)
class Resumed(Event):
    """The first event of a resumed run: the step it goes on from."""

    kind: ClassVar[str] = "resumed"
    step: int
    epoch: int
    stage: int


@dataclass(frozen=True)
class Reading(Event):
    """Images are being read, checked and hashed."""

    kind: ClassVar[str] = "reading"
    done: int
    total: int


@dataclass(frozen=True)
class Prepared(Event):
    """Data, preprocessing and device are settled; nothing has been trained yet.

    Attributes:
        skipped: why each image that was left out cannot be read (`data.skip_bad`).
        leaked: images of the held-out splits whose very content is a training image too.
        cropped: mean share of an image's pixels that the network does not see (fit="crop").
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
        frozen: how many of the `parameters` keep their values.
        taken: what came from the recipe's weights; None where the stage starts without them.
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
    taken: Taken | None


@dataclass(frozen=True)
class Planned(Event):
    """From `step` on the run is to end after `total` steps."""

    kind: ClassVar[str] = "plan"
    step: int
    total: int


@dataclass(frozen=True)
class Stepped(Event):
    """One optimiser step. `waiting` is the share of the time spent waiting for data.

    `total` is None while a time budget has not been planned yet; `eta` is in seconds.
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
    """The figures of an epoch; `top1` are shares. Training figures are on augmented images."""

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
    """The state to store now. It is only valid until the next event is asked for.

    `recipe` is the whole run's (None for weights that were not trained here), `model` the network
    of the stage.
    """

    kind: ClassVar[str] = "checkpoint"
    state: State = field(repr=False)
    classifier: Classifier = field(repr=False)
    recipe: Recipe | None = field(repr=False)
    model: ModelSpec
    best: bool


@dataclass(frozen=True)
class Interrupted(Event):
    """Training was asked to stop; the state of this step was handed out before."""

    kind: ClassVar[str] = "interrupted"
    step: int


@dataclass(frozen=True)
class Finished(Event):
    """Training is over. `reason` says what ended it."""

    kind: ClassVar[str] = "finished"
    step: int
    best_epoch: int
    seconds: float
    val: dict[str, float]
    reason: str


def as_json(event: Event) -> dict[str, Any]:
    """The event as JSON-ready values, without pictures, tables and tensors."""
    if isinstance(event, Checkpoint):
        position = event.state.position
        at = {"stage": position.stage, "epoch": position.epoch, "step": position.step}
        return {"event": event.kind, **at, "best": event.best}
    left_out = {"split_table", "sample", "sample_labels", "state", "classifier"}
    values = {key: value for key, value in vars(event).items() if key not in left_out}
    plain = {k: v.model_dump(mode="json") for k, v in values.items() if isinstance(v, Value)}
    if isinstance(values.get("taken"), Taken):
        plain["taken"] = asdict(values["taken"])
    return {"event": event.kind, **values, **plain}
