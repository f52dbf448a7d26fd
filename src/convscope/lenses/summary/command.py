"""`convscope summary`: each layer's output shape, parameters, multiply-adds and memory."""

import contextlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.output import Json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from torch import nn

    from convscope.graph.graph import Graph
    from convscope.graph.summary import Layer, Summary

Shape = tuple[int, int, int]

NUM_CLASSES = 1000
_LONGEST_SIDE = 4096
_MOST_VALUES = 2**28  # of one image: a gibibyte
_UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))
# The columns that are omitted in a narrow terminal, from the widest layout to the narrowest.
_LAYOUTS = (
    (),
    ("activations",),
    ("activations", "dense twin"),
    ("activations", "dense twin", "memory"),
    ("activations", "dense twin", "memory", "receptive field"),
)


def summary(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_RUN",
            help="A run folder, a model's name, or your own package.module:function.",
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            "--input", help="Channels x height x width, as 3x224x224; by default the network's own."
        ),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Classes of an untrained network; by default 1000.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show each layer's shape, parameters, multiply-adds, memory and receptive field."""
    from convscope.graph.summary import summary as summary_of

    found = summary_of(_graph(model, _shape(size), classes), model)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, allow_nan=False))
        return
    _print(found)


def _shape(text: str | None) -> Shape | None:
    """The shape in `--input`.

    Raises:
        ConvscopeError: it is not three positive numbers, or too large.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,9})\s*x\s*(\d{1,9})\s*x\s*(\d{1,9})\s*", text.lower())
    channels, height, width = map(int, match.groups()) if match else (0, 0, 0)
    if min(channels, height, width) < 1:
        raise ConvscopeError(
            f"--input {text!r}: give channels x height x width, each at least 1, as 3x224x224"
        )
    if max(height, width) > _LONGEST_SIDE:  # receptive fields grow with its square
        raise ConvscopeError(f"--input {text!r}: a side has at most {_LONGEST_SIDE:,} pixels")
    if channels * height * width > _MOST_VALUES:
        raise ConvscopeError(f"--input {text!r}: an image has at most {_MOST_VALUES:,} values")
    return channels, height, width


def _graph(model: str, shape: Shape | None, classes: int | None) -> "Graph":
    from convscope.console.source import is_run

    if is_run(model):
        return _run_graph(model, shape, classes)
    from convscope.nets.catalog import NETWORKS, build_module, find

    if model not in NETWORKS and ":" not in model:
        raise ConvscopeError(
            f"{model!r} is neither a run folder nor a network; give a folder that convscope train "
            f"wrote, one of {', '.join(NETWORKS)}, or your own as package.module:function"
        )
    shape = shape or find(model).input_shape  # imports the module of `package.module:function`

    def build() -> "nn.Module":
        return build_module(model, num_classes=classes or NUM_CLASSES, input_shape=shape)

    if model in NETWORKS:
        return _captured(build, shape, "meta")
    with contextlib.suppress(Exception):  # code that reads tensor values fails on meta
        return _captured(build, shape, "meta")
    return _captured(build, shape, "cpu")


def _run_graph(run: str, shape: Shape | None, classes: int | None) -> "Graph":
    from convscope.runs.folder import load

    if classes is not None:
        raise ConvscopeError(f"--classes: {run} is a run and has its own classes; omit --classes")
    classifier = load(run)
    own = (classifier.preprocess.channels, *classifier.preprocess.size)
    if shape is not None and shape[0] != own[0]:
        raise ConvscopeError(
            f"--input {_joined(shape)}: {run} was trained on images of {own[0]} "
            f"{'channel' if own[0] == 1 else 'channels'}; give {own[0]}x{shape[1]}x{shape[2]}"
        )
    return _captured(lambda: classifier.module, shape or own, "cpu")


def _captured(build: "Callable[[], nn.Module]", shape: Shape, device: str) -> "Graph":
    """The graph of the network from `build`; on the meta device no weight is allocated."""
    import torch

    from convscope.graph.capture import capture

    with torch.device(device):
        module = build()
    parameter = next((p for p in module.parameters() if p.is_floating_point()), None)
    dtype = None if parameter is None else parameter.dtype
    return capture(module, torch.empty((1, *shape), dtype=dtype, device=device))


def _print(found: "Summary") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.measure import Measurement

    from convscope.graph.summary import CONVENTIONS

    console = Console(highlight=False)
    if not console.is_terminal:  # a file has no width to wrap at
        widest = Measurement.get(console, console.options.update(width=10_000), _table(found, ()))
        console = Console(highlight=False, width=max(160, widest.maximum))
    table, without = _fitting(found, console)
    console.print(f"[bold]{escape(found.name)}[/] · input {_joined(found.input_shape)}")
    console.print(table)
    if without:
        console.print(
            f"(the terminal is too narrow for {', '.join(without)}; --json has everything)"
        )
    console.print()
    for name, label in (
        ("parameters", "parameters"), ("macs", "multiply-adds"), ("activations", "activations"),
        ("memory", "memory"), ("receptive_field", "receptive field"),
        ("dense_parameters", "dense twin"),
    ):  # fmt: skip
        if label not in without and (name != "dense_parameters" or _has_convolutions(found)):
            console.print(f"[dim]{label}: {CONVENTIONS[name]}[/]")
    if found.unknown_operations:
        names = ", ".join(found.unknown_operations)
        console.print(
            f"multiply-adds of {escape(names)} are not counted: convscope does not know them"
        )
    console.print()
    for line in _comparisons(found):
        console.print(escape(line))


def _fitting(found: "Summary", console: "Console") -> "tuple[Table, tuple[str, ...]]":
    """The table with as many columns as fit the console, and the names of the others."""
    from rich.measure import Measurement

    table, without = _table(found, ()), ()
    for without in _LAYOUTS:
        for whole in (True, False):
            table = _table(found, without, whole=whole)
            needed = Measurement.get(console, console.options.update(width=10_000), table).maximum
            if needed <= console.width:
                return table, without
    return table, without


def _table(found: "Summary", without: tuple[str, ...], *, whole: bool = True) -> "Table":
    """The layers by block; `whole` prints all digits of the dense twins."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold")
    table.add_column("kind", no_wrap=True)
    cells = _columns(whole)
    if not _has_convolutions(found):
        cells.pop("dense twin")
    for title in (title for title in cells if title not in without):
        table.add_column(title.replace("receptive field", "receptive\nfield"),
                         justify="right", no_wrap=True)  # fmt: skip
    shown = [cell for title, cell in cells.items() if title not in without]
    for block, layers in found.blocks.items():
        if table.row_count:
            table.add_row()
        sums = _sums(layers, [t for t in cells if t not in without])
        table.add_row(block, "", *sums, style="bold")
        for layer in layers:
            name, kind = _escaped(layer.name), _escaped(_kind(layer))
            table.add_row(f"  {name}", kind, *(cell(layer) for cell in shown))
    table.add_row()
    sums = _sums(found.layers, [t for t in cells if t not in without])
    table.add_row("total", "", *sums, style="bold")
    return table


def _columns(whole: bool) -> "dict[str, Callable[[Layer], str]]":
    return {
        "output": lambda layer: _joined(layer.output_shape),
        "parameters": lambda layer: _number(layer.parameters),
        "multiply-adds": lambda layer: _number(layer.macs),
        "activations": lambda layer: _number(layer.activations),
        "memory": lambda layer: _bytes(layer.memory),
        "receptive field": _field,
        "dense twin": lambda layer: _twin(layer.dense_parameters, whole),
    }


def _sums(layers: "tuple[Layer, ...]", titles: list[str]) -> list[str]:
    """The cells of a block or the whole network: its output shape, and sums."""
    sums = {
        "output": _joined(layers[-1].output_shape) if layers else "",
        "parameters": _number(sum(layer.parameters for layer in layers)),
        "multiply-adds": _number(sum(layer.macs for layer in layers)),
        "activations": _number(sum(layer.activations for layer in layers)),
        "memory": _bytes(sum(layer.memory for layer in layers)),
    }
    return [sums.get(title, "") for title in titles]


def _comparisons(found: "Summary") -> list[str]:
    totals, beside = found.totals, found.comparisons
    mlp = beside.mlp
    with_it = "" if mlp.parameters is None else f", {mlp.parameters:,} with it"
    convolutions, linear = f"{totals.convolution_macs:,}", f"{totals.linear_macs:,}"
    memory, activations = _bytes(totals.parameter_memory), _bytes(totals.memory)
    lines = [
        f"multiply-adds: {convolutions} in convolutions, {linear} in linear layers",
        f"memory: {memory} of parameters, {activations} of activations an image",
        (
            f"an MLP on this input, hidden layers {', '.join(map(str, mlp.hidden))}, would have "
            f"{mlp.parameters_before_output:,} parameters before its output layer{with_it}"
        ),
    ]
    if (twin := beside.first_convolution) is not None:
        lines.append(
            f"{twin.layer} has {twin.parameters:,} parameters; a dense layer with its inputs and "
            f"outputs would have {twin.dense_parameters:,}"
        )
    if (dense := beside.first_dense) is not None:
        lines.append(
            f"{dense.layer} has {dense.parameters:,} parameters; without the pools ahead of it its "
            f"input would be {_joined(dense.inputs_without_pools)}, and "
            f"{dense.parameters_without_pools:,} its parameters"
        )
    return lines


def _has_convolutions(found: "Summary") -> bool:
    return found.comparisons.first_convolution is not None


def _kind(layer: "Layer") -> str:
    from convscope.graph.kinds import Kind

    word = layer.operation if layer.kind is Kind.OTHER else str(layer.kind)
    return word.replace("_", " ").replace("average", "avg").strip()


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _field(layer: "Layer") -> str:
    field = layer.receptive_field
    if field is None:
        return "-"
    pairs = (field.size, field.stride, field.padding)
    parts = (str(high) if high == wide else f"{high}x{wide}" for high, wide in pairs)
    return ("" if field.exact else "≤") + "/".join(parts)


def _joined(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]:,}" if shape else "1"


def _number(value: int) -> str:
    return f"{value:,}" if value else "-"


def _twin(value: int | None, whole: bool) -> str:
    """All digits, or a multiple of 10^6 (M), 10^9 (G), 10^12 (T) or 10^15 (P)."""
    if value is None:
        return ""
    for unit, letter in _UNITS:
        if value >= unit and not whole:
            return f"{value / unit:,.1f} {letter}"
    return f"{value:,}"


def _bytes(value: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value} B" if value else "-"
