"""The lens `filters`: the kernels of a network's convolutions, now and before training."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from convscope.base.errors import ConvscopeError
from convscope.contract.lens import Answer, AnyFloat, Inputs, Lens, Params, Result, Table

if TYPE_CHECKING:
    import numpy as np

    from convscope.graph.graph import Graph, Node

_LEARNED, _INITIAL = "learned", "at initialisation"


class FiltersParams(Params):
    """Which convolutions."""

    layer: tuple[str, ...] = Field(
        (), description="A convolution; may be given again. By default all that train."
    )


class FilterFigures(Result):
    """The filters of one convolution, (filters, input channels of a group, rows, columns).

    `weights` is "learned" or "at initialisation"; `sheet` is the file of the picture of both.
    """

    layer: str
    weights: str
    shape: list[int]
    minimum: AnyFloat
    maximum: AnyFloat
    std: AnyFloat
    sheet: str


class FiltersResult(Result):
    """The convolutions in the network's order.

    `without_initial` says why a run's filters before training are missing; null where they are
    there, or where nothing was trained. The array "LAYER WEIGHTS" has the filters themselves.
    """

    network: str
    filters: list[FilterFigures]
    without_initial: str | None


class _Sheet(NamedTuple):
    """One convolution's sheet: its file, its title, and the filters by what they are."""

    file: str
    title: str
    notes: list[str]
    filters: "dict[str, np.ndarray]"


def _compute(inputs: Inputs, params: FiltersParams) -> Answer[FiltersResult]:
    from convscope.drawing.sheets import sheet_file

    subject, graph = inputs.subject, inputs.subject.graph
    nodes = _convolutions(graph, subject.title, params.layer)
    current = _LEARNED if inputs.run is not None else _INITIAL
    weights = {node.name: {current: _weight(graph, node)} for node in nodes}
    reason = None if inputs.run is None else _add_initial(weights, inputs, nodes)
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    sheets, rows = [], []
    for node in nodes:
        own = weights[node.name]
        shape = list(own[current].shape)
        title = f"{subject.title} · {node.name} · filters {' x '.join(map(str, shape))}"
        file = sheet_file(node.name, places[node.name], len(places))
        sheets.append(_Sheet(file, title, _notes(node), own))
        rows += [
            FilterFigures(
                layer=node.name, weights=what, shape=shape, minimum=float(array.min()),
                maximum=float(array.max()), std=float(array.std()), sheet=file,
            )
            for what, array in own.items()
        ]  # fmt: skip
    arrays = {
        f"{layer} {what}": array for layer, own in weights.items() for what, array in own.items()
    }
    result = FiltersResult(network=subject.title, filters=rows, without_initial=reason)
    return Answer(result, arrays, sheets)


def _convolutions(graph: "Graph", title: str, chosen: Sequence[str]) -> "list[Node]":
    """The convolutions that were chosen, or all that can be trained.

    Raises:
        ConvscopeError: there are none, or a layer is no convolution.
    """
    from convscope.graph.blocks import convolutions
    from convscope.graph.kinds import Kind

    every = [node for node in graph.nodes if node.kind is Kind.CONVOLUTION]
    known = ", ".join(node.name for node in every)
    if not every:
        raise ConvscopeError(f"{title} has no convolutions, and so no filters")
    for name in chosen:
        if graph[name].kind is not Kind.CONVOLUTION:
            raise ConvscopeError(
                f"{name} is not a convolution ({graph[name].kind}); there are {known}"
            )
    return [node for node in every if node.name in chosen] if chosen else convolutions(graph)


def _weight(graph: "Graph", node: "Node") -> "np.ndarray":
    weight = graph.parameter(node, "weight")
    if weight is None:
        raise ConvscopeError(
            f"{node.name} computes its filters from the image; there are none to draw"
        )
    return weight.float().cpu().contiguous().numpy()


def _add_initial(
    weights: "dict[str, dict[str, np.ndarray]]", inputs: Inputs, nodes: "list[Node]"
) -> str | None:
    """Adds the filters before training. Returns None, or the reason why it is impossible."""
    from dataclasses import replace

    from convscope.graph.graph_of import graph_of
    from convscope.lenses.filters.initial import load_initial

    assert inputs.run is not None
    try:
        module = load_initial(inputs.run)
    except ConvscopeError as error:
        # The page shows this too, and it does not tell where the run is on the disk.
        name = inputs.run.name  # "" of the current folder
        return str(error).replace(str(inputs.run), name) if name else str(error)
    before = graph_of(replace(inputs.subject.classifier, module=module))
    for node in nodes:
        weights[node.name][_INITIAL] = _weight(before, node)
    return None


def _notes(node: "Node") -> list[str]:
    groups = int(node.settings.get("groups", 1))
    if groups == 1:
        return []
    return [f"{groups} groups: input channels are those of the filter's group"]


def _draw(answer: Answer[FiltersResult]) -> Iterator[tuple[str, bytes]]:
    from convscope.lenses.filters.picture import filter_sheet

    sheets: list[_Sheet] = answer.value
    for one in sheets:
        yield one.file, filter_sheet(one.filters, title=one.title, notes=one.notes).png()


def _lines(answer: Answer[FiltersResult]) -> Iterator[str | Table]:
    from convscope.base.numbers import number

    rows = [
        [
            one.layer, one.weights, " x ".join(map(str, one.shape)), number(one.minimum),
            number(one.maximum), f"{one.std:.3g}", one.sheet,
        ]
        for one in answer.result.filters
    ]  # fmt: skip
    columns = ["layer", "weights", "filters", "min", "max", "std", "sheet"]
    yield Table(columns, rows, left=("layer", "weights", "sheet"))
    if answer.result.without_initial:
        yield f"without the filters at initialisation: {answer.result.without_initial}"


LENS = Lens(
    "filters",
    "network",
    params=FiltersParams,
    result=FiltersResult,
    compute=_compute,
    lines=_lines,
    draw=_draw,
)
