"""The result of a shift study, which `--json` prints, and the answers of its routes.

Of each estimate NAME is the mean over images and NAME_interval its 95 % interval (low, high).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, RootModel, ValidationError

from convscope.base.errors import ConvscopeError
from convscope.base.storage import read_json
from convscope.contract.lens import Result
from convscope.explorer.wire import Wire
from convscope.images.borders import Border

FILE = "metrics.json"
Interval = tuple[float, float]


def _is_none(value: object) -> bool:
    return value is None


# A value that the JSON leaves out where there is none.
Share = Annotated[float | None, Field(exclude_if=_is_none)]
ShareInterval = Annotated[Interval | None, Field(exclude_if=_is_none)]


@dataclass(frozen=True)
class LayerShift:
    """One layer under shifts by `distance` pixels. None where a figure has no meaning.

    Attributes:
        name: of the node.
        kind: what it computes.
        shape: of its output.
        stride: pixels of the image between neighbouring units, (vertical, horizontal).
        whole: whether the shift is a whole number of strides; else the map is shifted by a fraction
            of a unit, linearly between its two neighbours.
        equivariance: |map of the shifted image - shifted map| / |shifted map|, over all positions
            for which the shifted map has a value, those near the border included.
        inside: the same over the units that see neither padding nor filled pixels, in both.
        inside_share: how many of the units these are, 0..1.
        invariance: |output for the shifted image - output| / |output|, nothing shifted back.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    stride: tuple[int, int] | None
    whole: bool | None
    equivariance: float | None
    inside: float | None
    inside_share: float | None
    invariance: float | None


@dataclass(frozen=True)
class LayerShifts:
    """All layers of a network under shifts by `distance` pixels, averaged over `images` images."""

    distance: int
    images: int
    layers: tuple[LayerShift, ...]


class OnePixelShift(Result):
    """A shift by one pixel, over the eight neighbours of no shift; see `statistics.OnePixel`."""

    changed: float
    changed_interval: Interval
    moved: float
    moved_interval: Interval
    gained: float
    gained_interval: Interval


class PathPoint(Result):
    """The mean probability of the true class for images shifted by `dx` pixels, dy = 0."""

    dx: int
    probability: float
    probability_interval: Interval


class FirstConvolution(Result):
    """The first convolution compared with the dense layer of the same inputs and outputs."""

    model_config = ConfigDict(from_attributes=True)

    layer: str
    parameters: int
    dense_parameters: int


class ShiftFit(Result):
    """What a run cost, and its accuracy on test and training images.

    `gap` is training less test accuracy; with other images than the run's own there is neither.
    `seconds_per_epoch` is null where no epoch was complete.
    """

    parameters: int
    seconds_per_epoch: float | None
    test_accuracy: float
    test_accuracy_interval: Interval
    first_convolution: FirstConvolution | None
    train_accuracy: Share = None
    train_accuracy_interval: ShareInterval = None
    gap: Share = None
    gap_interval: ShareInterval = None


class ShiftDifference(Result):
    """A run's figures less those of the run `than`, image by image."""

    than: str
    consistency: float
    consistency_interval: Interval
    accuracy_shifted: float
    accuracy_shifted_interval: Interval
    one_pixel_changed: float
    one_pixel_changed_interval: Interval


class ShiftRun(Result):
    """One run of a study of `n` images.

    `weights` is the network's digest; null in studies of old versions. `accuracy_grid` is [dy][dx]
    from -max_shift to max_shift. `difference` is there for every run but the first.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    run: str
    network: str
    weights: str | None = None
    data: str
    split: str
    n: int
    border: Border
    max_shift: int
    protocol: str
    consistency: float
    consistency_interval: Interval
    accuracy_unshifted: float
    accuracy_shifted: float
    accuracy_shifted_interval: Interval
    accuracy_grid: list[list[float]]
    one_pixel: OnePixelShift
    path: list[PathPoint]
    layers: list[LayerShifts]
    fit: ShiftFit
    difference: Annotated[ShiftDifference | None, Field(exclude_if=_is_none)] = None


class ShiftResult(RootModel[Annotated[tuple[ShiftRun, ...], Field(min_length=1)]]):
    """An entry for each run of a study, in the order in which they were given."""


def read_result(folder: Path) -> ShiftResult:
    """The result of the study in a folder.

    Raises:
        ConvscopeError: the file cannot be read, or is not a shift study.
    """
    path = folder / FILE
    try:
        return ShiftResult.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConvscopeError(
            f"{path} is not a shift study ({place + ': ' if place else ''}{first['msg']}); "
            "delete the folder and make the study again"
        ) from None


class ShiftOverview(Wire):
    """What the explorer can compare.

    `runs` are the titles of the networks; `borders` what fills the empty pixels, by name;
    `largest_shift` how far an image can be shifted; `study` the runs of the newest study of this
    network, empty where there is none, and `command` makes one.
    """

    runs: list[str]
    borders: dict[str, str]
    largest_shift: int
    study: tuple[ShiftRun, ...]
    command: str | None


class ShiftPrediction(Wire):
    """What one network predicts for a shifted image, and for the same image unshifted.

    `target` is the image's label or, where it has none, the class that this network predicts for
    the unshifted image.
    """

    run: str
    predicted: int
    probability: float
    predicted_unshifted: int
    target: int
    target_probability: float
    target_probability_unshifted: float
    probabilities: list[float]


class ShiftPredictions(Wire):
    """The predictions of all networks for an image, `dx` pixels to the right and `dy` down."""

    dx: int
    dy: int
    border: Border
    labelled: bool
    predictions: list[ShiftPrediction]


class ShiftMap(Wire):
    """What one network predicts for an image at many shifts.

    Entry [i][j] is that of dy = -max_shift + i * step, dx = -max_shift + j * step. `target` as in
    `ShiftPrediction`; `same_class` is the share of shifts with the class of the unshifted image.
    """

    run: str
    max_shift: int
    step: int
    border: Border
    target: int
    predicted_unshifted: int
    target_probability: list[list[float]]
    predicted: list[list[int]]
    same_class: float
