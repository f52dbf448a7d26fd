"""The lens `activations`: the output of each layer for an image."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from convscope.contract.lens import Answer, AnyFloat, Inputs, Lens, Params, Result, Table

if TYPE_CHECKING:
    import numpy as np

    from convscope.base.tensors import Pixels
    from convscope.graph.trace import Trace
    from convscope.lenses.activations.picture import View

_CLASSES = 5


class ActivationsParams(Params):
    """Which layers, and over what their colours compare."""

    layer: tuple[str, ...] = Field(
        (),
        description="A layer; may be given again. By default convolutions, activation functions, "
        "pools, logits and softmax.",
    )
    scale: Literal["unit", "layer", "network"] = Field(
        "unit",
        description="Colours: each map by its own largest value, one scale a layer, or for all.",
    )


class LayerActivations(Result):
    """A layer: its shape without the batch axis, and figures of all its values.

    `maps` and `dead_maps` are null for vectors; a dead map is 0 everywhere. `sheet` is the file of
    its picture.
    """

    layer: str
    shape: list[int]
    minimum: AnyFloat
    mean: AnyFloat
    maximum: AnyFloat
    maps: int | None
    dead_maps: int | None
    sheet: str


class ClassProbability(Result):
    """A class and its probability, 0 to 1."""

    name: str
    probability: float


class ActivationsResult(Result):
    """The layers in the network's order, and the most probable classes.

    The arrays beside it are the layers' outputs, float32, without the batch axis.
    """

    network: str
    image: str
    layers: list[LayerActivations]
    classes: list[ClassProbability]


class _Drawn(NamedTuple):
    """What the pictures are made of; `pixels` is the image as the network sees it."""

    view: "View"
    pixels: "Pixels"


def _compute(inputs: Inputs, params: ActivationsParams) -> Answer[ActivationsResult]:
    from convscope.drawing.colours import Scale
    from convscope.lenses.activations.picture import layers_to_keep, layers_to_show, view

    subject, (image,) = inputs.subject, inputs.images
    names = layers_to_show(subject.graph, params.layer)
    record = inputs.trace(layers_to_keep(subject.graph, names))
    shown = view(
        record, names, network=subject.title, image=image.name,
        class_names=subject.classes or None, scale=Scale(params.scale),
    )  # fmt: skip
    values = {node.name: shown.values[node.name] for node in shown.nodes}
    result = ActivationsResult(
        network=subject.title,
        image=image.name,
        layers=[_layer(node.name, values[node.name], shown.file(node)) for node in shown.nodes],
        classes=_classes(inputs, record),
    )
    preprocess = subject.classifier.preprocess
    pixels = preprocess.centre(preprocess.canvas(image.pixels))
    return Answer(result, values, _Drawn(shown, pixels))


def _layer(name: str, values: "np.ndarray", sheet: str) -> LayerActivations:
    import numpy as np

    maps = dead = None
    if values.ndim > 1:
        flat = values.reshape(-1, *values.shape[-2:])
        maps, dead = len(flat), int((flat == 0).all(axis=(1, 2)).sum())
    with np.errstate(invalid="ignore", over="ignore"):
        return LayerActivations(
            layer=name,
            shape=list(values.shape),
            minimum=float(values.min()),
            mean=float(values.mean(dtype=np.float64)),
            maximum=float(values.max()),
            maps=maps,
            dead_maps=dead,
            sheet=sheet,
        )


def _classes(inputs: Inputs, record: "Trace") -> list[ClassProbability]:
    if not inputs.subject.classes:
        return []
    ranked = inputs.subject.classifier.ranked(record.logits[0].float().cpu(), _CLASSES)
    return [ClassProbability(name=name, probability=share) for name, share in ranked]


def _draw(answer: Answer[ActivationsResult]) -> Iterator[tuple[str, bytes]]:
    drawn: _Drawn = answer.value
    for node in drawn.view.nodes:
        yield drawn.view.file(node), drawn.view.sheet(node).png()
    if drawn.view.blocks:
        yield "strongest.png", drawn.view.strongest(drawn.pixels).png()


def _lines(answer: Answer[ActivationsResult]) -> Iterator[str | Table]:
    from convscope.base.numbers import number

    rows = [
        [
            one.layer, " x ".join(map(str, one.shape)), number(one.minimum), number(one.mean),
            number(one.maximum), "-" if one.maps is None else f"{one.dead_maps:,} of {one.maps:,}",
            one.sheet,
        ]
        for one in answer.result.layers
    ]  # fmt: skip
    columns = ["layer", "shape", "min", "mean", "max", "dead maps", "sheet"]
    yield Table(columns, rows, left=("layer", "sheet"))
    if answer.result.classes:
        shares = (f"{one.name} {one.probability:.1%}" for one in answer.result.classes)
        yield "classes: " + ", ".join(shares)


LENS = Lens(
    "activations",
    "image",
    params=ActivationsParams,
    result=ActivationsResult,
    compute=_compute,
    lines=_lines,
    draw=_draw,
)
