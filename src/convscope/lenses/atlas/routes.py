"""The routes of a channel's card: its strongest images in the atlas, and a unit of this image."""

from functools import lru_cache
from typing import Annotated

import numpy as np
import torch
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from convscope.base.errors import ConvscopeError
from convscope.base.tensors import Pixels
from convscope.explorer import encode
from convscope.explorer.answers import PICTURE, PROBLEMS, OffText, Text, answer, picture
from convscope.explorer.explorer import Explorer
from convscope.explorer.problem import RefusedError, shown
from convscope.explorer.stream import while_connected
from convscope.graph.backward import backward
from convscope.graph.geometry import ReceptiveField
from convscope.graph.graph import INPUT
from convscope.graph.trace import Trace
from convscope.lenses.atlas import result as wire_cards
from convscope.lenses.atlas.files import Atlas, Layer
from convscope.lenses.atlas.picture import full_from, projection_pixels

_KINDS = ("projection", "patch")

routes = APIRouter(prefix="/api", responses=PROBLEMS)
Channel = Annotated[int, Query(ge=0, le=10**9)]


@routes.get("/card", response_model=wire_cards.Card)
async def card(request: Request, layer: Text, channel: Channel) -> Response:
    """What a channel looks for."""
    explorer: Explorer = request.app.state.explorer
    _check(explorer, layer, channel)
    return answer(await explorer.away(lambda: _card(explorer, layer, channel)))


@routes.get("/card/picture", response_class=Response, responses=PICTURE)
async def card_picture(
    request: Request, layer: Text, channel: Channel, rank: Annotated[int, Query(ge=0, le=1_000)],
    kind: Text = "patch",
) -> Response:  # fmt: skip
    """A strongest image cut to what the unit sees, or what excited it there."""
    explorer: Explorer = request.app.state.explorer
    _check(explorer, layer, channel)
    _check_kind(kind)
    atlas: Atlas | None = explorer.stored.get("atlas")
    if atlas is None or layer not in atlas.about.layers:
        raise RefusedError(404, f"there is no atlas of {layer}")

    def drawn() -> bytes:
        found = _layer(atlas, layer)
        if rank >= found.ranking.images.shape[1] or found.ranking.images[channel, rank] < 0:
            raise RefusedError(404, f"rank: channel {channel} has no image of that rank")
        if kind == "patch":
            return encode.png(_patch(explorer, atlas, found, channel, rank))
        values = _values(found, channel, rank)
        if values is None:
            raise RefusedError(404, f"channel {channel} of {layer} was not projected")
        return _painted(values)

    return picture(await explorer.away(drawn, "heavy"))


@routes.get("/projected", response_model=wire_cards.Projected)
async def projected(
    request: Request, image: Text, layer: Text, channel: Channel, at: Text = "", off: OffText = None
) -> Response:
    """A unit of this image, sent back to the pixels; without `at` the channel's strongest."""
    found, _ = await _projected(request, image, layer, channel, at, off)
    return answer(found)


@routes.get("/projected/picture", response_class=Response, responses=PICTURE)
async def projected_picture(
    request: Request, image: Text, layer: Text, channel: Channel, at: Text = "",
    off: OffText = None, kind: Text = "projection",
) -> Response:  # fmt: skip
    """The projection of a unit, cut to what it sees; or that part of the image."""
    _check_kind(kind)
    explorer: Explorer = request.app.state.explorer
    found, values = await _projected(request, image, layer, channel, at, off)

    def drawn() -> bytes:
        if kind == "projection":
            return _painted(values)
        return encode.png(_cut(explorer.seen(image), found.crop))

    return picture(await explorer.away(drawn, "heavy"))


def _check(explorer: Explorer, layer: str, channel: int) -> None:
    shape = explorer.subject.node(layer).output_shape
    if len(shape) != 3 or layer == INPUT:
        raise RefusedError(422, f"layer: {layer} has no channels of maps to look at")
    if channel >= shape[0]:
        raise RefusedError(422, f"channel: {layer} has channels 0 to {shape[0] - 1}")


def _check_kind(kind: str) -> None:
    if kind not in _KINDS:
        raise RefusedError(422, f"kind: give {' or '.join(_KINDS)}")


@lru_cache(maxsize=2)
def _layer(atlas: Atlas, name: str) -> Layer:
    return atlas.layer(name)


def _card(explorer: Explorer, layer: str, channel: int) -> wire_cards.Card:
    atlas: Atlas | None = explorer.stored.get("atlas")
    title = shown(explorer.subject.title)
    reason = command = ranked = None
    if atlas is None:
        reason = f"{title} has no atlas: what its channels look for was not computed yet."
        if explorer.run is not None:
            command = f"convscope atlas {shown(explorer.run)}"
    elif layer not in atlas.about.layers:
        reason = f"The atlas has other layers than {layer}."
    else:
        try:
            ranked = _ranked(explorer, atlas, _layer(atlas, layer), channel)
        except ConvscopeError as error:  # its file is gone or damaged
            reason = shown(str(error))
    layers = [] if atlas is None else atlas.about.layers
    return wire_cards.Card(
        layer=layer, channel=channel, ranked=ranked, reason=reason, command=command, layers=layers
    )


def _ranked(explorer: Explorer, atlas: Atlas, layer: Layer, channel: int) -> wire_cards.Ranked:
    ranking, names = layer.ranking, atlas.about.class_names
    selectivity, best = ranking.selectivity()
    counts = ranking.class_count
    classes = [
        wire_cards.ClassMean(
            name=shown(names[place]), images=int(counts[place]),
            mean=float(ranking.class_total[place, channel] / counts[place]),
        )
        for place in np.flatnonzero(counts)
    ]  # fmt: skip
    chosen = best[channel] >= 0
    there = np.flatnonzero(ranking.images[channel] >= 0)
    return wire_cards.Ranked(
        data=shown(atlas.about.data),
        split=shown(atlas.about.split),
        images=ranking.count,
        dead=bool(ranking.dead[channel]),
        active=float(ranking.share[channel]),
        mean=float(ranking.mean[channel]),
        high=float(ranking.largest[channel]),
        selectivity=float(selectivity[channel]) if chosen else None,
        best=shown(names[best[channel]]) if chosen else None,
        classes=classes,
        exact=layer.exact,
        winners=[_winner(explorer, atlas, layer, channel, rank) for rank in there.tolist()],
    )


def _winner(
    explorer: Explorer, atlas: Atlas, layer: Layer, channel: int, rank: int
) -> wire_cards.Winner:
    ranking = layer.ranking
    number = int(ranking.images[channel, rank])
    path, values = atlas.paths[number], _values(layer, channel, rank)
    y, x = ranking.positions[channel, rank].tolist()
    return wire_cards.Winner(
        rank=rank,
        path=shown(path),
        image=explorer.images.named(path, atlas.digests[number]),
        label=shown(atlas.labels[number]) or None,
        value=float(ranking.strengths[channel, rank]),
        position=(y, x),
        crop=_box(layer.crops[channel, rank]),
        largest=None if values is None else float(np.abs(values).max(initial=0)),
        full=None if values is None else _full(values),
    )


def _values(layer: Layer, channel: int, rank: int) -> np.ndarray | None:
    """(colours, height, width): a winner's projection, cut to its crop; None: not projected."""
    place = np.flatnonzero(layer.projections.channels == channel)
    if not len(place):
        return None
    y0, x0, y1, x1 = _box(layer.crops[channel, rank])
    shares = layer.projections.shares[place[0], rank, :, : y1 - y0, : x1 - x0]
    return shares.astype(np.float32) * layer.projections.scales[place[0], rank]


def _patch(explorer: Explorer, atlas: Atlas, layer: Layer, channel: int, rank: int) -> Pixels:
    number = int(layer.ranking.images[channel, rank])
    image = explorer.images.named(atlas.paths[number], atlas.digests[number])
    if image is None:
        raise RefusedError(
            404, "this image is not among those that are explored, or changed since the atlas"
        )
    return _cut(explorer.seen(image), _box(layer.crops[channel, rank]))


def _cut(pixels: Pixels, crop: tuple[int, int, int, int]) -> Pixels:
    y0, x0, y1, x1 = crop
    if y0 == y1 or x0 == x1:
        raise RefusedError(404, "this unit sees nothing of the image, only padding")
    return pixels[y0:y1, x0:x1]


async def _projected(
    request: Request, image: str, layer: str, channel: int, at: str, off: str | None
) -> tuple[wire_cards.Projected, np.ndarray]:
    """The unit's figures and its signal (colours, height, width), cut to what it sees."""
    explorer: Explorer = request.app.state.explorer
    _check(explorer, layer, channel)
    _, height, width = explorer.subject.node(layer).output_shape
    place = _place(at, height, width)
    asked = explorer.asked(image, None, off)
    kept = await while_connected(request.receive, explorer.kept(asked))
    key = asked, layer, channel, place
    return await explorer.away(
        lambda: explorer.last(
            "projected", key, lambda: _sent_back(explorer, kept.trace, layer, channel, place)
        ),
        "heavy",
    )


def _place(text: str, height: int, width: int) -> tuple[int, int] | None:
    if not text:
        return None
    parts = text.split(",")
    if len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts):
        row, column = (int(part[:9]) for part in parts)
        if row < height and column < width:
            return row, column
    raise RefusedError(422, f"at: give row,column, from 0,0 to {height - 1},{width - 1}")


def _sent_back(
    explorer: Explorer, trace: Trace, layer: str, channel: int, at: tuple[int, int] | None
) -> tuple[wire_cards.Projected, np.ndarray]:
    field = explorer.subject.fields.get(layer)
    values = trace[layer].output[0, channel]
    best = divmod(int(values.argmax()), values.shape[1])
    y, x = best if at is None else at
    crop = _seen_by(field, (y, x), explorer.subject.graph.input_shape[1:])
    seed = torch.zeros(trace[layer].output.shape[1:])
    seed[channel, y, x] = 1
    signal = backward(trace, layer, seed, "deconvnet")[0, :, crop[0] : crop[2], crop[1] : crop[3]]
    signal = (signal * values[y, x]).cpu().numpy()
    found = wire_cards.Projected(
        layer=layer,
        channel=channel,
        at=(y, x),
        strongest=best,
        value=float(values[y, x]),
        crop=crop,
        exact=field is not None and field.exact,
        largest=float(np.abs(signal).max(initial=0)),
        full=_full(signal),
    )
    return found, signal


def _seen_by(
    field: ReceptiveField | None, at: tuple[int, int], size: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """What a unit sees; all of the image where that is not known; zeros for padding alone."""
    if field is None:
        return 0, 0, size[0], size[1]
    (y0, y1), (x0, x1) = field.rows[at[0]].tolist(), field.columns[at[1]].tolist()
    return (y0, x0, y1, x1) if y0 < y1 and x0 < x1 else (0, 0, 0, 0)


def _box(crop: np.ndarray) -> tuple[int, int, int, int]:
    y0, x0, y1, x1 = crop.tolist()
    return y0, x0, y1, x1


def _full(values: np.ndarray) -> float:
    return full_from(values) if values.size else 0.0


def _painted(values: np.ndarray) -> bytes:
    if not values.size:
        raise RefusedError(404, "this unit sees nothing of the image, only padding")
    return encode.png(projection_pixels(values))
