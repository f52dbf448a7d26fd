"""The result of the atlas, which `--json` prints, and the answers of its routes.

Crops are (top, left, bottom, right) in pixels of the image as the network sees it, the last two
excluded; positions are (row, column) in a layer's map.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field, RootModel

from convscope.contract.lens import Result
from convscope.explorer.problem import printable
from convscope.explorer.wire import Wire

if TYPE_CHECKING:
    from convscope.lenses.atlas.files import Atlas, Layer

Crop = tuple[int, int, int, int]


class TopImage(Result):
    """One of the images that activate a channel most.

    `value` is the channel's largest activation in the image, at `position`; `crop` is what the unit
    there sees of the image.
    """

    path: str
    value: float
    position: tuple[int, int]
    crop: Crop


class Channel(Result):
    """The statistics and top images of a channel, over all images of an atlas.

    `active` is the share of images with an activation above zero, and `dead` says that there is
    none. `mean` and `maximum` are of the largest activation in each image. `selectivity`, 0 to 1,
    is that for `class`; both are null without classes. `top` begins with the largest activation.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    layer: str
    channel: int
    dead: bool
    active: float
    mean: float
    maximum: float
    selectivity: float | None
    class_name: str | None = Field(alias="class")
    top: list[TopImage]


class AtlasResult(RootModel[list[Channel]]):
    """An entry for each channel of each layer, in the network's order."""


class ExplorerImage(Wire):
    """What the explorer adds to an image in `Channel.top`.

    `image` names it where it can be opened, `label` is its class. Of its projection `largest` is
    the largest magnitude and `colour_limit` the one from which on its colours are saturated, both
    in units of the activation; null where the channel was not projected.
    """

    image: str | None
    label: str | None
    largest: float | None
    colour_limit: float | None


class ClassMean(Wire):
    """A class, and the mean over its images of the channel's largest activation in each."""

    name: str
    mean: float
    images: int


class AtlasEntry(Wire):
    """A channel as in `convscope atlas --json`, with what the explorer adds.

    `data`, `split` and `images` say what the atlas was made from. `top` belongs to `channel.top`,
    one by one. `exact` says whether crops are what the units see, or bounds.
    """

    channel: Channel
    data: str
    split: str
    images: int
    exact: bool
    classes: list[ClassMean]
    top: list[ExplorerImage]


class AtlasAnswer(Wire):
    """The atlas entry of a channel; without `entry`, `reason` says why there is none.

    `command` makes an atlas, where one can be made; `layers` are those that the atlas has.
    """

    entry: AtlasEntry | None
    reason: str | None
    command: str | None
    layers: list[str]


class UnitProjection(Wire):
    """A unit in the current image, projected back to the pixels.

    `at` is its row and column, `strongest` those of the channel's largest activation in the image;
    `value` is the unit's activation. `largest` and `colour_limit` as in `ExplorerImage`.
    """

    layer: str
    channel: int
    at: tuple[int, int]
    strongest: tuple[int, int]
    value: float | None
    crop: Crop
    exact: bool
    largest: float
    colour_limit: float


def channels_of(
    atlas: "Atlas", layer: "Layer", channels: Iterable[int] | None = None
) -> list[Channel]:
    """Some channels of a layer of an atlas; all by default."""
    ranking, names = layer.ranking, atlas.about.class_names
    selectivity, classes = ranking.selectivity()
    entries = []
    for channel in range(len(ranking.active)) if channels is None else channels:
        there = ranking.images[channel] >= 0
        columns = (
            values[channel][there].tolist()
            for values in (ranking.images, ranking.strengths, ranking.positions, layer.crops)
        )
        chosen = int(classes[channel])
        entries.append(
            Channel.model_validate({
                "layer": ranking.node,
                "channel": channel,
                "dead": bool(ranking.dead[channel]),
                "active": float(ranking.share[channel]),
                "mean": float(ranking.mean[channel]),
                "maximum": float(ranking.largest[channel]),
                "selectivity": float(selectivity[channel]) if chosen >= 0 else None,
                "class": printable(names[chosen]) if chosen >= 0 else None,
                "top": [
                    {"path": atlas.paths[image], "value": value, "position": position,
                     "crop": crop}
                    for image, value, position, crop in zip(*columns, strict=True)
                ],
            })
        )  # fmt: skip
    return entries
