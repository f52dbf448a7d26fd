"""The routes of the lens `kernel`: known kernels, output sizes, and a filtered image."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from convscope.base.errors import ConvscopeError
from convscope.explorer.answers import PROBLEMS, answer
from convscope.explorer.explorer import Explorer
from convscope.explorer.problem import RefusedError
from convscope.images import kernels
from convscope.lenses.kernel.result import (
    KernelRequest,
    KernelResult,
    OutputCell,
    OutputSize,
    Preset,
)

_MOST = 128  # for stride, padding and dilation
_ENTRIES = 31  # rows and columns of a kernel

routes = APIRouter(prefix="/api/kernel", tags=["kernel"], responses=PROBLEMS)
Whole = Annotated[int, Query(ge=-(10**9), le=10**9)]


@routes.get("/presets", response_model=list[Preset])
async def presets() -> Response:
    """Known kernels."""
    return answer(
        [
            Preset(name=name, kernel=[list(map(float, row)) for row in kernel])
            for name, kernel in kernels.KERNELS.items()
        ]
    )


@routes.get("/output-size", response_model=OutputSize)
async def output_size(
    size: Whole, kernel: Whole, stride: Whole = 1, padding: Whole = 0, dilation: Whole = 1
) -> Response:
    """One axis of a convolution or pool; what is impossible is an answer with an error."""
    formula = kernels.size_formula(size, kernel, stride, padding, dilation)
    try:
        found = kernels.output_size(size, kernel, stride, padding, dilation)
        lost = kernels.num_lost(size, kernel, stride, padding, dilation)
    except ConvscopeError as error:
        return answer(OutputSize(size=None, lost=0, formula=formula, error=str(error)))
    return answer(OutputSize(size=found, lost=lost, formula=f"{formula} = {found}", error=None))


@routes.post("", response_model=KernelResult)
async def filtered(request: Request, requested: KernelRequest) -> Response:
    """A grey image filtered by a kernel, and one number of the output worked out."""
    explorer: Explorer = request.app.state.explorer
    rows = len(requested.kernel)
    columns = {len(row) for row in requested.kernel}
    if not 1 <= rows <= _ENTRIES or len(columns) != 1 or not 1 <= max(columns) <= _ENTRIES:
        raise RefusedError(422, f"kernel: give 1 to {_ENTRIES} rows of the same number of entries")
    if max(requested.stride, requested.padding, requested.dilation) > _MOST:
        raise RefusedError(422, f"stride, padding and dilation: at most {_MOST}")
    if requested.image is not None:
        explorer.images.picture(requested.image)
    return answer(await explorer.in_thread(lambda: _filtered(explorer, requested), "heavy"))


def _filtered(explorer: Explorer, requested: KernelRequest) -> KernelResult:
    if requested.image is None:
        pixels = np.array(kernels.EXAMPLE, dtype=np.float64)
    else:
        pixels = explorer.grey(requested.image)
    weights = np.array(requested.kernel, dtype=np.float64)
    moves = (requested.stride, requested.padding, requested.dilation)
    rows, columns = ((pixels.shape[axis], weights.shape[axis], *moves) for axis in (0, 1))
    formulas = [
        f"{kernels.size_formula(*axis)} = {kernels.output_size(*axis)}" for axis in (rows, columns)
    ]
    output = None
    if requested.picture:
        output = kernels.convolve(pixels, weights, *moves, border=requested.border)
    cell = None
    if requested.at is not None:
        worked = kernels.cell(pixels, weights, requested.at, *moves, requested.border)
        cell = OutputCell(
            at=requested.at,
            **{name: np.asarray(value).tolist() for name, value in vars(worked).items()},
        )
    return KernelResult(
        input=[] if output is None else pixels.tolist(),
        output=[] if output is None else output.tolist(),
        lost=(kernels.num_lost(*rows), kernels.num_lost(*columns)),
        formulas=(formulas[0], formulas[1]),
        low=None if output is None else float(output.min()),
        high=None if output is None else float(output.max()),
        cell=cell,
    )
