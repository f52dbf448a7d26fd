"""`convscope filters`: the kernels of a network's convolutions, and what they were before."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.output import (
    Source,
    checked_folder,
    named,
    print_table,
    progress,
    stem,
    warn_untrained,
)
from convscope.console.source import classifier_of, is_run

if TYPE_CHECKING:
    import numpy as np

    from convscope.graph.graph import Graph, Node
    from convscope.nets.classifier import Classifier

_NOW, _BEFORE = "learned", "at initialisation"

Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer", help="This convolution; may be given again. By default all that train."
    ),
]
Out = Annotated[
    Path | None, typer.Option(help="A folder; by default filters/NAME.", show_default=False)
]


def filters(source: Source, layer: Layers = None, out: Out = None) -> None:
    """Draw the filters of each convolution, for a run beside those that its training began with."""
    from convscope.base.storage import make_folder, safe_name, write_bytes
    from convscope.drawing.arrays import npz
    from convscope.drawing.page import number
    from convscope.drawing.sheets import sheet_file
    from convscope.graph.graph_of import graph_of
    from convscope.lenses.filters.picture import filter_sheet

    folder = checked_folder(out or Path("filters", safe_name(stem(source))))
    classifier = classifier_of(source)
    graph = graph_of(classifier)
    nodes = _convolutions(graph, source, layer or [])
    weights = {node.name: {_key(source): _weight(graph, node)} for node in nodes}
    reason = _add_initial(weights, source, classifier, nodes) if is_run(source) else None
    make_folder(folder)
    warn_untrained(source)
    rows, arrays = [], {}
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    for node in progress(nodes, "drawing"):
        own = weights[node.name]
        shape = " x ".join(map(str, next(iter(own.values())).shape))
        title = f"{named(source)} · {node.name} · filters {shape}"
        notes = [_grouped(node)] if _grouped(node) else []
        path = folder / sheet_file(node.name, places[node.name], len(places))
        write_bytes(path, filter_sheet(own, title=title, notes=notes).png())
        for what, array in own.items():
            arrays[f"{node.name} {what}"] = array
            ends = [number(float(array.min())), number(float(array.max()))]
            rows.append([node.name, what, shape, *ends, f"{array.std():.3g}", path.name])
    write_bytes(folder / "filters.npz", npz(arrays))
    columns = ["layer", "weights", "filters", "min", "max", "std", "sheet"]
    print_table(columns, rows, left=("layer", "weights", "sheet"))
    if reason:
        print(f"without the filters at initialisation: {reason}")
    print(f"{len(nodes)} pictures and filters.npz: {folder}")


def _key(source: str) -> str:
    return _NOW if is_run(source) else _BEFORE


def _convolutions(graph: "Graph", source: str, asked: list[str]) -> list["Node"]:
    """The convolutions asked for, or all that can be trained.

    Raises:
        ConvscopeError: there are none, or another layer is asked for.
    """
    from convscope.graph.blocks import convolutions
    from convscope.graph.kinds import Kind

    every = [node for node in graph.nodes if node.kind is Kind.CONVOLUTION]
    known = ", ".join(node.name for node in every)
    if not every:
        raise ConvscopeError(f"{source} has no convolutions, and so no filters")
    for name in asked:
        if graph[name].kind is not Kind.CONVOLUTION:
            raise ConvscopeError(
                f"{name} is no convolution ({graph[name].kind}); there are {known}"
            )
    return [node for node in every if node.name in asked] if asked else convolutions(graph)


def _weight(graph: "Graph", node: "Node") -> "np.ndarray":
    weight = graph.parameter(node, "weight")
    if weight is None:
        raise ConvscopeError(
            f"{node.name} computes its filters from the image; there are none to draw"
        )
    return weight.float().cpu().contiguous().numpy()


def _add_initial(
    weights: dict[str, dict[str, "np.ndarray"]],
    run: str,
    classifier: "Classifier",
    nodes: list["Node"],
) -> str | None:
    """Adds the filters as they were before training; or says why that cannot be."""
    from dataclasses import replace

    from convscope.graph.graph_of import graph_of
    from convscope.lenses.filters.initial import load_initial

    try:
        before = graph_of(replace(classifier, module=load_initial(run)))
    except ConvscopeError as error:
        return str(error)
    for node in nodes:
        weights[node.name][_BEFORE] = _weight(before, node)
    return None


def _grouped(node: "Node") -> str:
    groups = int(node.settings.get("groups", 1))
    return f"{groups} groups: input channels are those of the filter's group" if groups > 1 else ""
