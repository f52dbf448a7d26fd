"""The largest terms of a ledger if there are too many to list, and the sum of the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from convscope.graph.kinds import PROBABILITIES
from convscope.graph.ledger.ledger import ChannelSum, Ledger, Terms

# The number of input channels of a convolution that are listed; all if there are at most two more.
_NAMED = 4


@dataclass(frozen=True, eq=False)
class ListedTerms:
    """Those of a ledger's terms that are listed.

    Attributes:
        sources: for each input node its terms, and the positions (listed,) of those to list among
            them; in the order of the formula.
        count: how many terms the ledger has.
        other_count: how many of them are not listed.
        other_sum: the sum of these; None where the formula is not a sum.
    """

    sources: tuple[tuple[Terms, np.ndarray], ...]
    count: int
    other_count: int
    other_sum: float | None


@dataclass(frozen=True, eq=False)
class LargestChannels:
    """The input channels of a convolution with the largest sums by magnitude, the largest first.

    `other_count` and `other_sum` are of the other channels.
    """

    channels: tuple[ChannelSum, ...]
    other_count: int
    other_sum: float


def listed_terms(ledger: Ledger, limit: int) -> ListedTerms:
    """All terms of a convolution, which are laid out as patches; of other kinds the largest.

    The largest are those with the largest product by magnitude; for softmax and cross-entropy, with
    the largest exponential, and the value's own term is always listed. Where the formula is not a
    sum, the terms keep their order unless there are more than `limit`.
    """
    columns = _by_source(ledger)
    count = sum(map(len, columns))
    chosen = [np.arange(len(terms)) for terms in columns]
    ranked = ledger.weighted or ledger.kind in PROBABILITIES or count > limit
    if ledger.window is None and ranked:
        chosen = _largest(ledger, columns, limit)
    return ListedTerms(
        tuple(zip(columns, chosen, strict=True)), count, count - sum(map(len, chosen)),
        _sum_of_others(ledger, columns, chosen),
    )  # fmt: skip


def largest_channels(ledger: Ledger) -> LargestChannels:
    """Four input channels of a convolution, or all up to six; NaN comes last."""
    sums = ledger.channels
    ranked = sorted(sums, key=lambda one: -abs(one.sum) if one.sum == one.sum else np.inf)
    named = ranked if len(ranked) <= _NAMED + 2 else ranked[:_NAMED]
    others = [channel.sum for channel in sums if channel not in named]
    return LargestChannels(tuple(named), len(others), sum(others))


def _by_source(ledger: Ledger) -> list[Terms]:
    """The terms by input node, in the order of their first terms."""
    if isinstance(ledger.terms, Terms):
        return [ledger.terms]
    columns = []
    for node in dict.fromkeys(term.node for term in ledger.terms):
        terms = [term for term in ledger.terms if term.node == node]
        columns.append(
            Terms(
                node,
                np.array([term.index for term in terms], dtype=np.int64),
                np.array([term.weight for term in terms]),
                np.array([term.value for term in terms]),
                np.array([term.padding for term in terms]),
            )
        )
    return columns


def _largest(ledger: Ledger, columns: Sequence[Terms], limit: int) -> list[np.ndarray]:
    """For each input node the positions of the terms to list, the largest first."""
    sizes = [
        np.abs(terms.weights if ledger.kind in PROBABILITIES else terms.products)
        for terms in columns
    ]
    together = np.concatenate(sizes) if sizes else np.zeros(0)
    best = np.argsort(-together, kind="stable")[:limit]
    if ledger.kind in PROBABILITIES:
        target = ledger.details.get("target")
        own = ledger.index if target is None else (int(target),)
        positions = np.flatnonzero((columns[0].indices == own).all(axis=1))
        best = np.concatenate([best, np.setdiff1d(positions, best)])
    starts = np.cumsum([0, *map(len, sizes)])
    return [best[(best >= a) & (best < b)] - a for a, b in pairwise(starts)]


def _sum_of_others(
    ledger: Ledger, columns: Sequence[Terms], chosen: Sequence[np.ndarray]
) -> float | None:
    if not ledger.weighted and ledger.kind not in PROBABILITIES:
        return None
    return sum(
        float(np.delete(terms.products if ledger.weighted else terms.weights, positions).sum())
        for terms, positions in zip(columns, chosen, strict=True)
    )
