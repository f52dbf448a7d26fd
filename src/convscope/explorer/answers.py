"""Models as answers."""

from collections.abc import Sequence
from typing import Any

from fastapi.responses import Response
from pydantic import BaseModel, TypeAdapter

_LIST = TypeAdapter(list[Any])


def answer(model: BaseModel | Sequence[BaseModel], status: int = 200) -> Response:
    """A model, or several, as JSON; numbers that are not finite are null."""
    if isinstance(model, BaseModel):
        content = model.model_dump_json().encode()
    else:
        content = _LIST.dump_json(list(model))
    return Response(content, status, media_type="application/json")
