"""The routes of the shift laboratory: an image is moved, and every network says what it sees."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args

import anyio.to_thread
import numpy as np
import torch
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from convscope.base.tensors import PixelBatch
from convscope.explorer import encode
from convscope.explorer.answers import PICTURE, PROBLEMS, OffText, Text, answer, picture
from convscope.explorer.explorer import Asked, Explorer
from convscope.explorer.problem import RefusedError, shown
from convscope.explorer.stream import while_connected
from convscope.explorer.subject import Subject, UnitsOff
from convscope.graph.batching import batch_in_turn
from convscope.lenses.shift import wire as wire_moved
from convscope.lenses.shift.compute import BORDERS, Border, shifted

_REACH = 8
# Multiply-adds of all places of a map: some seconds on a processor.
_MAP = 400_000_000_000

routes = APIRouter(prefix="/api", responses=PROBLEMS)
Pixels = Annotated[int, Query(ge=-(10**4), le=10**4)]


@routes.get("/laboratory", response_model=wire_moved.Laboratory)
async def laboratory(request: Request) -> Response:
    """Which networks answer, and what a study of many images found."""
    explorer: Explorer = request.app.state.explorer
    study = [_study(entry) for entry in explorer.stored.get("shift", ())]
    command = None
    if explorer.run is not None:
        # The other runs' folders are not known here: only their titles are.
        command = f"convscope shift {shlex.quote(shown(explorer.run))}"
    return answer(
        wire_moved.Laboratory(
            runs=[shown(one.title) for one in _networks(explorer)],
            borders={str(name): words for name, words in BORDERS.items()},
            furthest=min(explorer.subject.classifier.preprocess.size) - 1,
            study=study,
            command=command,
        )
    )


@routes.get("/moved", response_model=wire_moved.Moved)
async def moved(
    request: Request, image: Text, dx: Pixels = 0, dy: Pixels = 0, border: Text = "zero",
    off: OffText = None,
) -> Response:  # fmt: skip
    """What each network says of a moved image; switched-off units are those of the first."""
    explorer: Explorer = request.app.state.explorer
    networks, asked = _networks(explorer), explorer.asked(image, None, off)
    kind = _checked(explorer, dx, dy, border)

    def said() -> wire_moved.Moved:
        pixels = explorer.seen(image)[None]
        both = np.concatenate([pixels, shifted(pixels, dx, dy, kind)])
        label = explorer.images.picture(image).label
        found = []
        for number, network in enumerate(networks):
            shares = _shares(explorer, network, both, asked.off if number == 0 else ())
            unmoved, now = shares.argmax(1).tolist()
            followed = unmoved if label is None else label
            found.append(
                wire_moved.Said(
                    run=shown(network.title), predicted=now, probability=float(shares[1, now]),
                    unmoved=unmoved, followed=followed, share=float(shares[1, followed]),
                    share_unmoved=float(shares[0, followed]), probabilities=shares[1].tolist(),
                )
            )  # fmt: skip
        return wire_moved.Moved(dx=dx, dy=dy, border=kind, labelled=label is not None, said=found)

    async def work() -> wire_moved.Moved:
        return await anyio.to_thread.run_sync(said, limiter=explorer.store.turn)

    return answer(await while_connected(request.receive, work()))


@routes.get(
    "/moved/picture",
    response_class=Response,
    responses=PICTURE,
)
async def moved_picture(
    request: Request, image: Text, dx: Pixels = 0, dy: Pixels = 0, border: Text = "zero"
) -> Response:
    """The moved image, as the network sees it."""
    explorer: Explorer = request.app.state.explorer
    explorer.images.picture(image)
    kind = _checked(explorer, dx, dy, border)
    content = await explorer.away(
        lambda: encode.png(shifted(explorer.seen(image)[None], dx, dy, kind)[0]), "heavy"
    )
    return picture(content)


@routes.get("/moved/map", response_model=wire_moved.ShiftMap)
async def moved_map(
    request: Request, image: Text, run: Annotated[int, Query(ge=0, le=100)] = 0,
    border: Text = "zero", off: OffText = None,
) -> Response:  # fmt: skip
    """What one of the networks says of an image at many places."""
    explorer: Explorer = request.app.state.explorer
    networks, asked = _networks(explorer), explorer.asked(image, None, off)
    if run >= len(networks):
        raise RefusedError(422, f"run: there are 0 to {len(networks) - 1}")
    kind = _checked(explorer, 0, 0, border)
    work = _map(explorer, networks[run], asked, kind, asked.off if run == 0 else ())
    return answer(await while_connected(request.receive, work))


async def _map(
    explorer: Explorer, network: Subject, asked: Asked, border: Border, off: UnitsOff
) -> wire_moved.ShiftMap:
    """The map, a batch at a time, so that other work has its turn and a closed page ends it."""
    macs = max(1, network.table.totals.macs)
    reach, step = _places(macs, network.classifier.preprocess.size)
    pixels = await explorer.away(lambda: explorer.seen(asked.image)[None], "heavy")
    offsets = range(-reach, reach + 1, step)
    places = [(dy, dx) for dy in offsets for dx in offsets]
    size = batch_in_turn(macs, least=2)
    groups = [places[start : start + size] for start in range(0, len(places), size)]
    shares = []
    for group in groups:
        batch = np.concatenate([shifted(pixels, dx, dy, border) for dy, dx in group])
        shares.append(
            await anyio.to_thread.run_sync(
                _shares, explorer, network, batch, off, limiter=explorer.store.turn
            )
        )
    side = len(offsets)
    found = np.concatenate(shares).reshape(side, side, -1)
    predicted = found.argmax(2)
    unmoved = int(predicted[side // 2, side // 2])
    label = explorer.images.picture(asked.image).label
    followed = unmoved if label is None else label
    return wire_moved.ShiftMap(
        run=shown(network.title), reach=reach, step=step, border=border, followed=followed,
        unmoved=unmoved, probability=found[:, :, followed].tolist(), predicted=predicted.tolist(),
        same=float((predicted == unmoved).mean()),
    )  # fmt: skip


def _networks(explorer: Explorer) -> list[Subject]:
    """The explored network, then those beside it.

    Raises:
        RefusedError: a trunk.
    """
    if explorer.subject.probabilities is None:
        raise RefusedError(422, "a trunk has no classes: there is nothing to compare")
    return [explorer.subject, *explorer.beside]


def _checked(explorer: Explorer, dx: int, dy: int, border: str) -> Border:
    furthest = min(explorer.subject.classifier.preprocess.size) - 1
    if max(abs(dx), abs(dy)) > furthest:
        raise RefusedError(422, f"dx and dy: -{furthest} to {furthest}")
    for known in get_args(Border):
        if border == known:
            return known
    raise RefusedError(422, f"border: give {', '.join(BORDERS)}")


def _shares(explorer: Explorer, network: Subject, pixels: PixelBatch, off: UnitsOff) -> np.ndarray:
    """Probabilities (images, classes) of images as the network sees them, before normalising."""
    images = network.classifier.preprocess.normalise(pixels)
    with torch.inference_mode():
        return network.probabilities_of(images, explorer.store.go_on, off).double().cpu().numpy()


def _places(macs: int, size: Sequence[int]) -> tuple[int, int]:
    """How far a map reaches, and its step: as fine as the multiply-adds allow."""
    reach = min(_REACH, min(size) - 1)
    steps = [step for step in (1, 2, 4, 8) if reach % step == 0]
    fine = [step for step in steps if (2 * reach // step + 1) ** 2 * macs <= _MAP]
    return reach, fine[0] if fine else steps[-1]


def _study(entry: Mapping[str, Any]) -> wire_moved.StudyRun:
    """A run of a study from its file.

    Raises:
        RefusedError: the file has something else.
    """

    def share(values: Mapping[str, Any], name: str) -> wire_moved.Share:
        low, high = values[f"{name}_interval"]
        return wire_moved.Share(value=values[name], low=low, high=high)

    try:
        fit = entry["fit"]
        return wire_moved.StudyRun(
            run=shown(entry["run"]),
            network=shown(entry["network"]),
            data=shown(entry["data"]),
            split=shown(entry["split"]),
            images=entry["n"],
            border=entry["border"],
            reach=entry["max_shift"],
            accuracy=entry["accuracy_unshifted"],
            accuracy_grid=entry["accuracy_grid"],
            consistency=share(entry, "consistency"),
            accuracy_shifted=share(entry, "accuracy_shifted"),
            one_pixel_changed=share(entry["one_pixel"], "changed"),
            parameters=fit["parameters"],
            gap=share(fit, "gap") if "gap" in fit and fit["gap"] is not None else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError(422, "the shift study of this run is damaged; make it anew") from error
