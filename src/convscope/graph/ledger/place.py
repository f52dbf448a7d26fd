"""The position of one value in a trace, and access to its inputs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from convscope.graph.graph import Node
from convscope.graph.ledger.ledger import Ledger, Term
from convscope.graph.trace import Trace


@dataclass(frozen=True)
class Place:
    """One value of a trace, with access to its inputs."""

    trace: Trace
    node: Node
    index: tuple[int, ...]
    image: int

    @cached_property
    def record(self) -> Tensor:
        """The node's output for the whole batch."""
        return self.trace[self.node.name].output

    def input(self, number: int = 0) -> Tensor:
        """The node's input for this image, without the batch axis."""
        return self.trace[self.node.inputs[number]].output[self.image]

    def parameter(self, role: str) -> Tensor | None:
        """The parameter of the node with the role `weight`, `bias`, ..."""
        return self.trace.graph.parameter(self.node, role)

    def number(self, role: str, index: int, default: float) -> float:
        """One value of a parameter."""
        tensor = self.parameter(role)
        return default if tensor is None else float(tensor[index])

    def ledger(self, formula: str, terms: Any, total: float, scale: float, **more: Any) -> Ledger:
        """The ledger of this value."""
        value = float(self.record[(self.image, *self.index)])
        bias = more.pop("bias", None)
        return Ledger(
            self.node.name, self.node.kind, self.index, self.image, formula, terms, bias,
            float(total), value, float(scale), **more,
        )  # fmt: skip

    def term(self, number: int, index: tuple[int, ...], weight: float) -> Term:
        """The value at `index` of an input as a term."""
        return Term(self.node.inputs[number], index, weight, float(self.input(number)[index]))

    def rerun(self, inputs: dict[int, Tensor]) -> Tensor:
        """The node's output for other inputs (a batch of one), by the number of the input."""
        node = self.node
        given = {node.inputs[number]: tensor for number, tensor in inputs.items()}
        with torch.no_grad():
            return self.trace.graph.run(given, [node.name])[node.name]


def float64(tensor: Tensor) -> np.ndarray:
    """The tensor's values on the CPU in float64."""
    return tensor.detach().to("cpu", torch.float64).numpy()
