"""The definitions of activation functions: as text, and for one value in float64."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from convscope.graph.kinds import Kind

Settings = Mapping[str, Any]
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017


def _sigmoid(x: np.float64, _: Settings) -> np.float64:
    return 1 / (1 + np.exp(-x))


def _elu(x: np.float64, of: Settings) -> np.float64:
    below = of["alpha"] * np.expm1(of["input_scale"] * np.minimum(0, x))
    return of["scale"] * (np.maximum(0, x) + below)


def _selu(x: np.float64, _: Settings) -> np.float64:
    return _elu(x, {"alpha": _SELU_ALPHA, "scale": _SELU_SCALE, "input_scale": 1})


def _celu(x: np.float64, of: Settings) -> np.float64:
    return np.maximum(0, x) + of["alpha"] * np.expm1(np.minimum(0, x) / of["alpha"])


def _gelu(x: np.float64, of: Settings) -> np.float64:
    if of["approximate"] == "tanh":
        return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    return x * math.erfc(-x / math.sqrt(2)) / 2  # 1 + erf(x) loses the digits of small sums


def _softplus(x: np.float64, of: Settings) -> np.float64:
    scaled = of["beta"] * x
    return x if scaled > of["threshold"] else np.log1p(np.exp(scaled)) / of["beta"]


def _hardsigmoid(x: np.float64, _: Settings) -> np.float64:
    return np.clip(x + 3, 0, 6) / 6


Function = Callable[[np.float64, Settings], np.float64]
_FUNCTIONS: dict[Kind, tuple[str, Function]] = {
    Kind.RELU6: ("min(max(0, value), 6)", lambda x, _: np.clip(x, 0, 6)),
    Kind.LEAKY_RELU: (
        "max(0, value) + negative_slope · min(0, value)",
        lambda x, of: np.maximum(0, x) + of["negative_slope"] * np.minimum(0, x),
    ),
    Kind.ELU: (
        "scale · (max(0, value) + alpha · (exp(input_scale · min(0, value)) - 1))", _elu,
    ),
    Kind.SELU: (
        f"{_SELU_SCALE:.7g} · (max(0, value) + {_SELU_ALPHA:.7g} · (exp(min(0, value)) - 1))",
        _selu,
    ),
    Kind.CELU: ("max(0, value) + alpha · (exp(min(0, value) / alpha) - 1)", _celu),
    Kind.GELU: ("value · (1 + erf(value / √2)) / 2", _gelu),
    Kind.SILU: ("value / (1 + exp(-value))", lambda x, of: x * _sigmoid(x, of)),
    Kind.MISH: ("value · tanh(log(1 + exp(value)))", lambda x, _: x * np.tanh(np.logaddexp(0, x))),
    Kind.SIGMOID: ("1 / (1 + exp(-value))", _sigmoid),
    Kind.TANH: (
        "(exp(value) - exp(-value)) / (exp(value) + exp(-value))", lambda x, _: np.tanh(x),
    ),
    Kind.SOFTPLUS: (
        "log(1 + exp(beta · value)) / beta; the value where beta · value > threshold", _softplus,
    ),
    Kind.HARDTANH: (
        "min(max(min_val, value), max_val)",
        lambda x, of: np.clip(x, of["min_val"], of["max_val"]),
    ),
    Kind.HARDSIGMOID: ("min(max(0, value + 3), 6) / 6", _hardsigmoid),
    Kind.HARDSWISH: (
        "value · min(max(0, value + 3), 6) / 6", lambda x, of: x * _hardsigmoid(x, of),
    ),
}  # fmt: skip
_GELU_BY_TANH = "value · (1 + tanh(√(2 / π) · (value + 0.044715 · value³))) / 2"


def activation(kind: Kind, value: float, settings: Settings) -> tuple[str, float]:
    """The definition of an activation function as text, and its result for one value.

    Args:
        kind: one of `kinds.ACTIVATIONS` except ReLU, whose ledger has a weight.
        value: any number; infinities and NaN follow IEEE 754.
        settings: the constants of the definition by torch's names, such as `alpha`.
    """
    formula, function = _FUNCTIONS[kind]
    if settings.get("approximate") == "tanh":
        formula = _GELU_BY_TANH
    with np.errstate(all="ignore"):  # infinities and NaN are valid results
        return formula, float(function(np.float64(value), settings))
