"""The routes derived from a lens: its answer as JSON, its arrays, its first picture."""

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, TypeVar

import anyio.to_thread
import torch
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field, create_model

from convscope.contract.lens import Answer, InputImage, Inputs, Lens, Params
from convscope.explorer.answers import BINARY, PICTURE, PROBLEMS, answer, array, picture
from convscope.explorer.encode import as_maps
from convscope.explorer.explorer import Explorer, PassRequest
from convscope.explorer.problem import RefusedError
from convscope.explorer.stream import while_connected

T = TypeVar("T")


def routes_of(lens: Lens[Any, Any]) -> APIRouter | None:
    """The routes of a lens; None where it has none."""
    if lens.routes is not None:
        module, _, name = lens.routes.partition(":")
        return getattr(import_module(module), name)
    return None if lens.compute is None else _derived(lens)


def _derived(lens: Lens[Any, Any]) -> APIRouter:
    router = APIRouter(prefix=f"/api/{lens.name}", tags=[lens.name], responses=PROBLEMS)
    query = _query(lens)

    def add(
        path: str, given: Any, then: Callable[[Any, Answer[Any]], Response], **about: Any
    ) -> None:
        async def endpoint(request: Request, query: Any) -> Response:
            return await _computed(lens, request, query, lambda computed: then(query, computed))

        # The class of the query is made here, and FastAPI reads it from the annotations.
        endpoint.__annotations__["query"] = Annotated[given, Query()]
        router.add_api_route(path, endpoint, name=f"{lens.name}{path}", **about)

    def chosen(given: Any, computed: Answer[Any]) -> Response:
        if given.array not in computed.arrays:
            raise RefusedError(404, f"array: there are {', '.join(computed.arrays) or 'none'}")
        return array(as_maps(torch.from_numpy(computed.arrays[given.array])))

    def drawn(_: Any, computed: Answer[Any]) -> Response:
        assert lens.draw is not None
        return picture(next(iter(lens.draw(computed)))[1])

    add("", query, lambda _, computed: answer(computed.result), response_model=lens.result)
    add("/array", _with_array(query), chosen, response_class=Response, responses=BINARY)
    if lens.draw is not None:
        add("/picture", query, drawn, response_class=Response, responses=PICTURE)
    return router


def _query(lens: Lens[Any, Any]) -> Any:
    """The parameters of the lens, and what the explorer adds: the image and the units off."""
    assert lens.params is not None
    fields: dict[str, Any] = {
        "off": (str | None, Field(None, description='JSON: [["layer", unit], ...]')),
    }
    if lens.needs == "image":
        fields["image"] = (str, Field(max_length=1_000))
    if lens.needs == "images":
        fields["image"] = (str | None, Field(None, max_length=1_000))
    return create_model(f"{lens.params.__name__}Query", __base__=lens.params, **fields)


def _with_array(query: Any) -> Any:
    name = (str, Field(max_length=1_000, description="One of the arrays beside the result."))
    return create_model(f"{query.__name__}Array", __base__=query, array=name)


async def _computed(
    lens: Lens[Any, Any], request: Request, given: Any, then: Callable[[Answer[Any]], T]
) -> T:
    """What `then` makes of the answer; the last answer of each lens is remembered."""
    explorer: Explorer = request.app.state.explorer
    image = getattr(given, "image", None)
    assert lens.params is not None
    params = lens.params(**{name: getattr(given, name) for name in lens.params.model_fields})
    requested = None if image is None else explorer.pass_request(image, None, given.off)
    work = _work(lens, explorer, requested, params, then)
    return await while_connected(request.receive, work)


async def _work(
    lens: Lens[Any, Any], explorer: Explorer, requested: PassRequest | None, params: Params,
    then: Callable[[Answer[Any]], T],
) -> T:  # fmt: skip
    recorded = None
    if requested is not None and lens.needs == "image":
        recorded = await explorer.recorded(requested)

    def made() -> T:
        explorer.store.go_on()
        images = ()
        if requested is not None:
            name = explorer.images.picture(requested.image).name
            images = (InputImage(name, explorer.read(requested.image)),)

        def trace(_: Any) -> Any:
            assert recorded is not None, f"{lens.name} needs no image, and has no trace"
            return recorded.trace

        inputs = Inputs(explorer.subject, images, explorer.folder, trace)
        assert lens.compute is not None
        compute = lens.compute
        computed = explorer.remembered(
            lens.name, (requested, params), lambda: compute(inputs, params)
        )
        return then(computed)

    return await anyio.to_thread.run_sync(made, limiter=explorer.store.turn)
