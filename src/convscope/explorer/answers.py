"""Responses of routes: JSON, arrays, pictures; and parameter types that routes share."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response
from pydantic import BaseModel, TypeAdapter
from torch import Tensor

from convscope.explorer.wire import Problem

Responses = dict[int | str, dict[str, Any]]
PROBLEMS: Responses = {"4XX": {"model": Problem}}
BINARY: Responses = {
    200: {"content": {"application/octet-stream": {}}, "description": "float32, X-Shape"}
}
PICTURE: Responses = {200: {"content": {"image/png": {}}, "description": "PNG"}}

Text = Annotated[str, Query(max_length=1_000)]
OffText = Annotated[str | None, Query(description='JSON: [["layer", unit], ...]')]

_LIST = TypeAdapter(list[Any])


def answer(model: BaseModel | Sequence[BaseModel], status: int = 200) -> Response:
    """A model, or several, as JSON; numbers that are not finite are null."""
    if isinstance(model, BaseModel):
        content = model.model_dump_json().encode()
    else:
        content = _LIST.dump_json(list(model))
    return Response(content, status, media_type="application/json")


def array(maps: Tensor) -> Response:
    """Maps (n, height, width) as float32, little-endian, row by row; their shape in `X-Shape`."""
    values = maps.detach().float().cpu().contiguous().numpy().astype("<f4", copy=False)
    shape = ",".join(map(str, values.shape))
    return Response(
        values.tobytes(), media_type="application/octet-stream", headers={"X-Shape": shape}
    )


def picture(content: bytes) -> Response:
    """A PNG."""
    return Response(content, media_type="image/png")
