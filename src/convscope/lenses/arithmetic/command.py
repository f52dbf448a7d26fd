"""`convscope arithmetic`: how one activation of a network is computed."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.output import Json

if TYPE_CHECKING:
    import numpy as np

    from convscope.graph.ledger.ledger import Ledger
    from convscope.graph.trace import Trace
    from convscope.nets.classifier import Classifier


def arithmetic(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL_OR_RUN", help="A run folder or a model's name.")
    ] = None,
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="An image file.")] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="A layer's name, see `convscope summary`; by default the logits."),
    ] = None,
    channel: Annotated[
        int | None,
        typer.Option(help="Channel, unit or class; by default that of the largest value."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Row and column, as in 10,12; by default those of the largest value."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Class of the cross-entropy, by name or index; by default the predicted one."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every term.")] = False,
    as_json: Json = False,
    example: Annotated[
        str | None, typer.Option(help="Instead of a network: sobel, a 6 x 6 image by hand.")
    ] = None,
) -> None:
    """Show how an activation is computed: its terms, their sum, the recorded value."""
    if example is not None:
        _example(example, as_json)
        return
    if model is None or image is None:
        raise ConvscopeError("give MODEL_OR_RUN and an image file, or --example sobel")
    from convscope.console.output import named, warn_untrained
    from convscope.console.source import classifier_of
    from convscope.graph.ledger.ledger import worked

    classifier = classifier_of(model)
    ledger, which = _ledger(classifier, image, layer, channel, at, target)
    warn_untrained(model)
    if as_json:
        print(json.dumps(ledger.as_json(), allow_nan=False))
        return
    print(f"{named(model)} · {image.name}{which and ' · '}{which}")
    limit = max(len(ledger.terms), 1) if every else None
    print(worked(ledger) if limit is None else worked(ledger, channels=limit, terms=limit))


def _ledger(
    classifier: "Classifier",
    image: Path,
    layer: str | None,
    channel: int | None,
    at: str | None,
    target: str | None,
) -> tuple["Ledger", str]:
    """The ledger, and the name of its class if the number is a logit or probability."""
    import torch

    from convscope.graph.graph_of import graph_of
    from convscope.graph.ledger.arithmetic import arithmetic as ledger_of
    from convscope.graph.trace import CROSS_ENTROPY, SOFTMAX, trace
    from convscope.images.files import read_image

    place = None if at is None else _place(at)
    preprocess = classifier.preprocess
    images = preprocess.batch([read_image(image, preprocess.channels)])
    graph = graph_of(classifier)
    layer = graph.logits if layer is None else layer
    appended = layer in (SOFTMAX, CROSS_ENTROPY) and layer not in graph
    needed = {graph.logits} if appended else {layer, *graph[layer].inputs}
    record = trace(graph, images, keep=needed)
    if layer == CROSS_ENTROPY:
        number = _class(classifier, record, target)
        record = trace(graph, images, torch.tensor([number]), keep=needed)
    elif target is not None:
        raise ConvscopeError("--target is for --layer cross_entropy")
    index = _index(record, layer, channel, place)
    names = classifier.class_names or ()
    scores = layer in (graph.logits, graph.output, SOFTMAX) and len(index) == 1
    fits = len(names) == record[layer].output[0].numel()
    return ledger_of(record, layer, index), names[index[0]] if scores and fits else ""


def _place(text: str) -> tuple[int, ...]:
    try:
        place = tuple(int(part) for part in text.split(","))
    except ValueError:
        place = ()
    if len(place) != 2:
        raise ConvscopeError(f"--at {text!r}: give a row and a column, as in 10,12")
    return place


def _class(classifier: "Classifier", record: "Trace", target: str | None) -> int:
    """The index of the class in `--target`; without it the predicted class."""
    from convscope.contract.options import class_number

    if target is None:
        return int(record.logits[0].argmax())
    return class_number(classifier.class_names or (), target, "--target")


def _index(
    record: "Trace", layer: str, channel: int | None, place: tuple[int, ...] | None
) -> tuple[int, ...]:
    """The index of the number; what is not given is where the output is largest."""
    import torch

    output = record[layer].output[0]
    shape = tuple(output.shape)
    if place is not None and output.ndim != 3:
        raise ConvscopeError(
            f"--at: {layer} has an output of shape {shape}, without rows and columns; omit --at"
        )
    if channel is not None and not output.ndim:
        raise ConvscopeError(f"--channel: {layer} is one number; omit --channel")
    wanted = [channel, *(place or ()), None, None][: output.ndim]
    names = ("--channel", "the row of --at", "the column of --at")
    for axis, position in enumerate(wanted):
        if position is None:
            continue
        if not 0 <= position < output.shape[axis]:
            raise ConvscopeError(
                f"{layer} has an output of shape {shape}: {names[axis]} must be in "
                f"0..{output.shape[axis] - 1}, got {position}"
            )
        output = output.narrow(axis, position, 1)
    if not output.ndim:
        return ()
    best = torch.unravel_index(output.argmax(), output.shape)
    return tuple(
        int(largest) if position is None else position
        for largest, position in zip(best, wanted, strict=True)
    )


def _example(name: str, as_json: bool) -> None:
    """Prints a convolution of a 6 x 6 image with a Sobel kernel, or its output as JSON."""
    from convscope.images.kernels import EXAMPLE, KERNELS, convolve

    if name != "sobel":
        raise ConvscopeError(f"--example {name!r}: there is one example, sobel")
    kernel = KERNELS["sobel-left"]
    output = convolve(EXAMPLE, kernel)
    numbers: list[list[Any]] = [[int(value) for value in row] for row in output]
    if as_json:
        print(json.dumps({"output": numbers}))
        return
    print("input, 6 x 6\n" + _matrix(EXAMPLE))
    print("\nkernel, 3 x 3 (sobel-left), stride 1, no padding, not flipped\n" + _matrix(kernel))
    products = [
        f"({int(EXAMPLE[row][column])}·{int(kernel[row][column])})"
        for row in range(3)
        for column in range(3)
    ]
    print("\nfirst value: the sum of the products of kernel and input")
    print(f"  {' + '.join(products)} = {numbers[0][0]}")
    print("\noutput, floor((6 + 2·0 - 1·(3-1) - 1)/1) + 1 = 4 in height and width\n"
          + _matrix(numbers))  # fmt: skip


def _matrix(rows: "np.ndarray | Any") -> str:
    return "\n".join("  " + " ".join(f"{int(value):>4}" for value in row) for row in rows)
