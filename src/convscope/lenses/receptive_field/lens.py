"""The lens `receptive-field`: the pixels that a unit can see, and those that affect it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from convscope.base.errors import ConvscopeError
from convscope.contract.lens import Answer, Inputs, Lens, Params, Result

if TYPE_CHECKING:
    from torch import Tensor

_RANDOM = 16
_PICTURE = "receptive-field.png"


class FieldParams(Params):
    """Which unit: the one in the middle of a layer's map."""

    layer: str | None = Field(
        None, description="A layer's name; by default the last one with rows and columns."
    )
    channel: int | None = Field(None, ge=0, description="One channel; by default the sum of all.")


class Box(Result):
    """A receptive field away from the border, in pixels, (vertical, horizontal).

    `exact`: the unit sees all of it and nothing else; otherwise it is an upper bound.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    exact: bool


class FieldResult(Result):
    """What the middle unit of a layer can see, and what it uses.

    `field` is null where it is not known. `used` is how many of the `pixels` hold half of the
    gradient's mass, the most sensitive first. The array `mass` (height, width) is the mean of
    |d(activation) / d(pixel)| over the images, which sums to 1.
    """

    network: str
    layer: str
    channel: int | None
    images: str
    field: Box | None
    used: int
    pixels: int


def _compute(inputs: Inputs, params: FieldParams) -> Answer[FieldResult]:
    from convscope.lenses.receptive_field.compute import effective_receptive_field, half_of_the_mass

    subject = inputs.subject
    graph = subject.graph
    maps = [node.name for node in graph.nodes[1:] if len(node.output_shape) == 3]
    if not maps:
        raise ConvscopeError(f"{subject.title} has no layer with rows and columns")
    layer = graph[params.layer].name if params.layer else maps[-1]
    count = len(inputs.images)
    images = subject.images([image.pixels for image in inputs.images]) if count else _noise(inputs)
    mass = effective_receptive_field(graph, images, layer, params.channel).cpu().numpy()
    field = subject.fields.get(layer)
    result = FieldResult(
        network=subject.title,
        layer=layer,
        channel=params.channel,
        images=f"{count} image{'s' * (count > 1)}" if count else f"{_RANDOM} images of noise",
        field=None if field is None else Box(
            size=field.size, stride=field.stride, padding=field.padding, exact=field.exact
        ),
        used=half_of_the_mass(mass),
        pixels=mass.size,
    )  # fmt: skip
    return Answer(result, {"mass": mass}, field)


def _noise(inputs: Inputs) -> "Tensor":
    import torch

    shape = _RANDOM, *inputs.subject.graph.input_shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _lines(answer: Answer[FieldResult]) -> list[str]:
    result = answer.result
    unit = result.layer if result.channel is None else f"{result.layer}, channel {result.channel}"
    lines = [f"{result.network} · {unit} · middle unit · {result.images}"]
    if (box := result.field) is None:
        lines.append("receptive field not known: see `convscope summary`")
    else:
        size, stride, padding = (
            " x ".join(map(str, pair)) for pair in (box.size, box.stride, box.padding)
        )
        kind = "exact" if box.exact else "a bound"
        lines.append(f"receptive field {size} ({kind}), stride {stride}, padding {padding}")
    half = f"{result.used:,} of {result.pixels:,} pixels"
    return [*lines, f"half of the gradient's mass lies in {half}"]


def _draw(answer: Answer[FieldResult]) -> Iterator[tuple[str, bytes]]:
    from convscope.lenses.receptive_field.picture import field_picture

    yield _PICTURE, field_picture(answer.arrays["mass"], answer.value, "\n".join(_lines(answer)))


LENS = Lens(
    "receptive-field",
    "images",
    params=FieldParams,
    result=FieldResult,
    compute=_compute,
    lines=_lines,
    draw=_draw,
)
