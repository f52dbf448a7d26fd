"""The ledger of one activation: terms, sum, the tensor's value; and the same as text."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from convscope.base.numbers import plain
from convscope.graph.html import ledger_html
from convscope.graph.kinds import Kind

# Of the sum of the terms' magnitudes, for float32: 17 units in the last place.
TOLERANCE = 2e-6
# How many input channels and terms the text of a ledger shows at most.
_CHANNELS, _TERMS = 3, 12


@dataclass(frozen=True)
class Term:
    """One term of a sum: an input value and its weight.

    `index` is the value's position in the output of `node`, without the batch axis; for padding it
    lies outside of that output, and `value` is the padding value (minus infinity in a max pool).
    """

    node: str
    index: tuple[int, ...]
    weight: float
    value: float
    padding: bool = False

    @property
    def product(self) -> float:
        """Weight x value; 0 where the weight is 0, whatever the value."""
        return self.weight * self.value if self.weight else 0.0

    def as_json(self) -> dict[str, Any]:
        """A JSON object; a value that is not finite is null."""
        return {
            "node": self.node,
            "index": list(self.index),
            "weight": _finite(self.weight),
            "value": _finite(self.value),
            "padding": self.padding,
        }


@dataclass(frozen=True, eq=False)
class Terms(Sequence[Term]):
    """The terms from one input node as arrays: indices (n, axes), the others (n,)."""

    node: str
    indices: np.ndarray
    weights: np.ndarray
    values: np.ndarray
    padding: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Term: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Term]: ...
    def __getitem__(self, place: int | slice) -> Term | Sequence[Term]:
        """The term or terms at a place."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        return Term(
            self.node,
            tuple(map(int, self.indices[place])),
            float(self.weights[place]),
            float(self.values[place]),
            bool(self.padding[place]),
        )

    def __iter__(self) -> Iterator[Term]:
        return (self[place] for place in range(len(self)))

    @property
    def products(self) -> np.ndarray:
        """Weight x value of each term; 0 where the weight is 0."""
        with np.errstate(all="ignore"):
            return np.multiply(
                self.weights, self.values, where=self.weights != 0, out=np.zeros_like(self.values)
            )


@dataclass(frozen=True, eq=False)
class ChannelSum:
    """One input channel's part of a convolution: `products` = patch x kernel, (kh, kw) each."""

    channel: int
    patch: np.ndarray
    kernel: np.ndarray
    products: np.ndarray
    padding: np.ndarray
    sum: float


@dataclass(frozen=True, eq=False)
class Ledger:
    """How one activation is computed.

    Attributes:
        layer: the node's name.
        kind: what it computes.
        index: the number's position in the node's output, without the batch axis.
        image: which image of the batch.
        formula: how `sum` follows from the terms, the bias and the details.
        terms: input values with their weights. Where the formula is a weighted sum (`weighted`),
            `sum` = sum of weight x value + bias.
        bias: what is added to it, None where the kind has none.
        details: other numbers in the formula, such as mean, variance, gamma, beta, eps.
        window: (channels, height, width) of a convolution's terms.
        sum: the formula in float64.
        value: the number in the recorded tensor.
        scale: the sum of the terms' magnitudes, on which the error is measured.
        tolerance: the largest error, on that scale, of a correctly rounded computation.
    """

    layer: str
    kind: Kind
    index: tuple[int, ...]
    image: int
    formula: str
    terms: Sequence[Term]
    bias: float | None
    sum: float
    value: float
    scale: float
    weighted: bool = True
    details: Mapping[str, float] = field(default_factory=dict)
    window: tuple[int, ...] | None = None
    tolerance: float = TOLERANCE

    @property
    def difference(self) -> float:
        """`value` - `sum`; 0 where both are the same infinity, or both NaN."""
        same = self.value == self.sum or (math.isnan(self.value) and math.isnan(self.sum))
        return 0.0 if same else self.value - self.sum

    @property
    def error(self) -> float:
        """The difference as a share of the sum of the terms' magnitudes."""
        difference = abs(self.difference)
        return difference / self.scale if difference and self.scale else difference

    @property
    def agrees(self) -> bool:
        """Whether the tensor's value is what the formula gives, up to rounding."""
        # Numbers below the smallest normal float32 may be rounded to zero.
        allowed = self.tolerance * self.scale + 1.2e-38
        return self.difference == 0 or abs(self.difference) <= allowed

    @property
    def channels(self) -> tuple[ChannelSum, ...]:
        """A convolution's sums by input channel; empty for other kinds."""
        if self.window is None or not isinstance(self.terms, Terms):
            return ()
        terms = self.terms
        patch, kernel, products, padding = (
            array.reshape(self.window)
            for array in (terms.values, terms.weights, terms.products, terms.padding)
        )
        first = int(terms.indices[0, 0])
        with np.errstate(all="ignore"):
            return tuple(
                ChannelSum(first + i, patch[i], kernel[i], products[i], padding[i],
                           float(products[i].sum()))
                for i in range(self.window[0])
            )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """A JSON object with every term; numbers that are not finite are null."""
        return {
            "layer": self.layer,
            "kind": str(self.kind),
            "index": list(self.index),
            "image": self.image,
            "formula": self.formula,
            "terms": [term.as_json() for term in self.terms],
            "bias": None if self.bias is None else _finite(self.bias),
            "details": {name: _finite(number) for name, number in self.details.items()},
            "sum": _finite(self.sum),
            "value": _finite(self.value),
            "difference": _finite(self.difference),
            "scale": _finite(self.scale),
            "error": _finite(self.error),
            "agrees": self.agrees,
        }

    def __str__(self) -> str:
        return worked(self)

    def _repr_html_(self) -> str:
        return ledger_html(self)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def worked(ledger: Ledger, channels: int = _CHANNELS, terms: int = _TERMS) -> str:
    """How the activation is computed, as lines of plain text.

    Args:
        ledger: from `arithmetic`.
        channels: how many input channels of a convolution are shown with patch and kernel: those
            with the largest sums. The others are added up.
        terms: how many terms are shown for other kinds: those with the largest products.
    """
    place = f" [{', '.join(map(str, ledger.index))}]" if ledger.index else ""
    lines = [
        f"{ledger.layer}{place} · {ledger.kind.replace('_', ' ')} · {ledger.formula}",
        *(_convolution(ledger, channels) if ledger.channels else _terms(ledger, terms)),
    ]
    if ledger.details:
        lines.append("  " + " · ".join(f"{name} {plain(x)}" for name, x in ledger.details.items()))
    return "\n".join([*lines, *_verdict(ledger)])


def _verdict(ledger: Ledger) -> list[str]:
    parts = "" if ledger.bias is None else f", bias {plain(ledger.bias)} included"
    sign = "✓" if ledger.agrees else "✗ they differ"
    share = f"{ledger.error:.1e} of the sum of the terms' magnitudes, {plain(ledger.scale)}"
    return [
        f"  the formula gives {ledger.sum:.9g} (float64{parts})",
        f"  the tensor says   {ledger.value:.9g} {sign}",
        f"  difference {ledger.difference:.2g}: {share} (allowed {ledger.tolerance:.0e})",
    ]


def _convolution(ledger: Ledger, limit: int) -> list[str]:
    sums = ledger.channels
    shown = sorted(sorted(sums, key=lambda c: -abs(c.sum))[:limit], key=lambda c: c.channel)
    lines = []
    for channel in shown:
        lines += [f"  input channel {channel.channel}: patch · kernel", *_patch(channel)]
    total = " + ".join(_bracketed(c.sum) for c in shown)
    if len(shown) < len(sums):
        rest = sum(c.sum for c in sums) - sum(c.sum for c in shown)
        lines.append(f"  the other {len(sums) - len(shown):,} input channels {plain(rest)}")
        total += f" + {_bracketed(rest)}"
    if ledger.bias is not None:
        total += f" + bias {_bracketed(ledger.bias)}"
    if any(channel.padding.any() for channel in shown):
        lines.append("  [0] is padding: it lies outside of the input")
    return [*lines, f"  {total}"]


def _patch(channel: ChannelSum) -> list[str]:
    def text(value: float, outside: bool) -> str:
        return "[0]" if outside else plain(value)

    patch = [
        [text(value, outside) for value, outside in zip(row, border, strict=True)]
        for row, border in zip(channel.patch.tolist(), channel.padding.tolist(), strict=True)
    ]
    kernel = [[plain(weight) for weight in row] for row in channel.kernel.tolist()]
    wide = max(len(cell) for row in patch for cell in row)
    tall = max(len(cell) for row in kernel for cell in row)
    middle = len(patch) // 2
    lines = []
    for number, (values, weights) in enumerate(zip(patch, kernel, strict=True)):
        left = " ".join(cell.rjust(wide) for cell in values)
        right = " ".join(cell.rjust(tall) for cell in weights)
        end = f" = {plain(channel.sum)}" if number == middle else ""
        lines.append(f"    {left}  {'·' if number == middle else ' '}  {right}{end}")
    return lines


def _terms(ledger: Ledger, limit: int) -> list[str]:
    terms = ledger.terms
    products = np.array([abs(term.product) for term in terms]) if len(terms) else np.zeros(0)
    # The value's own term (softmax) or the target's (cross-entropy) is always included.
    own = (ledger.details.get("target"),) if "target" in ledger.details else ledger.index
    if not ledger.weighted:
        products[[place for place, term in enumerate(terms) if term.index == own]] = np.inf
    chosen = sorted(np.argsort(-products, kind="stable")[:limit].tolist())
    lines = [_term(ledger, terms[place]) for place in chosen]
    if len(terms) > len(chosen):
        rest = f"  and {len(terms) - len(chosen):,} more terms"
        if ledger.weighted:
            others = sum(t.product for t in terms) - sum(terms[i].product for i in chosen)
            rest += f", together {plain(others)}"
        lines.append(rest)
    if ledger.bias is not None:
        lines.append(f"  bias {plain(ledger.bias)}")
    return lines


def _term(ledger: Ledger, term: Term) -> str:
    place = ", ".join(map(str, term.index))
    where = f"{term.node} [{place}]" + (" (padding)" if term.padding else "")
    if not ledger.weighted:
        return f"  {where}: value {plain(term.value)}, weight {plain(term.weight)}"
    return f"  {where}: {plain(term.weight)} · {plain(term.value)} = {plain(term.product)}"


def _bracketed(number: float) -> str:
    return f"({plain(number)})" if number < 0 else plain(number)
