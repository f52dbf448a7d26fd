"""Tables for notebooks: well-formed, escaped, bounded, and with the right numbers."""

from html.parser import HTMLParser

import pytest
import torch
from torch import nn

import zoo
from convscope.graph.capture import capture
from convscope.graph.html import graph_html, ledger_html, trace_html
from convscope.graph.ledger.arithmetic import arithmetic
from convscope.graph.trace import trace


class Table(HTMLParser):
    """Rows of cells, and what stands outside; refuses scripts and tags left open."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.lines, self.open = [], [], []
        self.feed(text)
        assert not self.open
        assert "script" not in text
        assert "http" not in text

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        assert {name for name, _ in attrs} <= {"style"}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        else:
            self.lines.append(data)


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_a_graph(family):
    module = zoo.network(family)
    graph = capture(module, zoo.images(1))
    table = Table(graph_html(graph))
    head, *rows = table.rows
    assert head == ["layer", "kind", "output shape", "inputs", "parameters"]
    assert [row[0] for row in rows] == [node.name for node in graph.nodes]
    total = sum(p.numel() for p in module.parameters())
    assert sum(int(row[4].replace(",", "") or 0) for row in rows) == total
    assert f"{total:,} parameters" in table.lines[0]
    assert graph._repr_html_() == graph_html(graph)


def test_a_trace_with_gradients():
    graph = capture(zoo.network("vgg"), zoo.images(1))
    images = zoo.images(2)
    recorded = trace(graph, images, torch.tensor([1, 2]))
    table = Table(trace_html(recorded))
    head, *rows = table.rows
    assert head == ["layer", "shape", "min", "mean", "max", "zeros", "largest gradient"]
    assert [row[0] for row in rows] == [record.node.name for record in recorded.layers]
    relu = recorded["features.1"]
    numbers = [relu.output.min(), relu.output.double().mean(), relu.output.max()]
    share = (relu.output == 0).double().mean()
    expected = ["features.1", "2 x 4 x 32 x 32", *(f"{number:.4g}" for number in numbers)]
    assert rows[2] == [*expected, f"{share:.1%}", f"{relu.gradient.abs().max():.4g}"]
    assert rows[-1][0] == "cross_entropy"
    assert rows[-1][-1] == ""
    best = recorded.logits[1].softmax(0)
    assert table.lines[-1].startswith(
        f"image 1 (target 2): class {best.argmax()} {best.max():.1%}, class "
    )
    assert recorded._repr_html_() == trace_html(recorded)


def test_many_images_and_a_trunk():
    graph = capture(zoo.network("mlp"), zoo.images(1))
    lines = Table(trace_html(trace(graph, zoo.images(11)))).lines
    assert [line.split(":")[0] for line in lines[-9:-1]] == [f"image {i}" for i in range(8)]
    assert lines[-1] == "... and 3 more images"
    trunk = capture(nn.Sequential(nn.Conv2d(3, 2, 3)), zoo.images(1))
    assert len(Table(trace_html(trace(trunk, zoo.images(1)))).lines) == 1


def test_values_that_are_no_numbers():
    graph = capture(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), torch.zeros(1, 3, 1, 1))
    recorded = trace(graph, torch.full((1, 3, 1, 1), float("nan")))
    assert Table(trace_html(recorded)).rows[1][2:] == ["nan", "nan", "nan", "0.0%"]


def test_names_are_escaped():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("<b>&\"'", nn.Conv2d(3, 2, 1))

        def forward(self, x):
            return next(self.children())(x)

    graph = capture(Odd(), zoo.images(1))
    (name,) = [node.name for node in graph.nodes[1:]]
    assert "<b>" in name
    for text in (graph_html(graph), trace_html(trace(graph, zoo.images(1)))):
        assert "<b>" not in text
        assert name in [row[0] for row in Table(text).rows]


def test_at_most_200_rows():
    graph = capture(nn.Sequential(*(nn.ReLU() for _ in range(250))), torch.zeros(1, 1, 2, 2))
    table = Table(graph_html(graph))
    assert len(table.rows) == 1 + 200
    assert table.lines[-1] == "... and 51 more rows"
    table = Table(trace_html(trace(graph, torch.zeros(1, 1, 2, 2))))
    assert (len(table.rows), table.lines[-1]) == (201, "... and 51 more rows")


def test_a_ledger():
    graph = capture(zoo.network("vgg"), zoo.images(1))
    recorded = trace(graph, zoo.images(1))
    ledger = arithmetic(recorded, "features.0", (1, 0, 0))
    table = Table(ledger_html(ledger))
    assert table.rows[0] == ["from", "place", "value", "weight", "product"]
    assert len(table.rows) == 1 + 27
    assert "input (padding)" in [row[0] for row in table.rows]
    assert f"sum {ledger.sum:.9g}" in table.lines[-1]
    assert table.lines[-1].endswith("agrees")
    many = arithmetic(recorded, "features.28", (1, 0, 0))
    assert len(Table(ledger_html(many)).rows) == 1 + min(200, len(many.terms))
    pooled = arithmetic(recorded, "features.4", (1, 0, 0))
    assert len(Table(ledger_html(pooled)).rows) == 1 + len(pooled.terms)
