"""The routes of the atlas: a channel's entry and top images, and a unit of the current image."""

from typing import Annotated, Literal

import numpy as np
import torch
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Pixels
from convscope.explorer import encode
from convscope.explorer.answers import PICTURE, PROBLEMS, OffText, Text, answer, picture
from convscope.explorer.explorer import Explorer
from convscope.explorer.problem import RefusedError, printable
from convscope.explorer.stream import while_connected
from convscope.graph.backward import backward
from convscope.graph.graph import INPUT
from convscope.graph.trace import Trace
from convscope.lenses.atlas.files import Atlas, Layer
from convscope.lenses.atlas.picture import colour_limit, projection_pixels
from convscope.lenses.atlas.result import (
    AtlasAnswer,
    AtlasEntry,
    ClassMean,
    Crop,
    ExplorerImage,
    UnitProjection,
    channels_of,
)

routes = APIRouter(prefix="/api/atlas", tags=["atlas"], responses=PROBLEMS)
ChannelIndex = Annotated[int, Query(ge=0, le=10**9)]
Kind = Literal["patch", "projection"]


@routes.get("", response_model=AtlasAnswer, name="atlas")
async def channel_entry(request: Request, layer: Text, channel: ChannelIndex) -> Response:
    """The atlas entry of a channel."""
    explorer: Explorer = request.app.state.explorer
    _check(explorer, layer, channel)
    return answer(await explorer.in_thread(lambda: _answer(explorer, layer, channel)))


@routes.get("/picture", response_class=Response, responses=PICTURE, name="atlas picture")
async def top_image_picture(
    request: Request, layer: Text, channel: ChannelIndex,
    rank: Annotated[int, Query(ge=0, le=1_000)], kind: Kind = "patch",
) -> Response:  # fmt: skip
    """A top image cut to what the unit sees, or its projection; `rank` counts from 0."""
    explorer: Explorer = request.app.state.explorer
    _check(explorer, layer, channel)
    atlas: Atlas | None = explorer.stored.get("atlas")
    if atlas is None or layer not in atlas.about.layers:
        raise RefusedError(404, f"there is no atlas of {layer}")

    def drawn() -> bytes:
        found = _layer(explorer, atlas, layer)
        if rank >= found.ranking.images.shape[1] or found.ranking.images[channel, rank] < 0:
            raise RefusedError(404, f"rank: channel {channel} has no image of that rank")
        if kind == "patch":
            return encode.png(_patch(explorer, atlas, found, channel, rank))
        values = found.projection(channel, rank)
        if values is None:
            raise RefusedError(404, f"channel {channel} of {layer} was not projected")
        return _projection_png(values)

    return picture(await explorer.in_thread(drawn, "heavy"))


@routes.get("/unit", response_model=UnitProjection, name="atlas unit")
async def unit_projection(
    request: Request, image: Text, layer: Text, channel: ChannelIndex, at: Text = "",
    off: OffText = None,
) -> Response:  # fmt: skip
    """A unit of this image, projected to the pixels; without `at` the channel's strongest."""
    found, _ = await _unit(request, image, layer, channel, at, off)
    return answer(found)


@routes.get("/unit/picture", response_class=Response, responses=PICTURE, name="atlas unit picture")
async def unit_picture(
    request: Request, image: Text, layer: Text, channel: ChannelIndex, at: Text = "",
    off: OffText = None, kind: Kind = "projection",
) -> Response:  # fmt: skip
    """The projection of a unit, cut to what it sees; or that part of the image."""
    explorer: Explorer = request.app.state.explorer
    found, signal = await _unit(request, image, layer, channel, at, off)

    def drawn() -> bytes:
        if kind == "projection":
            return _projection_png(signal)
        return encode.png(_cut(explorer.seen(image), found.crop))

    return picture(await explorer.in_thread(drawn, "heavy"))


def _check(explorer: Explorer, layer: str, channel: int) -> None:
    shape = explorer.subject.node(layer).output_shape
    if len(shape) != 3 or layer == INPUT:
        raise RefusedError(422, f"layer: {layer} has no channels with rows and columns")
    if channel >= shape[0]:
        raise RefusedError(422, f"channel: {layer} has channels 0 to {shape[0] - 1}")


def _layer(explorer: Explorer, atlas: Atlas, name: str) -> Layer:
    """A layer of the atlas; the last one stays in memory until the explorer stops."""
    return explorer.remembered("atlas layer", name, lambda: atlas.layer(name))


def _answer(explorer: Explorer, layer: str, channel: int) -> AtlasAnswer:
    atlas: Atlas | None = explorer.stored.get("atlas")
    entry = reason = command = None
    if atlas is None:
        title = printable(explorer.subject.title)
        reason = f"{title} has no atlas yet: its top images were not computed."
        if explorer.run is not None:
            command = f"convscope atlas {printable(explorer.run)}"
    elif layer not in atlas.about.layers:
        reason = f"The atlas does not have the layer {layer}."
    else:
        try:
            entry = _entry(explorer, atlas, _layer(explorer, atlas, layer), channel)
        except ConvscopeError as error:  # its file is missing or damaged
            reason = printable(str(error))
    layers = [] if atlas is None else atlas.about.layers
    return AtlasAnswer(entry=entry, reason=reason, command=command, layers=layers)


def _entry(explorer: Explorer, atlas: Atlas, layer: Layer, channel: int) -> AtlasEntry:
    ranking, about = layer.ranking, atlas.about
    (found,) = channels_of(atlas, layer, [channel])
    counts = ranking.class_count
    return AtlasEntry(
        channel=found,
        data=printable(about.data),
        split=printable(about.split),
        images=ranking.count,
        exact=layer.exact,
        classes=[
            ClassMean(
                name=printable(about.class_names[place]), images=int(counts[place]),
                mean=float(ranking.class_total[place, channel] / counts[place]),
            )
            for place in np.flatnonzero(counts)
        ],
        top=[_top_image(explorer, atlas, layer, channel, rank) for rank in range(len(found.top))],
    )  # fmt: skip


def _top_image(
    explorer: Explorer, atlas: Atlas, layer: Layer, channel: int, rank: int
) -> ExplorerImage:
    number = int(layer.ranking.images[channel, rank])
    values = layer.projection(channel, rank)
    return ExplorerImage(
        image=explorer.images.named(atlas.paths[number], atlas.digests[number]),
        label=printable(atlas.labels[number]) or None,
        largest=None if values is None else _largest(values),
        colour_limit=None if values is None else colour_limit(values),
    )


def _patch(explorer: Explorer, atlas: Atlas, layer: Layer, channel: int, rank: int) -> Pixels:
    number = int(layer.ranking.images[channel, rank])
    image = explorer.images.named(atlas.paths[number], atlas.digests[number])
    if image is None:
        raise RefusedError(
            404, "this image is not among those of the explorer, or has changed since the atlas"
        )
    return _cut(explorer.seen(image), layer.crops[channel, rank].tolist())


def _cut(pixels: Pixels, crop: Crop | list[int]) -> Pixels:
    top, left, bottom, right = crop
    if top == bottom or left == right:
        raise _only_padding()
    return pixels[top:bottom, left:right]


async def _unit(
    request: Request, image: str, layer: str, channel: int, at: str, off: str | None
) -> tuple[UnitProjection, np.ndarray]:
    """A unit and its signal (colours, height, width), cut to what the unit sees."""
    explorer: Explorer = request.app.state.explorer
    _check(explorer, layer, channel)
    _, height, width = explorer.subject.node(layer).output_shape
    position = _position(at, height, width)
    requested = explorer.pass_request(image, None, off)
    recorded = await while_connected(request.receive, explorer.recorded(requested))
    return await explorer.in_thread(
        lambda: explorer.remembered(
            "atlas unit", (requested, layer, channel, position),
            lambda: _projected(explorer, recorded.trace, layer, channel, position),
        ),
        "heavy",
    )  # fmt: skip


def _position(text: str, height: int, width: int) -> tuple[int, int] | None:
    if not text:
        return None
    parts = text.split(",")
    if len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts):
        row, column = (int(part[:9]) for part in parts)
        if row < height and column < width:
            return row, column
    raise RefusedError(422, f"at: give row,column, from 0,0 to {height - 1},{width - 1}")


def _projected(
    explorer: Explorer, trace: Trace, layer: str, channel: int, at: tuple[int, int] | None
) -> tuple[UnitProjection, np.ndarray]:
    field = explorer.subject.fields.get(layer)
    values = trace[layer].output[0, channel]
    strongest = divmod(int(values.argmax()), values.shape[1])
    row, column = strongest if at is None else at
    _, height, width = explorer.subject.graph.input_shape
    # If the receptive field is not known, the whole image is shown.
    crop = (0, 0, height, width) if field is None else field.box(row, column)
    seed = torch.zeros(trace[layer].output.shape[1:])
    seed[channel, row, column] = 1
    signal = backward(trace, layer, seed, "deconvnet")[0] * values[row, column]
    signal = signal[:, crop[0] : crop[2], crop[1] : crop[3]].cpu().numpy()
    found = UnitProjection(
        layer=layer,
        channel=channel,
        at=(row, column),
        strongest=strongest,
        value=float(values[row, column]),
        crop=crop,
        exact=field is not None and field.exact,
        largest=_largest(signal),
        colour_limit=colour_limit(signal),
    )
    return found, signal


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values[np.isfinite(values)]).max(initial=0))


def _projection_png(values: np.ndarray) -> bytes:
    if not values.size:
        raise _only_padding()
    return encode.png(projection_pixels(values))


def _only_padding() -> RefusedError:
    return RefusedError(404, "this unit sees only padding, no pixel of the image")
