"""Graphs, traces and ledgers as tables for notebooks: inline styles, no script, any background.

They are `Any` here: their classes import this module to be shown, so it cannot import them.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import Any

import torch
from torch import Tensor

MOST_ROWS = 200
_MOST_IMAGES = 8
_TOPK = 3
_LINE = "1px solid rgba(128,128,128,0.4)"  # seen on white and on black
_CELL = f"padding:2px 8px;border:0;border-bottom:{_LINE};background:transparent"


def graph_html(graph: Any) -> str:
    """A `Graph`'s nodes as an HTML table, at most 200: name, kind, shape, inputs, parameters."""
    counts = {
        node: sum(graph.tensors[name].numel() for name in names)
        for node, names in graph.first_uses.items()
    }
    rows = (
        (
            node.name,
            str(node.kind),
            _shape(node.output_shape),
            ", ".join(node.inputs),
            f"{counts[node.name]:,}" if counts.get(node.name) else "",
        )
        for node in graph.nodes
    )
    title = (
        f"graph: {len(graph.nodes) - 1:,} layers, {sum(counts.values()):,} parameters, "
        f"input {_shape(graph.input_shape)}, output {graph.output}"
    )
    heads = ("layer", "kind", "output shape", "inputs", "parameters")
    return _table(title, heads, rows, len(graph.nodes), left=(0, 1, 3))


def trace_html(trace: Any) -> str:
    """A `Trace`'s records as an HTML table, at most 200, and the most probable classes."""
    with_gradient = any(record.gradient is not None for record in trace.layers)
    heads = ["layer", "shape", "min", "mean", "max", "zeros"]
    if with_gradient:
        heads.append("largest gradient")
    rows = (_record(record, with_gradient) for record in trace.layers)
    title = f"trace: {len(trace.images):,} images, {len(trace.layers):,} records"
    table = _table(title, heads, rows, len(trace.layers), left=(0,))
    return table + _answers(trace)


def ledger_html(ledger: Any) -> str:
    """A `Ledger`'s terms as an HTML table, at most 200, their formula and sum."""
    rows = (_term(term, ledger.weighted) for term in ledger.terms)
    heads = ["from", "place", "value"]
    if ledger.weighted:
        heads += ["weight", "product"]
    title = f"{ledger.layer}[{_shape(ledger.index, ', ')}] of image {ledger.image}: {ledger.kind}"
    table = _table(title, heads, rows, len(ledger.terms), left=(0,))
    numbers = dict(ledger.details)
    if ledger.bias is not None:
        numbers["bias"] = ledger.bias
    agrees = "agrees" if ledger.agrees else "does not agree"
    lines = [
        ledger.formula,
        ", ".join(f"{name} = {_number(number)}" for name, number in numbers.items()),
        f"sum {ledger.sum:.9g}; the tensor says {ledger.value:.9g}, which {agrees}",
    ]
    return table + "".join(_line(line) for line in lines if line)


def _record(record: Any, with_gradient: bool) -> list[str]:
    output = record.output
    row = [record.node.name, _shape(tuple(output.shape)), *_spread(output)]
    if with_gradient:
        gradient = record.gradient
        row.append("" if gradient is None or not gradient.numel() else _largest(gradient))
    return row


def _spread(output: Tensor) -> tuple[str, ...]:
    """Smallest, mean and largest value, and the share of zeros."""
    if not output.numel() or not (output.is_floating_point() or output.dtype == torch.int64):
        return ("", "", "", "")
    low, high = torch.aminmax(output)
    mean = output.mean(dtype=torch.float64)
    zeros = 1 - torch.count_nonzero(output).item() / output.numel()
    return _number(low.item()), _number(mean.item()), _number(high.item()), f"{zeros:.1%}"


def _largest(gradient: Tensor) -> str:
    low, high = torch.aminmax(gradient)
    return _number(torch.maximum(-low, high).item())


def _answers(trace: Any) -> str:
    """The most probable classes of the first images; nothing for a trunk."""
    if trace.logits.ndim != 2:
        return ""
    shown = trace.logits[:_MOST_IMAGES].float().softmax(1)
    best = shown.topk(min(_TOPK, shown.shape[1]))
    lines = []
    for number, (values, classes) in enumerate(
        zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ):
        ranked = zip(classes, values, strict=True)
        words = ", ".join(f"class {index} {value:.1%}" for index, value in ranked)
        target = "" if trace.targets is None else f" (target {int(trace.targets[number])})"
        lines.append(_line(f"image {number}{target}: {words}"))
    if len(trace.logits) > len(shown):
        lines.append(_line(f"... and {len(trace.logits) - len(shown):,} more images"))
    return "".join(lines)


def _term(term: Any, weighted: bool) -> list[str]:
    name = f"{term.node} (padding)" if term.padding else term.node
    row = [name, _shape(term.index, ", "), _number(term.value)]
    return [*row, _number(term.weight), _number(term.product)] if weighted else row


def _table(
    title: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    count: int,
    *,
    left: Sequence[int],
) -> str:
    """A table of the first rows; `left` are the columns of words, numbers stand on the right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="{_CELL};text-align:{"left" if place in left else "right"}">'
            f"{escape(text)}</{tag}>"
            for place, text in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in islice(rows, MOST_ROWS))
    more = _line(f"... and {count - MOST_ROWS:,} more rows") if count > MOST_ROWS else ""
    return (
        f'{_line(title)}<table style="border-collapse:collapse;color:inherit;font-size:90%">'
        f"<thead><tr>{cells('th', heads)}</tr></thead><tbody>{body}</tbody></table>{more}"
    )


def _line(text: str) -> str:
    return f'<div style="color:inherit;padding:2px 8px">{escape(text)}</div>'


def _shape(shape: Iterable[int], between: str = " x ") -> str:
    return between.join(map(str, shape))


def _number(value: float) -> str:
    return f"{value:.4g}"
