"""`convscope receptive-field`: what a unit can see of an image, and what it really uses."""

from pathlib import Path
from typing import Annotated

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.output import Source, named, warn_untrained

_RANDOM = 16


def receptive_field(
    source: Source,
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Image files; without any, 16 of noise (seed 0)."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="A layer's name; by default the last one with rows and columns."),
    ] = None,
    channel: Annotated[int | None, typer.Option(help="One channel; by default all.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture.")] = Path(
        "receptive-field.png"
    ),
) -> None:
    """Draw the receptive field of a layer's middle unit, and the part that it really uses."""
    import torch

    from convscope.base.storage import write_bytes
    from convscope.console.source import classifier_of
    from convscope.graph.geometry import receptive_fields
    from convscope.graph.graph_of import graph_of
    from convscope.images.files import read_image
    from convscope.lenses.receptive_field.compute import effective_receptive_field
    from convscope.lenses.receptive_field.picture import field_picture, half_of_the_mass

    if out.suffix.lower() != ".png":
        raise ConvscopeError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    classifier = classifier_of(source)
    preprocess = classifier.preprocess
    if images:
        batch = preprocess.batch([read_image(path, preprocess.channels) for path in images])
        what = f"{len(images)} image" + "s" * (len(images) > 1)
    else:
        generator = torch.Generator().manual_seed(0)
        batch = torch.randn(_RANDOM, preprocess.channels, *preprocess.size, generator=generator)
        what = f"{_RANDOM} images of noise"
    graph = graph_of(classifier)
    fields = receptive_fields(graph)
    maps = [node.name for node in graph.nodes[1:] if len(node.output_shape) == 3]
    if not maps:
        raise ConvscopeError(f"{source} has no layer with rows and columns")
    layer = layer or maps[-1]
    mass = effective_receptive_field(graph, batch, layer, channel).cpu().numpy()
    field = fields.get(layer)
    place = layer if channel is None else f"{layer}, channel {channel}"
    lines = [f"{named(source)} · {place} · middle unit · {what}"]
    if field is not None:
        size, stride, padding = (
            " x ".join(map(str, pair)) for pair in (field.size, field.stride, field.padding)
        )
        kind = "exact" if field.exact else "a bound"
        lines.append(f"receptive field {size} ({kind}), stride {stride}, padding {padding}")
    else:
        lines.append("receptive field not known: see `convscope summary`")
    half = half_of_the_mass(mass)
    lines.append(f"half of the gradient's mass lies in {half:,} of {mass.size:,} pixels")
    write_bytes(out, field_picture(mass, field, "\n".join(lines)))
    warn_untrained(source)
    print("\n".join([*lines, f"picture: {out}"]))
