"""The routes of pathways: which units carried a logit, and the proof that they did."""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import anyio.to_thread
import numpy as np
import torch
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from convscope.explorer import encode, wire
from convscope.explorer.answers import answer
from convscope.explorer.explorer import Explorer
from convscope.explorer.problem import RefusedError
from convscope.explorer.stream import while_connected
from convscope.graph.trace import Trace
from convscope.lenses.pathways import wire as out
from convscope.lenses.pathways.compute import PathwayLayer as Carried
from convscope.lenses.pathways.compute import Pathways, pathways
from convscope.lenses.pathways.proof import Proof, prove

routes = APIRouter(prefix="/api", responses={"4XX": {"model": wire.Problem}})
Text = Annotated[str, Query(max_length=1_000)]
Class = Annotated[int | None, Query(ge=0, le=10**9)]
_BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}}, "description": "float32, X-Shape"}
}

T = TypeVar("T")


@routes.get("/pathways", response_model=out.Pathways)
async def graph(request: Request, image: Text, target: Class = None, contrast: Class = None
                ) -> Response:  # fmt: skip
    """Which units carried the logits of two classes."""
    found = await _asked(request, image, target, contrast, lambda _, found: _pathways(found))
    return answer(found)


@routes.get("/pathways/maps", response_class=Response, responses=_BINARY)
async def maps(request: Request, image: Text, layer: Text, target: Class = None,
               contrast: Class = None) -> Response:  # fmt: skip
    """The target's contributions of a layer's drawn channels, place by place, as float32."""

    def chosen(_: Trace, found: Pathways) -> tuple[bytes, str]:
        for one in found.layers:
            if one.name == layer:
                values = one.contributions[0][list(one.shown)]
                return encode.map_bytes(encode.as_maps(torch.from_numpy(values)))
        names = ", ".join(one.name for one in found.layers)
        raise RefusedError(422, f"layer: the pathways lead through {names}")

    content, shape = await _asked(request, image, target, contrast, chosen)
    return Response(content, media_type="application/octet-stream", headers={"X-Shape": shape})


@routes.get("/pathways/proof", response_model=list[out.Proof])
async def proof(request: Request, image: Text, target: Class = None, contrast: Class = None
                ) -> Response:  # fmt: skip
    """What becomes of the logits when the pathway's units are switched off, beside controls."""
    found = await _asked(request, image, target, contrast, lambda trace, found: [
        _proof(one) for one in prove(trace, found)
    ])  # fmt: skip
    return answer(found)


async def _asked(
    request: Request,
    image: str,
    target: int | None,
    contrast: int | None,
    then: Callable[[Trace, Pathways], T],
) -> T:
    """What `then` makes of the pathways of the network with all units on."""
    explorer: Explorer = request.app.state.explorer
    asked = explorer.asked(image, target, None)
    if explorer.subject.probabilities is None:
        raise RefusedError(422, "a trunk has no classes, and no logit to explain")

    async def work() -> T:
        kept = await explorer.kept(asked)

        def made() -> T:
            explorer.store.go_on()
            key = asked, target, contrast
            found = explorer.last("pathways", key, lambda: pathways(kept.trace, target, contrast))
            return then(kept.trace, found)

        return await anyio.to_thread.run_sync(made, limiter=explorer.store.turn)

    return await while_connected(request.receive, work())


def _pathways(found: Pathways) -> out.Pathways:
    classes = [found.target, found.contrast]
    edges: list[list[float]] = []
    if found.edges is not None:
        edges = found.edges[:, list(found.layers[0].shown)].tolist()
    return out.Pathways(
        target=found.target,
        contrast=found.contrast,
        predicted=found.predicted,
        logits=_pair(found.logits[classes]),
        probabilities=_pair(found.probabilities[classes]),
        layers=[_layer(layer) for layer in found.layers],
        edges=edges,
        notes=list(found.notes),
    )


def _layer(layer: Carried) -> out.PathwayLayer:
    channels, shown = layer.channels, list(layer.shown)
    means = layer.activations.reshape(len(layer.activations), -1).mean(axis=1)
    return out.PathwayLayer(
        name=layer.name,
        role=layer.role,
        shape=list(layer.activations.shape),
        units=[
            out.PathwayUnit(
                unit=unit, activation=float(means[unit]), contribution=_pair(channels[:, unit])
            )
            for unit in shown
        ],
        drawn=_pair(channels[:, shown].sum(axis=1)),
        hidden=channels.shape[1] - len(shown),
        others=_pair(np.delete(channels, shown, axis=1).sum(axis=1)),
        carried=layer.carried,
        bias_share=layer.bias_share,
        residue=layer.residue,
        holds=layer.holds,
        curved=list(layer.curved),
        silence=layer.silence,
    )


def _proof(found: Proof) -> out.Proof:
    count = len(found.switched)
    randoms = zip(found.random_counts, found.random_drops, found.random_contrast_drops, strict=True)
    return out.Proof(
        layer=found.layer,
        by=found.by,
        active=found.active,
        switched=[list(unit) for unit in found.switched],
        claimed=found.claimed,
        drops=[
            out.Drop(
                name="the pathway", units=count, target=found.drop, contrast=found.contrast_drop
            ),
            out.Drop(
                name="the most active", units=count, target=found.activation_drop,
                contrast=found.activation_contrast_drop,
            ),
        ],
        random=[
            out.Drop(name="random", units=units, target=drop, contrast=contrast)
            for units, drop, contrast in randoms
        ],
        random_mean=found.random_mean,
        random_std=found.random_std,
        specific=found.specific,
        better=found.beats_random and found.beats_activation,
        verdict=found.verdict,
    )  # fmt: skip


def _pair(values: np.ndarray) -> out.Pair:
    target, contrast = values.tolist()
    return target, contrast
