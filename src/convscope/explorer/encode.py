"""Converts results to the models of the schema, and to bytes."""

import io
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from convscope.base.tensors import Pixels
from convscope.explorer import wire
from convscope.explorer.gallery import MAX_UPLOAD, Images
from convscope.explorer.problem import printable
from convscope.explorer.subject import Subject, UnitsOff
from convscope.graph.blocks import HEAD, blocks
from convscope.graph.channels import Channels, channels, spread
from convscope.graph.geometry import ReceptiveField
from convscope.graph.graph import INPUT, Node
from convscope.graph.kinds import (
    ACTIVATIONS,
    ARITHMETIC,
    POOLS,
    PROBABILITIES,
    REARRANGEMENTS,
    Kind,
)
from convscope.graph.ledger.largest import largest_channels, listed_terms
from convscope.graph.ledger.ledger import Ledger, Terms
from convscope.graph.trace import Trace

_STRONGEST = 8
_FAMILIES = {
    "activation": ACTIVATIONS,
    "pool": POOLS,
    "arithmetic": ARITHMETIC,
    "rearrangement": REARRANGEMENTS,
}


def subject_of(subject: Subject, images: Images) -> wire.Subject:
    """The description of the network and its images."""
    shape = subject.graph.input_shape
    totals = subject.table.totals
    return wire.Subject(
        title=printable(subject.title),
        trained=subject.trained,
        input=(shape[0], shape[1], shape[2]),
        classes=[printable(name) for name in subject.classes],
        parameters=totals.parameters,
        multiply_adds=totals.macs,
        logits=subject.graph.logits,
        output=subject.graph.output,
        layers=_layers(subject),
        stages=_stages(subject),
        first=images.first,
        upload_bytes=MAX_UPLOAD,
    )


def _stage_of(subject: Subject) -> dict[str, str]:
    stages = {INPUT: INPUT, **blocks(subject.graph)}
    return {node.name: stages.get(node.name, HEAD) for node in subject.nodes}


def _stages(subject: Subject) -> list[wire.Stage]:
    parameters = {layer.name: layer.parameters for layer in subject.table.layers}
    stages, first = [], 0
    for stage, run in groupby(_stage_of(subject).items(), key=itemgetter(1)):
        names = [name for name, _ in run]
        total = sum(parameters.get(name, 0) for name in names)
        stages.append(wire.Stage(name=stage, first=first, count=len(names), parameters=total))
        first += len(names)
    return stages


def _layers(subject: Subject) -> list[wire.Layer]:
    stages = _stage_of(subject)
    rows = {layer.name: layer for layer in subject.table.layers}
    return [
        wire.Layer(
            name=node.name,
            kind=str(node.kind),
            family=next((name for name, kinds in _FAMILIES.items() if node.kind in kinds), ""),
            operation=node.operation,
            stage=stages[node.name],
            inputs=list(node.inputs),
            shape=list(node.output_shape),
            parameters=rows[node.name].parameters if node.name in rows else 0,
            multiply_adds=rows[node.name].macs if node.name in rows else 0,
            field=_field(subject.fields.get(node.name)),
            formula=node.kind is not Kind.OTHER,
        )
        for node in subject.nodes
    ]


def _field(field: ReceptiveField | None) -> wire.Field | None:
    if field is None:
        return None
    return wire.Field(
        size=field.size, stride=field.stride, padding=field.padding, exact=field.exact
    )


def layer_detail(subject: Subject, name: str) -> wire.LayerDetail:
    """Settings and parameters of a layer, and the receptive fields of its rows and columns.

    Raises:
        ConvscopeError: for an unknown layer.
    """
    node = subject.node(name)
    field = subject.fields.get(name)
    parameters = []
    for role, tensor_name in node.parameters.items():
        values = subject.graph.parameter(node, role)
        if isinstance(values, Tensor) and values.numel():
            parameters.append(_parameter(role, tensor_name, values))
    return wire.LayerDetail(
        layer=name,
        settings={key: _plain(value) for key, value in node.settings.items()},
        parameters=parameters,
        rows=None if field is None else [(a, b) for a, b in field.rows.tolist()],
        columns=None if field is None else [(a, b) for a, b in field.columns.tolist()],
    )


def _parameter(role: str, name: str, values: Tensor) -> wire.Parameter:
    stats = spread(values)
    return wire.Parameter(role=role, name=name, shape=list(values.shape), **vars(stats))


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else str(value)


def pass_of(subject: Subject, trace: Trace, picture: wire.Picture, off: UnitsOff) -> wire.Pass:
    """The results of one pass, layer by layer."""
    layers, low, high = [], [], []
    for record in trace.layers:
        if record.node.name not in subject:
            continue
        stats = channels(record.output[0])
        layers.append(_layer_pass(record.node, stats))
        if record.node.kind not in PROBABILITIES:
            low.append(stats.low)
            high.append(stats.high)
    named = subject.probabilities
    probabilities = [] if named is None else trace[named].output[0].double().tolist()
    target = None if trace.targets is None else int(trace.targets[0])
    return wire.Pass(
        image=picture.image,
        picture=picture,
        off=[*off],
        target=target,
        logits=[] if named is None else trace.logits[0].double().tolist(),
        probabilities=probabilities,
        predicted=None if named is None else int(trace.logits[0].argmax()),
        cross_entropy=float(trace["cross_entropy"].output[0]) if target is not None else None,
        low=min(filter(np.isfinite, low), default=None),
        high=max(filter(np.isfinite, high), default=None),
        layers=layers,
    )


def _layer_pass(node: Node, stats: Channels) -> wire.LayerPass:
    return wire.LayerPass(
        layer=node.name,
        low=stats.low,
        high=stats.high,
        mean=stats.mean,
        dead=stats.dead,
        strongest=[
            wire.Strong(channel=i, mean=float(stats.means[i]), high=float(stats.highs[i]))
            for i in stats.strongest(_STRONGEST)
        ],
    )


def layer_values(trace: Trace, layer: str) -> wire.LayerValues:
    """Mean and range of each channel of a layer."""
    stats = channels(trace[layer].output[0])
    return wire.LayerValues(
        layer=layer,
        means=stats.means.tolist(),
        lows=stats.lows.tolist(),
        highs=stats.highs.tolist(),
        dead=((stats.lows == 0) & (stats.highs == 0)).nonzero().flatten().tolist(),
    )


def as_maps(output: Tensor) -> Tensor:
    """A record's output without the batch axis as maps (channels, height, width), a view."""
    if output.ndim == 3:
        return output
    if output.ndim < 2:
        return output.reshape(-1, 1, 1)
    return output.reshape(len(output), -1, output.shape[-1])


def number_of(ledger: Ledger, limit: int) -> wire.Number:
    """A ledger as columns; for kinds other than convolutions, the `limit` largest terms."""
    terms, sums, largest = listed_terms(ledger, limit), ledger.channels, largest_channels(ledger)
    window = ledger.window
    return wire.Number(
        layer=ledger.layer,
        kind=str(ledger.kind),
        index=list(ledger.index),
        formula=ledger.formula,
        weighted=ledger.weighted,
        window=None if window is None else (window[0], window[1], window[2]),
        first_channel=sums[0].channel if sums else 0,
        channel_sums=[channel.sum for channel in sums],
        strongest=[channel.channel for channel in largest.channels],
        others=wire.Rest(count=largest.other_count, sum=largest.other_sum),
        count=terms.count,
        sources=[_source(source, listed) for source, listed in terms.sources if len(listed)],
        rest=wire.Rest(count=terms.other_count, sum=terms.other_sum),
        bias=ledger.bias,
        details={name: float(value) for name, value in ledger.details.items()},
        sum=ledger.sum,
        value=ledger.value,
        difference=ledger.difference,
        scale=ledger.scale,
        error=ledger.error,
        agrees=ledger.agrees,
    )  # fmt: skip


def _source(terms: Terms, places: np.ndarray) -> wire.Source:
    # Without validation: a unit of VGG-16's last convolutions has 4,608 terms.
    return wire.Source.model_construct(
        node=terms.node,
        index=terms.indices[places].tolist(),
        weight=terms.weights[places].tolist(),
        value=terms.values[places].tolist(),
        product=terms.products[places].tolist(),
        padding=terms.padding[places].tolist(),
    )


def png(pixels: Pixels) -> bytes:
    """A picture (height, width, 1 or 3) as PNG."""
    content = io.BytesIO()
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    Image.fromarray(np.ascontiguousarray(flat)).save(content, "png", compress_level=1)
    return content.getvalue()
