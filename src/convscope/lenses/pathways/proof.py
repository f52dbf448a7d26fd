"""The test of a pathway: switch its units off and measure how far the logit falls.

There are two controls, since switching off any units changes some logit: random active units with
the same summed activation, and the same number of units with the largest activations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convscope.base.errors import ConvscopeError
from convscope.graph.batching import batch_in_memory
from convscope.graph.graph import Graph
from convscope.graph.trace import Trace
from convscope.lenses.pathways.compute import PathwayLayer, Pathways

SHARE, SETS, SIGMAS = 0.05, 20, 3
UNITS, CHANNELS = "units", "channels"
# Whole channels are switched off only where they are at most this share of all: with more,
# little is left of the maps, and random channels have the same effect.
MOST_CHANNELS = 1 / 6


@dataclass(frozen=True)
class Proof:
    """How two logits changed when a layer's units were switched off.

    A drop is the logit before less the logit after; negative where it rose. `contrast` drops are
    those of the contrast class in the same pass.

    Attributes:
        layer: the node whose units were switched off.
        by: "units", single numbers of the layer; or "channels", whole maps.
        active: how many units or channels are not 0.
        switched: the pathway: (channel, row, column) each, or (unit,), (channel,); the largest
            contribution to the target first.
        claimed: the sum of their contributions, which the drop would be if nothing interacted.
        drop: of the target.
        contrast_drop: of the contrast class.
        activation_drop: of the target without as many units of the largest activation.
        activation_contrast_drop: of the contrast class without these.
        random_drops: of the target, for each random set.
        random_contrast_drops: of the contrast class.
        random_counts: how many units each random set has.
    """

    layer: str
    by: str
    active: int
    switched: tuple[tuple[int, ...], ...]
    claimed: float
    drop: float
    contrast_drop: float
    activation_drop: float
    activation_contrast_drop: float
    random_drops: tuple[float, ...]
    random_contrast_drops: tuple[float, ...]
    random_counts: tuple[int, ...]

    @property
    def random_mean(self) -> float:
        """Mean drop of the target over the random sets."""
        return float(np.mean(self.random_drops))

    @property
    def random_std(self) -> float:
        """Standard deviation of these drops (of a sample: n - 1)."""
        return float(np.std(self.random_drops, ddof=1))

    @property
    def beats_random(self) -> bool:
        """Whether the pathway's drop exceeds the random mean by more than 3 sd."""
        return self.drop > self.random_mean + SIGMAS * self.random_std

    @property
    def beats_activation(self) -> bool:
        """Whether the pathway's drop exceeds that of the most active units."""
        return self.drop > self.activation_drop

    @property
    def specific(self) -> float:
        """The drop of the target less that of the contrast class."""
        return self.drop - self.contrast_drop

    @property
    def verdict(self) -> str:
        """One line: better than both controls, or what it is not better than."""
        failed = []
        if not self.beats_random:
            failed.append("random active units (3 sd)")
        if not self.beats_activation:
            failed.append("the most active units")
        return f"not better than {' or '.join(failed)}" if failed else "better than both controls"


def prove(
    record: Trace,
    pathways: Pathways,
    *,
    share: float = SHARE,
    sets: int = SETS,
    seed: int = 0,
) -> tuple[Proof, ...]:
    """Switches the top units of each layer off, and the controls' units, and reads the logits.

    In each layer, the share `share` of its active units is switched off: those with the largest
    contributions to the target, at least one, and only units with positive contributions. In maps,
    whole channels are also switched off, where they are at most a sixth of all. A layer without any
    unit to switch off has no proof; its `no_proof_reason` says why.

    Random units are drawn from all active ones, including the pathway's, until their summed
    magnitude is as near to the pathway's as possible; so a random set has more units.

    Args:
        record: the trace that the pathways are of, or an equal one of a single image.
        pathways: from `pathways`.
        share: of the active units, above 0 and at most 1.
        sets: random sets, 2 or more: one has no spread.
        seed: of the draws.

    Raises:
        ConvscopeError: a share or a number of sets out of range.
    """
    if not 0 < share <= 1:
        raise ConvscopeError(f"the share of units to switch off must be in 0..1, got {share}")
    if sets < 2:
        raise ConvscopeError(f"give 2 or more random sets, for a mean and a spread; got {sets}")
    proofs = []
    for place, layer in enumerate(pathways.layers):
        if layer.no_proof_reason:
            continue
        classes = pathways.target, pathways.contrast
        for by in (UNITS, CHANNELS):
            choice = _choice(layer, by, share)
            if choice is None:
                continue
            generator = np.random.default_rng([seed, place, by == CHANNELS])
            randoms = _random_sets(choice, sets, generator)
            logits = _logits_without(record.graph, layer, choice, randoms, classes)
            proofs.append(_proof(layer.name, by, choice, randoms, logits))
    return tuple(proofs)


@dataclass(frozen=True)
class _Choice:
    """What is switched off together: units or channels by flat index, and the shape of the mask.

    A mask of `shape` broadcasts to the layer.
    """

    shape: tuple[int, ...]
    strengths: np.ndarray
    top: np.ndarray
    most_active: np.ndarray
    claimed: float


def _choice(layer: PathwayLayer, by: str, share: float) -> _Choice | None:
    """The pathway's units and as many of the most active; None where channels cannot be used."""
    shape = layer.activations.shape
    scores, strengths = layer.contributions[0], np.abs(layer.activations)
    if by == CHANNELS:
        if len(shape) != 3 or shape[1:] == (1, 1):
            return None
        scores, strengths = scores.sum(axis=(1, 2)), strengths.sum(axis=(1, 2))
        shape = (shape[0], *(1 for _ in shape[1:]))
    scores, strengths = scores.ravel(), strengths.ravel()
    count = max(1, round(share * int((strengths > 0).sum())))
    if by == CHANNELS and count > MOST_CHANNELS * len(scores):
        return None
    count = min(count, int((scores > 0).sum()))
    if not count:
        return None
    top = np.argsort(-scores, kind="stable")[:count]
    most_active = np.argsort(-strengths, kind="stable")[:count]
    return _Choice(shape, strengths, top, most_active, float(scores[top].sum()))


def _random_sets(choice: _Choice, sets: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Sets of random active units whose summed activation is nearest to the pathway's."""
    active = np.flatnonzero(choice.strengths)
    target_sum = choice.strengths[choice.top].sum()
    drawn = []
    for _ in range(sets):
        order = generator.permutation(active)
        sums = np.cumsum(choice.strengths[order])
        count = int(np.abs(sums - target_sum).argmin()) + 1
        drawn.append(order[:count])
    return drawn


@torch.inference_mode()
def _logits_without(
    graph: Graph,
    layer: PathwayLayer,
    choice: _Choice,
    randoms: Sequence[np.ndarray],
    classes: tuple[int, int],
) -> np.ndarray:
    """Drops (2 + sets, 2) of target and contrast: of pathway, most active, random sets."""
    weight = next((t for t in graph.tensors.values() if t.is_floating_point()), None)
    kind = torch.float32 if weight is None else weight.dtype
    output = torch.from_numpy(layer.activations).to(graph.device, kind)
    groups = [np.zeros(0, np.int64), choice.top, choice.most_active, *randoms]
    rows = []
    step = batch_in_memory(2 * output.numel())  # copies of the layer, and the later outputs
    for start in range(0, len(groups), step):
        part = groups[start : start + step]
        off = np.zeros((len(part), len(choice.strengths)), bool)
        for row, units in zip(off, part, strict=True):
            row[units] = True
        mask = torch.from_numpy(off).reshape(len(part), *choice.shape).to(graph.device)
        # Not a product: infinity times 0 is NaN, but a unit that is off gives 0.
        batch = torch.where(mask, torch.zeros((), dtype=kind, device=graph.device), output)
        logits = graph.run({layer.name: batch}, [graph.logits])[graph.logits]
        rows.append(logits[:, list(classes)].double().cpu().numpy())
    logits = np.concatenate(rows)
    return logits[0] - logits[1:]


def _proof(
    layer: str, by: str, choice: _Choice, randoms: Sequence[np.ndarray], drops: np.ndarray
) -> Proof:
    shape = choice.shape[:1] if by == CHANNELS else choice.shape
    places = np.stack(np.unravel_index(choice.top, shape), axis=1)
    return Proof(
        layer=layer,
        by=by,
        active=int((choice.strengths > 0).sum()),
        switched=tuple(tuple(place) for place in places.tolist()),
        claimed=choice.claimed,
        drop=float(drops[0, 0]),
        contrast_drop=float(drops[0, 1]),
        activation_drop=float(drops[1, 0]),
        activation_contrast_drop=float(drops[1, 1]),
        random_drops=tuple(drops[2:, 0].tolist()),
        random_contrast_drops=tuple(drops[2:, 1].tolist()),
        random_counts=tuple(len(units) for units in randoms),
    )
