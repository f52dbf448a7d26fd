"""`convscope activations`: what every layer of a network gives for one image."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.console.output import (
    Source,
    checked_folder,
    named,
    print_table,
    progress,
    warn_untrained,
)
from convscope.console.source import classifier_of

if TYPE_CHECKING:
    import numpy as np

    from convscope.graph.trace import Trace
    from convscope.nets.classifier import Classifier

_TOPK = 5


class Scale(StrEnum):
    """Over what colours compare."""

    unit = "unit"
    layer = "layer"
    network = "network"


Photo = Annotated[Path, typer.Argument(help="An image file.")]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer",
        help="This layer; may be given again. By default convolutions, activation functions, "
        "pools, logits and softmax.",
    ),
]
Scaled = Annotated[
    Scale,
    typer.Option(help="Colours: each map by its own largest value, one scale a layer, or for all."),
]
Out = Annotated[
    Path | None, typer.Option(help="A folder; by default activations/IMAGE.", show_default=False)
]


def activations(
    source: Source, image: Photo, layer: Layers = None, scale: Scaled = Scale.unit, out: Out = None
) -> None:
    """Draw what each layer gives for IMAGE, a sheet a layer, and store the numbers beside them."""
    from convscope.base.device import default_device
    from convscope.base.storage import make_folder, safe_name, write_bytes
    from convscope.drawing import colours
    from convscope.drawing.arrays import npz
    from convscope.graph.graph_of import graph_of
    from convscope.graph.trace import trace
    from convscope.images.files import read_image
    from convscope.lenses.activations.picture import layers_to_keep, layers_to_show, view

    folder = checked_folder(out or Path("activations", safe_name(image.stem)))
    classifier = classifier_of(source).to(default_device())
    preprocess = classifier.preprocess
    pixels = read_image(image, preprocess.channels)
    graph = graph_of(classifier)
    names = layers_to_show(graph, layer or [])
    make_folder(folder)
    warn_untrained(source)
    record = trace(graph, preprocess.batch([pixels]), keep=layers_to_keep(graph, names))
    shown = view(
        record,
        names,
        network=named(source),
        image=image.name,
        class_names=classifier.class_names,
        scale=colours.Scale(scale.value),
    )
    rows = []
    for node in progress(shown.nodes, "drawing"):
        write_bytes(folder / shown.file(node), shown.sheet(node).png())
        rows.append([node.name, *_figures(shown.values[node.name]), shown.file(node)])
    files = [*(row[-1] for row in rows)]
    if shown.blocks:
        picture = shown.strongest(preprocess.centre(preprocess.canvas(pixels)))
        write_bytes(folder / "strongest.png", picture.png())
        files.append("strongest.png")
    arrays = {node.name: shown.values[node.name] for node in shown.nodes}
    write_bytes(folder / "activations.npz", npz(arrays))
    columns = ["layer", "shape", "min", "mean", "max", "dead maps", "sheet"]
    print_table(columns, rows, left=("layer", "sheet"))
    _print_classes(classifier, record)
    print(f"{len(files)} pictures and activations.npz: {folder}")


def _figures(values: "np.ndarray") -> list[str]:
    """Shape, smallest, mean and largest value, and how many maps are zero everywhere."""
    import numpy as np

    from convscope.drawing.page import number

    with np.errstate(invalid="ignore", over="ignore"):
        figures = (values.min(), values.mean(dtype=np.float64), values.max())
    dead = "-"
    if values.ndim > 1:
        maps = values.reshape(-1, *values.shape[-2:])
        dead = f"{int((maps == 0).all(axis=(1, 2)).sum()):,} of {len(maps):,}"
    return [" x ".join(map(str, values.shape)), *(number(float(v)) for v in figures), dead]


def _print_classes(classifier: "Classifier", record: "Trace") -> None:
    logits = record.logits
    if logits.ndim == 2 and len(classifier.class_names or ()) == logits.shape[1]:
        ranked = classifier.ranked(logits[0].float().cpu(), _TOPK)
        print("classes: " + ", ".join(f"{name} {share:.1%}" for name, share in ranked))
