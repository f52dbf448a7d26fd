"""Graphs, traces and ledgers as tables for notebooks."""

from typing import Any


def graph_html(graph: Any) -> str:
    """Nodes."""
    return str(graph)


def trace_html(trace: Any) -> str:
    """Records."""
    return str(trace)
