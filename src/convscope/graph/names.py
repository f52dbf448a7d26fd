"""Readable names: the module's path where one module is one operation, else path and kind."""

from collections import Counter
from collections.abc import Mapping
from itertools import groupby

from torch import fx, nn

from convscope.graph.kinds import WITH_WEIGHTS, Kind
from convscope.graph.recognise import Description

# Names that a trace gives to the input and to what it appends.
_TAKEN = ("input", "softmax", "cross_entropy")


def names_of(module: nn.Module, descriptions: Mapping[fx.Node, Description]) -> dict[fx.Node, str]:
    """A name for each node: unique, stable from one capture to the next."""
    leaves = {path for path, part in module.named_modules() if not any(part.children())}
    names: dict[fx.Node, str] = {}
    used: Counter[str] = Counter(_TAKEN)
    last = next(reversed(list(descriptions)), None)
    for (path, _), group in groupby(
        descriptions.items(), key=lambda item: (item[1].module_path, item[1].call)
    ):
        nodes = list(group)
        for node, what in nodes:
            alone = path in leaves and (len(nodes) == 1 or what.kind in WITH_WEIGHTS)
            word = what.operation if what.kind is Kind.OTHER else what.kind
            name = path if alone and path else f"{path} {word}".strip()
            # A softmax that ends the network is the softmax.
            used[name] += not (name == "softmax" and node is last)
            while used[name] > 1 and used[f"{name}#{used[name]}"]:  # a module of that very path
                used[name] += 1
            names[node] = name if used[name] <= 1 else f"{name}#{used[name]}"
            used[names[node]] += names[node] != name
    return names
