"""The formula of every kind of node, for one output value, in float64."""

import math
from collections.abc import Callable

import numpy as np
import torch

from convscope.graph.kinds import ACTIVATIONS, ARITHMETIC, REARRANGEMENTS, Kind
from convscope.graph.ledger import windowed
from convscope.graph.ledger.activations import activation
from convscope.graph.ledger.ledger import Ledger, Term, Terms
from convscope.graph.ledger.place import Place, float64


def _batch_norm(place: Place) -> Ledger:
    channel = place.index[0]
    mean = place.number("running_mean", channel, 0.0)
    variance = place.number("running_var", channel, 1.0)
    gamma, beta = place.number("weight", channel, 1.0), place.number("bias", channel, 0.0)
    eps = place.node.settings["eps"]
    weight = float(np.float64(gamma) / np.sqrt(np.float64(variance + eps)))
    term = place.term(0, place.index, weight)
    scale = abs(term.product) + abs(weight * mean) + abs(beta)
    details = {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta, "eps": eps}
    return place.ledger(
        "gamma · (value - mean) / √(variance + eps) + beta", [term],
        weight * (term.value - mean) + beta, scale, bias=beta - weight * mean, details=details,
    )  # fmt: skip


def _local_response_norm(place: Place) -> Ledger:
    channel, *spot = place.index
    settings = place.node.settings
    size, alpha, beta, k = (settings[name] for name in ("size", "alpha", "beta", "k"))
    maps = place.input()
    first = channel - size // 2
    weight = alpha / size
    terms = [
        place.term(0, (i, *spot), weight)
        if 0 <= i < len(maps)
        else Term(place.node.inputs[0], (i, *spot), weight, 0.0, padding=True)
        for i in range(first, first + size)
    ]
    centre = terms[channel - first].value
    divisor = (k + sum(term.weight * term.value**2 for term in terms)) ** beta
    total = centre / divisor
    return place.ledger(
        "centre / (k + Σ weight · value²)^beta", terms, total, abs(centre) + abs(total),
        weighted=False, details={"centre": centre, "k": k, "beta": beta, "divisor": divisor},
    )  # fmt: skip


def _activation(place: Place) -> Ledger:
    term = place.term(0, place.index, 1.0)
    kind, settings = place.node.kind, place.node.settings
    if kind is Kind.RELU:
        term = place.term(0, place.index, float(term.value > 0))
        total = term.value if math.isnan(term.value) else max(0.0, term.value)
        return place.ledger("max(0, value)", [term], total, abs(total))
    formula, total = activation(kind, term.value, settings)
    details = {name: x for name, x in settings.items() if isinstance(x, int | float)}
    return place.ledger(
        formula, [term], total, abs(term.value) + abs(total), weighted=False, details=details,
    )  # fmt: skip


def _operands(place: Place) -> list[Term | float]:
    """The two operands of an addition or a product: a term, or a number if it is a constant."""
    node = place.node
    inputs = iter(range(len(node.inputs)))
    operands: list[Term | float] = []
    for role in ("self", "other"):
        constant = place.parameter(role)
        if constant is not None:
            operands.append(float(constant[_broadcast(place.index, tuple(constant.shape))]))
        elif role in node.settings:
            operands.append(float(node.settings[role]))
        else:
            number = next(inputs)
            shape = node.input_shapes[number]
            operands.append(place.term(number, _broadcast(place.index, shape), 1.0))
    return operands


def _broadcast(index: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The position in an operand of `shape` that is broadcast to `index` of the result."""
    if len(shape) > len(index):  # a constant with a batch axis
        index = (0,) * (len(shape) - len(index)) + index
    tail = index[len(index) - len(shape) :]
    return tuple(0 if side == 1 else i for i, side in zip(tail, shape, strict=True))


def _sum(place: Place) -> Ledger:
    node = place.node
    sign = 1.0 if node.kind is Kind.ADD else -1.0
    weights = [1.0, sign * float(node.settings.get("alpha", 1))]
    if node.operation == "rsub":  # other - alpha x self
        weights = weights[::-1]
    terms, bias = [], None
    for operand, weight in zip(_operands(place), weights, strict=True):
        if isinstance(operand, Term):
            terms.append(Term(operand.node, operand.index, weight, operand.value))
        else:
            bias = (bias or 0.0) + weight * operand
    total = sum(term.product for term in terms) + (bias or 0.0)
    scale = sum(abs(term.product) for term in terms) + abs(bias or 0.0)
    formula = "Σ weight · value" + (" + constant" if bias is not None else "")
    return place.ledger(formula, terms, total, scale, bias=bias)


def _product(place: Place) -> Ledger:
    first, second = _operands(place)
    divided = place.node.kind is Kind.DIVIDE
    a, b = (x.value if isinstance(x, Term) else x for x in (first, second))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = float(np.float64(1.0) / b) if divided else b
        total = float(np.float64(a) / b) if divided else a * b
    if isinstance(first, Term) and isinstance(second, Term):
        formula = "value / value" if divided else "value · value"
        return place.ledger(formula, [first, second], total, abs(total), weighted=False)
    if isinstance(first, Term):
        terms = [Term(first.node, first.index, factor, first.value)]
        return place.ledger("constant · value", terms, total, abs(total))
    assert isinstance(second, Term)
    terms = [Term(second.node, second.index, 1.0 if divided else a, second.value)]
    formula = "constant / value" if divided else "constant · value"
    details = {"constant": a} if divided else {}
    return place.ledger(formula, terms, total, abs(total), weighted=not divided, details=details)


def _rearrangement(place: Place) -> Ledger:
    if not place.node.inputs:  # a parameter, repeated for every image
        number = float(place.rerun({})[(0, *place.index)])
        return place.ledger("a parameter's value", [], number, abs(number), bias=number)
    number, index = _source(place)
    sides = place.node.input_shapes[number]
    if all(0 <= i < side for i, side in zip(index, sides, strict=True)):
        term = place.term(number, index, 1.0)
        return place.ledger("this very value", [term], term.value, abs(term.value))
    constant = float(place.node.settings.get("value") or 0.0)
    term = Term(place.node.inputs[number], index, 1.0, constant, padding=True)
    return place.ledger("the border's constant", [term], constant, abs(constant))


def _source(place: Place) -> tuple[int, tuple[int, ...]]:
    """The input and the position in it that a value is copied from; outside of it for a border."""
    node = place.node
    if node.kind in (Kind.IDENTITY, Kind.DROPOUT):
        return 0, place.index
    if node.kind in (Kind.FLATTEN, Kind.RESHAPE) and node.operation != "expand":
        flat = np.ravel_multi_index(place.index, node.output_shape)
        return 0, tuple(map(int, np.unravel_index(flat, node.input_shapes[0])))
    if node.kind is Kind.PAD and (node.settings.get("mode") or "constant") == "constant":
        border = node.settings["pad"]
        index = list(place.index)
        for axis in range(len(border) // 2):
            index[-1 - axis] -= border[2 * axis]
        return 0, tuple(index)
    if node.kind is Kind.CONCATENATE and (source := _concatenated_from(place)):
        return source
    # Number every value of every input, rearrange the numbers, and read the one that arrives.
    sizes = [math.prod(shape) for shape in node.input_shapes]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    numbers = {
        i: torch.arange(int(starts[i]), int(starts[i + 1]), dtype=torch.float64).reshape(1, *shape)
        for i, shape in enumerate(node.input_shapes)
    }
    number = int(place.rerun(numbers)[(0, *place.index)])
    which = int(np.searchsorted(starts, number, side="right")) - 1
    shape = node.input_shapes[which]
    return which, tuple(map(int, np.unravel_index(number - starts[which], shape)))


def _concatenated_from(place: Place) -> tuple[int, tuple[int, ...]] | None:
    """The input of a concatenation that a value comes from, and its position there.

    None where the inputs do not cover the whole axis: for a stack, or if one is a constant.
    """
    node, rank = place.node, len(place.index)
    dim = int(node.settings.get("dim", 0))
    axis = dim - 1 if dim > 0 else dim + rank  # without the batch axis
    if node.operation not in ("cat", "concat", "concatenate") or not 0 <= axis < rank:
        return None
    if any(len(shape) != rank for shape in node.input_shapes):
        return None
    if sum(shape[axis] for shape in node.input_shapes) != node.output_shape[axis]:
        return None
    index = list(place.index)
    for number, shape in enumerate(node.input_shapes):
        if index[axis] < shape[axis]:
            return number, tuple(index)
        index[axis] -= shape[axis]
    return None


def _exponentials(place: Place) -> tuple[list[tuple[int, ...]], np.ndarray, float, np.ndarray]:
    """Indices and values of all logits, the largest, and exp(value - largest)."""
    maps = place.input()
    dim = int(place.node.settings.get("dim", 1))
    axis = dim - 1 if dim > 0 else dim + maps.ndim  # without the batch axis
    others = tuple(i for number, i in enumerate(place.index) if number != axis)
    spots = [(*others[:axis], i, *others[axis:]) for i in range(maps.shape[axis])]
    values = float64(maps.movedim(axis, -1)[others])
    largest = float(values.max())
    return spots, values, largest, np.exp(values - largest)


def _softmax(place: Place) -> Ledger:
    spots, values, largest, exponentials = _exponentials(place)
    total = exponentials.sum()
    chosen = spots.index(place.index)
    probability = exponentials[chosen] / total
    distance = np.abs(values - largest)  # the factor by which rounding errors of the logits grow
    scale = probability * (1 + distance[chosen] + (exponentials * distance).sum() / total)
    terms = Terms(
        place.node.inputs[0], np.array(spots), exponentials, values,
        np.zeros(len(spots), dtype=bool),
    )  # fmt: skip
    return place.ledger(
        "weight / Σ weight, weight = exp(value - largest)", terms, probability, scale,
        weighted=False, details={"largest": largest, "total": float(total)},
    )  # fmt: skip


def _cross_entropy(place: Place) -> Ledger:
    spots, values, largest, exponentials = _exponentials(place)
    assert place.trace.targets is not None
    target = int(place.trace.targets[place.image])
    total = exponentials.sum()
    loss = math.log(total) + largest - values[target]
    terms = Terms(
        place.node.inputs[0], np.array(spots), exponentials, values,
        np.zeros(len(spots), dtype=bool),
    )  # fmt: skip
    return place.ledger(
        "log Σ weight + largest - value of the target, weight = exp(value - largest)", terms, loss,
        math.log(total) + abs(largest) + abs(values[target]), weighted=False,
        details={"largest": largest, "total": float(total), "target": target,
                 "probability": math.exp(-loss)},
    )  # fmt: skip


def _input(place: Place) -> Ledger:
    value = float(place.trace.images[(place.image, *place.index)])
    return place.ledger(
        "the image's own value, preprocessed", [], value, abs(value), weighted=False
    )


FORMULAS: dict[Kind, Callable[[Place], Ledger]] = {
    Kind.INPUT: _input,
    Kind.CONVOLUTION: windowed.convolution,
    Kind.LINEAR: windowed.linear,
    Kind.MAX_POOL: windowed.largest,
    Kind.ADAPTIVE_MAX_POOL: windowed.largest,
    Kind.AVERAGE_POOL: windowed.average,
    Kind.ADAPTIVE_AVERAGE_POOL: windowed.average,
    Kind.BATCH_NORM: _batch_norm,
    Kind.LOCAL_RESPONSE_NORM: _local_response_norm,
    Kind.SOFTMAX: _softmax,
    Kind.CROSS_ENTROPY: _cross_entropy,
    **dict.fromkeys(ACTIVATIONS, _activation),
    **dict.fromkeys(REARRANGEMENTS, _rearrangement),
    **{kind: _sum if kind in (Kind.ADD, Kind.SUBTRACT) else _product for kind in ARITHMETIC},
}
