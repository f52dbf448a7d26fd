"""A ledger as text: the worked sum that a reader can follow with pencil and paper."""

import numpy as np

from convscope.graph.ledger import ChannelSum, Ledger, Term

_CHANNELS, _TERMS = 3, 12


def worked(ledger: Ledger, channels: int = _CHANNELS, terms: int = _TERMS) -> str:
    """How the number came about, in lines of plain text.

    Args:
        ledger: from `arithmetic`.
        channels: of a convolution so many input channels are shown with patch and kernel, those
            with the largest sums; the others are added up.
        terms: of other kinds so many terms, those with the largest products.
    """
    place = ", ".join(map(str, ledger.index))
    lines = [
        f"{ledger.layer} [{place}] · {ledger.kind.replace('_', ' ')} · {ledger.formula}",
        *(_convolution(ledger, channels) if ledger.channels else _terms(ledger, terms)),
    ]
    if ledger.details:
        lines.append("  " + " · ".join(f"{name} {_text(x)}" for name, x in ledger.details.items()))
    return "\n".join([*lines, *_verdict(ledger)])


def _verdict(ledger: Ledger) -> list[str]:
    parts = "" if ledger.bias is None else f", bias {_text(ledger.bias)} included"
    sign = "✓" if ledger.agrees else "✗ they differ"
    share = f"{ledger.error:.1e} of the sum of the terms' magnitudes, {_text(ledger.scale)}"
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
        lines.append(f"  the other {len(sums) - len(shown):,} input channels {_text(rest)}")
        total += f" + {_bracketed(rest)}"
    if ledger.bias is not None:
        total += f" + bias {_bracketed(ledger.bias)}"
    if any(channel.padding.any() for channel in shown):
        lines.append("  [0] is padding: it lies outside of the input")
    return [*lines, f"  {total}"]


def _patch(channel: ChannelSum) -> list[str]:
    def text(value: float, outside: bool) -> str:
        return "[0]" if outside else _text(value)

    patch = [
        [text(value, outside) for value, outside in zip(row, border, strict=True)]
        for row, border in zip(channel.patch, channel.padding, strict=True)
    ]
    kernel = [[_text(weight) for weight in row] for row in channel.kernel]
    wide = max(len(cell) for row in patch for cell in row)
    tall = max(len(cell) for row in kernel for cell in row)
    middle = len(patch) // 2
    lines = []
    for number, (values, weights) in enumerate(zip(patch, kernel, strict=True)):
        left = " ".join(cell.rjust(wide) for cell in values)
        right = " ".join(cell.rjust(tall) for cell in weights)
        end = f" = {_text(channel.sum)}" if number == middle else ""
        lines.append(f"    {left}  {'·' if number == middle else ' '}  {right}{end}")
    return lines


def _terms(ledger: Ledger, limit: int) -> list[str]:
    terms = ledger.terms
    products = np.array([abs(term.product) for term in terms]) if len(terms) else np.zeros(0)
    # The number's own term (softmax) or the target's (cross-entropy) is always among them.
    own = (ledger.details.get("target"),) if "target" in ledger.details else ledger.index
    products[[place for place, term in enumerate(terms) if term.index == own]] = np.inf
    chosen = sorted(np.argsort(-products, kind="stable")[:limit].tolist())
    lines = [_term(ledger, terms[place]) for place in chosen]
    if len(terms) > len(chosen):
        rest = f"  and {len(terms) - len(chosen):,} more terms"
        if ledger.weighted:
            others = sum(t.product for t in terms) - sum(terms[i].product for i in chosen)
            rest += f", together {_text(others)}"
        lines.append(rest)
    if ledger.bias is not None:
        lines.append(f"  bias {_text(ledger.bias)}")
    return lines


def _term(ledger: Ledger, term: Term) -> str:
    place = ", ".join(map(str, term.index))
    where = f"{term.node} [{place}]" + (" (padding)" if term.padding else "")
    if not ledger.weighted:
        return f"  {where}: value {_text(term.value)}, weight {_text(term.weight)}"
    return f"  {where}: {_text(term.weight)} · {_text(term.value)} = {_text(term.product)}"


def _bracketed(number: float) -> str:
    return f"({_text(number)})" if number < 0 else _text(number)


def _text(number: float) -> str:
    """Whole numbers as they are, others with six digits."""
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e9 else f"{number:.6g}"
