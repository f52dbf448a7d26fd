"""The routes of `shift`: the study of the run, and the predictions for a shifted image."""

import shlex
from collections.abc import Sequence
from typing import Annotated

import anyio.to_thread
import numpy as np
import torch
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from convscope.base.tensors import PixelBatch
from convscope.explorer import encode
from convscope.explorer.answers import PICTURE, PROBLEMS, OffText, Text, answer, picture
from convscope.explorer.explorer import Explorer, PassRequest
from convscope.explorer.problem import RefusedError, printable
from convscope.explorer.stream import while_connected
from convscope.explorer.subject import Subject, UnitsOff
from convscope.graph.batching import batch_in_turn
from convscope.images.borders import Border
from convscope.lenses.shift.compute import shifted
from convscope.lenses.shift.result import (
    ShiftMap,
    ShiftOverview,
    ShiftPrediction,
    ShiftPredictions,
    ShiftResult,
)

_MAP_SHIFT = 8
# Multiply-adds of all shifts of a map: some seconds on a processor.
_MAP = 400_000_000_000

routes = APIRouter(prefix="/api/shift", tags=["shift"], responses=PROBLEMS)
Pixels = Annotated[int, Query(ge=-(10**4), le=10**4)]


@routes.get("", response_model=ShiftOverview)
async def overview(request: Request) -> Response:
    """Which networks can be compared, and the study of many images."""
    explorer: Explorer = request.app.state.explorer
    study: ShiftResult | None = explorer.stored.get("shift")
    command = None
    if explorer.run is not None:
        # The other runs' folders are not known here: only their titles are.
        command = f"convscope shift {shlex.quote(printable(explorer.run))}"
    return answer(
        ShiftOverview(
            runs=[printable(one.title) for one in _networks(explorer)],
            borders={border.value: border.description for border in Border},
            largest_shift=_largest_shift(explorer),
            study=() if study is None else study.root,
            command=command,
        )
    )


@routes.get("/predictions", response_model=ShiftPredictions)
async def predictions(
    request: Request, image: Text, dx: Pixels = 0, dy: Pixels = 0, border: Border = Border.ZERO,
    off: OffText = None,
) -> Response:  # fmt: skip
    """What each network predicts for a shifted image; `off` is for the first network alone."""
    explorer: Explorer = request.app.state.explorer
    networks, requested = _networks(explorer), explorer.pass_request(image, None, off)
    _check_shift(explorer, dx, dy)

    def predicted() -> ShiftPredictions:
        pixels = explorer.seen(image)[None]
        both = np.concatenate([pixels, shifted(pixels, dx, dy, border)])
        label = explorer.images.picture(image).label
        found = [
            _prediction(
                network, _shares(explorer, network, both, () if number else requested.off), label
            )
            for number, network in enumerate(networks)
        ]
        return ShiftPredictions(
            dx=dx, dy=dy, border=border, labelled=label is not None, predictions=found
        )

    async def work() -> ShiftPredictions:
        return await anyio.to_thread.run_sync(predicted, limiter=explorer.store.turn)

    return answer(await while_connected(request.receive, work()))


def _prediction(network: Subject, shares: np.ndarray, label: int | None) -> ShiftPrediction:
    """From the probabilities (2, classes) of the unshifted and the shifted image."""
    unshifted, predicted = shares.argmax(1).tolist()
    target = unshifted if label is None else label
    return ShiftPrediction(
        run=printable(network.title),
        predicted=predicted,
        probability=float(shares[1, predicted]),
        predicted_unshifted=unshifted,
        target=target,
        target_probability=float(shares[1, target]),
        target_probability_unshifted=float(shares[0, target]),
        probabilities=shares[1].tolist(),
    )


@routes.get("/picture", response_class=Response, responses=PICTURE)
async def shifted_picture(
    request: Request, image: Text, dx: Pixels = 0, dy: Pixels = 0, border: Border = Border.ZERO
) -> Response:
    """The shifted image, as the network sees it."""
    explorer: Explorer = request.app.state.explorer
    explorer.images.picture(image)
    _check_shift(explorer, dx, dy)
    content = await explorer.in_thread(
        lambda: encode.png(shifted(explorer.seen(image)[None], dx, dy, border)[0]), "heavy"
    )
    return picture(content)


@routes.get("/map", response_model=ShiftMap)
async def shift_map(
    request: Request, image: Text, run: Annotated[int, Query(ge=0, le=100)] = 0,
    border: Border = Border.ZERO, off: OffText = None,
) -> Response:  # fmt: skip
    """What one of the networks predicts for an image at many shifts."""
    explorer: Explorer = request.app.state.explorer
    networks, requested = _networks(explorer), explorer.pass_request(image, None, off)
    if run >= len(networks):
        raise RefusedError(422, f"run: there are 0 to {len(networks) - 1}")
    work = _map(explorer, networks[run], requested, border, () if run else requested.off)
    return answer(await while_connected(request.receive, work))


async def _map(
    explorer: Explorer, network: Subject, requested: PassRequest, border: Border, off: UnitsOff
) -> ShiftMap:
    """The map, a batch at a time, so that other work has its turn and a closed page ends it."""
    macs = max(1, network.table.totals.macs)
    most, step = _grid(macs, network.classifier.preprocess.size)
    pixels = await explorer.in_thread(lambda: explorer.seen(requested.image)[None], "heavy")
    offsets = range(-most, most + 1, step)
    shifts = [(dy, dx) for dy in offsets for dx in offsets]
    size = batch_in_turn(macs, least=2)
    groups = [shifts[start : start + size] for start in range(0, len(shifts), size)]
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
    unshifted = int(predicted[side // 2, side // 2])
    label = explorer.images.picture(requested.image).label
    target = unshifted if label is None else label
    return ShiftMap(
        run=printable(network.title), max_shift=most, step=step, border=border, target=target,
        predicted_unshifted=unshifted, target_probability=found[:, :, target].tolist(),
        predicted=predicted.tolist(), same_class=float((predicted == unshifted).mean()),
    )  # fmt: skip


def _networks(explorer: Explorer) -> list[Subject]:
    """The explored network, then those to compare it with.

    Raises:
        RefusedError: a trunk.
    """
    if explorer.subject.probabilities is None:
        raise RefusedError(422, "a trunk has no classes: there is nothing to compare")
    return [explorer.subject, *explorer.beside]


def _largest_shift(explorer: Explorer) -> int:
    return min(explorer.subject.classifier.preprocess.size) - 1


def _check_shift(explorer: Explorer, dx: int, dy: int) -> None:
    most = _largest_shift(explorer)
    if max(abs(dx), abs(dy)) > most:
        raise RefusedError(422, f"dx and dy: -{most} to {most}")


def _shares(explorer: Explorer, network: Subject, pixels: PixelBatch, off: UnitsOff) -> np.ndarray:
    """Probabilities (images, classes) of images as the network sees them, before normalising."""
    images = network.classifier.preprocess.normalise(pixels)
    with torch.inference_mode():
        return network.probabilities_of(images, explorer.store.go_on, off).double().cpu().numpy()


def _grid(macs: int, size: Sequence[int]) -> tuple[int, int]:
    """The largest shift of a map, and its step: as fine as the multiply-adds allow."""
    most = min(_MAP_SHIFT, min(size) - 1)
    steps = [step for step in (1, 2, 4, 8) if most % step == 0]
    fine = [step for step in steps if (2 * most // step + 1) ** 2 * macs <= _MAP]
    return most, fine[0] if fine else steps[-1]
