"""The routes of the explorer itself: parse, call the explorer, encode."""

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from torch import Tensor

from convscope import __version__
from convscope.base.errors import ConvscopeError
from convscope.contract.routes import routes_of
from convscope.explorer import encode, wire
from convscope.explorer.answers import BINARY, PICTURE, PROBLEMS, OffText, Text, answer, array
from convscope.explorer.answers import picture as png
from convscope.explorer.explorer import Explorer
from convscope.explorer.problem import RefusedError, StoppedError, refusal
from convscope.explorer.stream import PassStream, while_connected
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.ledger.parts import kernels, parts
from convscope.graph.trace import Trace
from convscope.lenses.catalog import LENSES, lens
from convscope.server import static

_MAX_PREDICTIONS = 64
_LARGEST = {"thumb": 96, "whole": 1600}

Target = Annotated[int | None, Query(ge=0)]


def build(explorer: Explorer | None) -> FastAPI:
    """The app without access control; `explorer` may be None to get only the schema."""
    app = FastAPI(
        title="convscope", version=__version__, openapi_url=None, docs_url=None, redoc_url=None,
        exception_handlers={
            RequestValidationError: _invalid, HTTPException: _http, ConvscopeError: _refused,
            RefusedError: _refused, StoppedError: _refused, Exception: _refused,
        },
    )  # fmt: skip
    app.state.explorer = explorer
    app.include_router(routes)
    for name in LENSES:
        if (router := routes_of(lens(name))) is not None:
            app.include_router(router)
    app.include_router(static.routes)
    return app


routes = APIRouter(prefix="/api", responses=PROBLEMS)


def _explorer(request: Request) -> Explorer:
    return request.app.state.explorer


@routes.get("/subject", response_model=wire.Subject)
async def subject(request: Request) -> Response:
    """The network."""
    explorer = _explorer(request)
    return answer(encode.subject_of(explorer.subject, explorer.images))


@routes.get("/layer", response_model=wire.LayerDetail)
async def layer(request: Request, layer: Text) -> Response:
    """Details of one layer."""
    explorer = _explorer(request)
    if layer not in explorer.details:
        detail = await explorer.in_thread(lambda: encode.layer_detail(explorer.subject, layer))
        explorer.details[layer] = detail
    return answer(explorer.details[layer])


@routes.get("/gallery", response_model=wire.Gallery)
async def gallery(
    request: Request,
    split: Annotated[str | None, Query(max_length=100)] = None,
    label: Annotated[int | None, Query(ge=0)] = None,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Some images of a split, by default of the first one."""
    return answer(_explorer(request).images.page(split, label, offset, limit))


@routes.get("/predictions", response_model=list[wire.Prediction])
async def predictions(
    request: Request, images: Annotated[str, Query(max_length=8_000)]
) -> Response:
    """Predictions for some images."""
    names = [name for name in images.split(",") if name]
    if not 1 <= len(names) <= _MAX_PREDICTIONS:
        raise RefusedError(422, f"images: give 1 to {_MAX_PREDICTIONS} images, separated by commas")

    async def wanted() -> bool:
        return not await request.is_disconnected()

    return answer(await _explorer(request).predict(names, wanted))


@routes.get(
    "/picture",
    response_class=Response,
    responses=PICTURE,
)
async def picture(request: Request, image: Text, size: Text = "input") -> Response:
    """An image as a picture: small, in full size, or as the network sees it."""
    explorer = _explorer(request)
    explorer.images.picture(image)
    if size != "input" and size not in _LARGEST:
        raise RefusedError(422, "size: give thumb, input or whole")

    def drawn() -> bytes:
        if size == "input":
            return encode.png(explorer.seen(image))
        return encode.png(explorer.small(image, 3, _LARGEST[size]))

    return png(await explorer.in_thread(drawn, "heavy"))


@routes.post(
    "/images",
    response_model=wire.Picture,
    openapi_extra={
        "requestBody": {"content": {"application/octet-stream": {}}, "required": True},
    },
)
async def drop(request: Request) -> Response:
    """Stores a file that was dropped on the page, if it is an image."""
    explorer = _explorer(request)
    content = await request.body()
    given = unquote(request.headers.get("x-name", ""), errors="replace")
    name = re.sub(r"[\x00-\x1f\x7f]", " ", re.split(r"[/\\]", given)[-1])[:200].strip()
    canvas = explorer.subject.classifier.preprocess.canvas
    image = await explorer.in_thread(
        lambda: explorer.images.checked(name, content, canvas), "heavy"
    )
    return answer(explorer.images.picture(explorer.images.drop(image)))


@routes.get(
    "/pass",
    response_class=Response,
    responses={200: {"model": wire.PassLine, "description": "NDJSON: a line each"}},
)
async def recorded_pass(
    request: Request, image: Text, target: Target = None, off: OffText = None
) -> Response:
    """One pass of an image, with its progress; closing the connection ends it."""
    explorer = _explorer(request)
    return PassStream(explorer, explorer.pass_request(image, target, off))


@routes.get("/values", response_model=wire.LayerValues)
async def values(
    request: Request, image: Text, layer: Text, target: Target = None, off: OffText = None
) -> Response:
    """Mean and range of each channel of a layer."""
    explorer = _explorer(request)
    explorer.subject.node(layer)
    trace = await _trace(request, image, target, off)
    return answer(await explorer.in_thread(lambda: encode.layer_values(trace, layer)))


@routes.get("/maps", response_class=Response, responses=BINARY)
async def maps(
    request: Request, image: Text, layer: Text, channels: Text,
    target: Target = None, off: OffText = None,
) -> Response:  # fmt: skip
    """Activation maps of a layer as float32."""
    explorer = _explorer(request)
    shape = explorer.subject.node(layer).output_shape
    chosen = _numbers("channels", channels, shape[0] if shape else 1)
    trace = await _trace(request, image, target, off)
    return await _maps(explorer, lambda: encode.as_maps(trace[layer].output[0])[chosen])


@routes.get("/kernels", response_class=Response, responses=BINARY)
async def kernel_maps(
    request: Request, layer: Text, channel: Annotated[int, Query(ge=0)], inputs: Text
) -> Response:
    """Kernels of one filter as float32."""
    explorer = _explorer(request)
    chosen = _inputs(explorer, layer, inputs)
    return await _maps(explorer, lambda: kernels(explorer.subject.graph, layer, channel, chosen))


@routes.get("/parts", response_class=Response, responses=BINARY)
async def part_maps(
    request: Request, image: Text, layer: Text, channel: Annotated[int, Query(ge=0)],
    inputs: Text, target: Target = None, off: OffText = None,
) -> Response:  # fmt: skip
    """What each input channel contributes to a convolution's map, as float32."""
    explorer = _explorer(request)
    chosen = _inputs(explorer, layer, inputs)
    kernels(explorer.subject.graph, layer, channel, chosen)
    trace = await _trace(request, image, target, off)
    return await _maps(explorer, lambda: parts(trace, layer, channel, chosen))


@routes.get("/number", response_model=wire.Number)
async def number(
    request: Request, image: Text, layer: Text, index: Text = "",
    target: Target = None, off: OffText = None,
    limit: Annotated[int, Query(ge=0, le=100_000)] = 200,
) -> Response:  # fmt: skip
    """How one activation is computed."""
    explorer = _explorer(request)
    node = explorer.subject.node(layer)
    place = [_whole("index", part) for part in index.split(",")] if index else []
    trace = await _trace(request, image, target, off)

    def encoded() -> Response:
        return answer(encode.number_of(arithmetic(trace, node.name, place), limit))

    return await explorer.in_thread(encoded)


async def _trace(request: Request, image: str, target: int | None, off: str | None) -> Trace:
    """The requested pass; it is stopped with the request if no other request waits for it."""
    explorer = _explorer(request)
    requested = explorer.pass_request(image, target, off)
    return await while_connected(request.receive, explorer.trace(requested))


async def _maps(explorer: Explorer, made: Callable[[], Tensor]) -> Response:
    return await explorer.in_thread(lambda: array(made()))


def _inputs(explorer: Explorer, layer: str, inputs: str) -> list[int]:
    """Input channels of a convolution's filters, from text."""
    node = explorer.subject.node(layer)
    weight = explorer.subject.graph.parameter(node, "weight")
    if weight is None or weight.ndim != 4:
        raise RefusedError(422, f"{layer} is not a convolution: it has no kernels")
    return _numbers("inputs", inputs, weight.shape[1])


def _numbers(name: str, text: str, count: int) -> list[int]:
    """`0-15` (inclusive) or `0,3,5`, each below `count`.

    Raises:
        RefusedError: the text has another form.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        start = _whole(name, first)
        end = _whole(name, last) if dash else start
        if not start <= end < count or len(numbers) + end - start >= count:
            break
        numbers += range(start, end + 1)
    else:
        if len(set(numbers)) == len(numbers):
            return numbers
    raise RefusedError(422, f"{name}: there are 0 to {count - 1}, each given once")


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise RefusedError(422, f"{name}: give whole numbers, as in 0-15 or 3,5,7")
    return int(text)


async def _refused(_: Request, error: Exception) -> Response:
    refused = refusal(error)
    return _problem(refused.status, refused.error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return _problem(422, f"{place}: {first['msg']}" if place else str(first["msg"]))


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "there is nothing at this address", 405: "this address takes another method"}
    return _problem(error.status_code, words.get(error.status_code, "the request cannot be read"))


def _problem(status: int, text: str) -> Response:
    return answer(wire.Problem(error=text), status)
