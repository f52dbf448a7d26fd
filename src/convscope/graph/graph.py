"""A network as a frozen value: its nodes in the order of execution."""

import difflib
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from convscope.base.errors import ConvscopeError
from convscope.graph.html import graph_html
from convscope.graph.kinds import Kind
from convscope.graph.program import Edit, Plan, Step, Watch, needed_steps, run
from convscope.graph.windows import Window, window_of

INPUT = "input"


@dataclass(frozen=True)
class Node:
    """One operation on images or activations.

    `name` is the module's path where one module is one operation (`features.28`), else path and
    kind (`blocks.1 add`), with `#2` from the second call on. `inputs` are names of nodes, the
    images being `input`. `parameters` maps roles (`weight`, `bias`, `running_mean`) to names of
    the module's tensors in `Graph.tensors` or of values computed from them;
    `Graph.parameter` returns both. `operation` is torch's name for the operation, `settings` its
    other arguments by torch's names. Shapes are without the batch axis.
    """

    name: str
    kind: Kind
    operation: str
    module_path: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, str]
    settings: Mapping[str, Any]
    input_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]

    @cached_property
    def window(self) -> Window:
        """The window of a convolution, max pool or average pool.

        Raises:
            ConvscopeError: for another kind of node.
        """
        if "kernel_size" not in self.settings:
            raise ConvscopeError(f"{self.name} ({self.operation}) has no window")
        return window_of(self.settings, self.input_shapes[0][-2:], self.output_shape[-2:])


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """A captured network. `nodes[0]` is the input; each node comes after its inputs.

    It refers to the module's own parameters: after a change in place (a training step,
    `load_state_dict`) the next trace uses the new values. After `.to()`, `.double()` or
    `load_state_dict(assign=True)`, which replace them, capture again.
    `output` names the node whose value the module returns; `logits` the node before a softmax that
    ends the module, else the same.
    """

    nodes: tuple[Node, ...]
    output: str
    tensors: Mapping[str, Tensor] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    # The number of steps at the start that depend only on parameters, not on the images.
    num_constant_steps: int = field(repr=False)
    tensor_slots: Mapping[str, int] = field(repr=False)
    node_slots: Mapping[str, int] = field(repr=False)
    node_steps: Mapping[str, tuple[Step, ...]] = field(repr=False)
    num_slots: int = field(repr=False)
    # The plans of `run`, by the names that are given and kept.
    _plans: dict[tuple[tuple[str, ...], tuple[str, ...]], Plan] = field(
        default_factory=dict, init=False, repr=False
    )

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """All nodes by their names."""
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        """The node of that name.

        Raises:
            ConvscopeError: with similar names, where there is none.
        """
        if name not in self.by_name:
            raise ConvscopeError(f"no layer {name!r}; {suggestions(name, list(self.by_name))}")
        return self.by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self.by_name

    @cached_property
    def first_uses(self) -> dict[str, tuple[str, ...]]:
        """For each node the names in `tensors` of the parameters that no node before it uses.

        A parameter is an `nn.Parameter`, so batch-norm statistics do not count. Tied weights, and a
        module that is called twice, have only their first use; a parameter that a weight is
        computed from is used where that weight is used.
        """
        named = {self.tensor_slots[name]: (name, tensor) for name, tensor in self.tensors.items()}
        read_by = {step.slot: step.slots for step in self.steps[: self.num_constant_steps]}
        seen: set[int] = set()
        uses: dict[str, tuple[str, ...]] = {self.nodes[0].name: ()}
        for node, steps in self.node_steps.items():
            first = []
            waiting = list(dict.fromkeys(slot for step in steps for slot in step.slots))
            for slot in waiting:  # the list grows during the loop
                waiting += [other for other in read_by.get(slot, ()) if other not in waiting]
                name, tensor = named.get(slot, ("", None))
                if isinstance(tensor, nn.Parameter) and id(tensor) not in seen:
                    seen.add(id(tensor))
                    first.append(name)
            uses[node] = tuple(first)
        return uses

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the images that the graph was captured for."""
        return self.nodes[0].output_shape

    @property
    def logits(self) -> str:
        """The node of the scores: the output, or the input of a softmax that ends the network."""
        last = self[self.output]
        return last.inputs[0] if last.kind is Kind.SOFTMAX else last.name

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU where there are none."""
        first = next(iter(self.tensors.values()), None)
        return torch.device("cpu") if first is None else first.device

    def run(
        self,
        given: Mapping[str, Tensor],
        keep: Collection[str],
        *,
        edits: Mapping[str, Edit] | None = None,
        watch: Watch | None = None,
        batch_invariant: bool = False,
    ) -> dict[str, Tensor]:
        """The outputs of the nodes `keep`, computed from the given outputs of other nodes.

        Only the steps between the given and the kept values run, and every other value is
        released after its last use. Gradients flow to the given values where torch's mode and the
        values ask for them, never to parameters.

        Args:
            given: by the names of nodes, (batch, *node.output_shape) each, on the graph's device:
                `{"input": images}`, or outputs of later nodes, in place of what computes them.
            keep: names of nodes.
            edits: functions by the names of nodes; later nodes see the result of a function of
                the node's output.
            watch: called before each step with (steps done, all steps); an exception from it ends
                the run.
            batch_invariant: whether the results must not depend on the size of the batch. A batch
                of one is then run as two: alone, an image takes another path through the CPU's
                kernels and differs in the last bits; from two on, the size of the batch changes
                no convolution's bits.

        Raises:
            ConvscopeError: an unknown name, or a node in `keep` that needs other inputs.

        >>> from convscope.graph.capture import capture
        >>> module = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Softmax(1))
        >>> graph = capture(module, torch.zeros(1, 1, 1, 2))
        >>> graph.run({"input": torch.tensor([[[[-3.0, 2.0]]]])}, ["1"])
        {'1': tensor([[0., 2.]])}
        >>> graph.run({"1": torch.zeros(1, 2)}, ["2"])
        {'2': tensor([[0.5000, 0.5000]])}
        """
        plan = self._plan(tuple(given), tuple(keep))
        count = next(map(len, given.values()), 1)
        alone = batch_invariant and count == 1
        slots, values = self.node_slots, self._before(plan)
        if plan.reads_batch_size and INPUT not in given:
            values[0] = torch.empty((2 if alone else count, *self.input_shape), device="meta")
        for name, value in given.items():
            value = _twice(value) if alone else value
            values[slots[name]] = edits[name](value) if edits and name in edits else value
        by_slot = {slots[name]: edit for name, edit in (edits or {}).items()}
        run(plan, values, edits=by_slot, watch=watch)
        return {name: values[slots[name]][:1] if alone else values[slots[name]] for name in keep}

    def _plan(self, given: tuple[str, ...], keep: tuple[str, ...]) -> Plan:
        """The steps from some nodes to others; each plan is made once."""
        if (given, keep) not in self._plans:
            start, end = ([self.node_slots[self[name].name] for name in names]
                          for names in (given, keep))  # fmt: skip
            made = needed_steps(self.steps, start, end)
            if 0 in made.reads:
                raise ConvscopeError(
                    f"the outputs of {', '.join(given) or 'no node'} do not determine those of "
                    f"{', '.join(keep)}: there is another way from the images; give the images or "
                    "more nodes"
                )
            self._plans[given, keep] = made
        return self._plans[given, keep]

    def _before(self, plan: Plan) -> list[Any]:
        """The slots before the first step: the parameters that the plan reads, else None."""
        values: list[Any] = [None] * self.num_slots
        detached = torch.is_grad_enabled()  # without gradients, `detach` would only cost time
        for slot in plan.reads:
            tensor = self._tensors_by_slot[slot]
            values[slot] = tensor.detach() if detached else tensor
        return values

    @cached_property
    def _tensors_by_slot(self) -> dict[int, Tensor]:
        return {self.tensor_slots[name]: tensor for name, tensor in self.tensors.items()}

    def parameter(self, node: Node, role: str) -> Tensor | None:
        """The parameter with a role (`weight`, `bias`, ...) at a node; None where there is none."""
        name = node.parameters.get(role)
        if name is None:
            return None
        if name in self.tensors:
            return self.tensors[name].detach()
        slot = self.tensor_slots[name]
        computed = needed_steps(self.steps, (), [slot])
        with torch.no_grad():
            return run(computed, self._before(computed))[slot]

    def digest(self) -> str:
        """SHA-256 of the names and values of all weights and constants."""
        digest = hashlib.sha256()
        for name in sorted(self.tensors):
            values = self.tensors[name].detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.input_shape))
        return f"Graph({len(self.nodes) - 1} layers, input {shape}, output {self.output!r})"

    def _repr_html_(self) -> str:
        return graph_html(self)


def _twice(alone: Tensor) -> Tensor:
    """A batch of one as a batch of two, laid out in memory as a larger batch of images is."""
    pair = alone.expand(2, *alone.shape[1:])
    layout = torch.channels_last if pair.ndim == 4 else torch.contiguous_format
    return pair.contiguous(memory_format=layout)


def suggestions(name: str, names: Sequence[str]) -> str:
    """Suggestions for a name that does not exist: similar names, or the first few.

    >>> suggestions("features.1", ["features.0", "features.10"])
    'did you mean features.10 or features.0?'
    """
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"there are {', '.join(names[:12])}{more}"
