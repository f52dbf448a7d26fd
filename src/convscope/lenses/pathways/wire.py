"""What goes over the wire for pathways: which units carried a logit, and the proof.

Pairs are (target, contrast class). Contributions are in units of the logit.
"""

from convscope.explorer.wire import Wire

Pair = tuple[float, float]


class PathwayUnit(Wire):
    """A channel of maps, or a unit of a vector, that is drawn; of maps `activation` is the mean."""

    unit: int
    activation: float
    contribution: Pair


class PathwayLayer(Wire):
    """What the units of a layer carried: `carried` + `bias_share` + `residue` = logit.

    `drawn` is the sum over `units`, `others` that over the `hidden` ones that are not drawn.
    `holds` says whether the residue is rounding; `curved` names the layers because of which it may
    not be. `silence` says why nothing can be switched off; "" where something can.
    """

    name: str
    role: str
    shape: list[int]
    units: list[PathwayUnit]
    drawn: Pair
    hidden: int
    others: Pair
    carried: Pair
    bias_share: Pair
    residue: Pair
    holds: bool
    curved: list[str]
    silence: str


class Pathways(Wire):
    """From maps to two classes, in the network with all units on.

    `edges[j][i]` is what channel i of the first layer's units gives to the target's logit through
    unit j of the second's; empty with one layer.
    """

    target: int
    contrast: int
    predicted: int
    logits: Pair
    probabilities: Pair
    layers: list[PathwayLayer]
    edges: list[list[float]]
    notes: list[str]


class Drop(Wire):
    """How far the two logits fall when some units are switched off; negative where they rise."""

    name: str
    units: int
    target: float
    contrast: float


class Proof(Wire):
    """What became of the logits without a pathway's units, and without as many others.

    `drops` are those of the pathway and of the most active units; `random` has each random set's.
    `by` is "units" or "channels"; `claimed` the sum of the contributions.
    """

    layer: str
    by: str
    active: int
    switched: list[list[int]]
    claimed: float
    drops: list[Drop]
    random: list[Drop]
    random_mean: float
    random_std: float
    specific: float
    better: bool
    verdict: str
