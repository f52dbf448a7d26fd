"""The lens `pathways`: the units that contribute most to a class's logit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from convscope.base.errors import ConvscopeError
from convscope.contract.lens import Answer, ClassIndex, Inputs, Lens, Params, Table
from convscope.lenses.pathways.result import PathwaysResult

if TYPE_CHECKING:
    from convscope.lenses.pathways.compute import Pathways
    from convscope.lenses.pathways.picture import Panel
    from convscope.lenses.pathways.proof import Proof

_STRONGEST = 5


class PathwaysParams(Params):
    """The two classes, and the settings of the proof."""

    target: ClassIndex | None = Field(
        None, description="Class, by name or number; by default the predicted one."
    )
    contrast: ClassIndex | None = Field(
        None, description="A second class; by default the most probable one beside the target."
    )
    share: float = Field(
        0.05, gt=0, le=1, description="The share of the active units that is switched off."
    )
    sets: int = Field(20, ge=2, le=10_000, description="Random sets of units, 2 or more.")
    seed: int = Field(0, ge=0, description="Seed of the random sets and images.")


class _Drawable(NamedTuple):
    """What the pictures and the text show."""

    title: str
    panel: "Panel"


def _compute(inputs: Inputs, params: PathwaysParams) -> Answer[PathwaysResult]:
    from convscope.lenses.pathways.compute import pathways
    from convscope.lenses.pathways.downstream import pathway_layers
    from convscope.lenses.pathways.picture import Panel
    from convscope.lenses.pathways.proof import prove
    from convscope.lenses.pathways.result import result_of

    subject, (image,) = inputs.subject, inputs.images
    if not subject.classes:
        raise ConvscopeError(
            f"{subject.title} is a trunk: without a head it has no classes, and no logit to explain"
        )
    record = inputs.trace(pathway_layers(subject.graph))
    try:
        result = pathways(record, params.target, params.contrast)
    except ConvscopeError as error:
        raise ConvscopeError(f"{image.name}: {error}") from error
    proofs = prove(record, result, share=params.share, sets=params.sets, seed=params.seed)
    preprocess = subject.classifier.preprocess
    network_view = preprocess.centre(preprocess.canvas(image.pixels))
    return Answer(
        result_of(result, proofs, subject.classes, image.name),
        {layer.name: layer.contributions[0][list(layer.drawn)] for layer in result.layers},
        _Drawable(subject.title, Panel(image.name, network_view, result, proofs, subject.classes)),
    )


def _draw(answer: Answer[PathwaysResult]) -> Iterator[tuple[str, bytes]]:
    from convscope.lenses.pathways.picture import pathways_sheet

    sheet = pathways_sheet([answer.value.panel], title=f"{answer.value.title} · pathways")
    yield "pathways.png", sheet.png()


def _lines(answer: Answer[PathwaysResult]) -> Iterator[str | Table]:
    from convscope.base.numbers import signed
    from convscope.lenses.pathways.files import sum_lines
    from convscope.lenses.pathways.proof_picture import proof_title

    panel = answer.value.panel
    result: Pathways = panel.pathways
    proofs: tuple[Proof, ...] = panel.proofs
    names, shares = panel.class_names, result.probabilities
    yield (
        f"{panel.name} · target {names[result.target]} {shares[result.target]:.1%} · "
        f"contrast {names[result.contrast]} {shares[result.contrast]:.1%}"
    )
    yield from result.notes
    for layer in result.layers:
        kind = "channel" if layer.activations.ndim > 1 else "unit"
        best = [f"{kind} {u} {signed(layer.channels[0, u])}" for u in layer.drawn[:_STRONGEST]]
        yield f"{layer.name}, {layer.role}: {', '.join(best) or layer.no_proof_reason}"
        for line in sum_lines(layer, result, names):
            yield f"  {line}"
        if best and layer.no_proof_reason:
            yield f"  {layer.no_proof_reason}"
    if proofs:
        columns = ["switched off", "drop", "random", "most active", "contrast", "claimed", ""]
        rows = [_row(proof, proof_title(proof)) for proof in proofs]
        yield Table(columns, rows, left=("switched off", ""))


def _row(proof: "Proof", title: str) -> list[str]:
    from convscope.base.numbers import number

    return [
        title,
        number(proof.drop),
        f"{number(proof.random_mean)} ± {number(proof.random_std)}",
        *map(number, (proof.activation_drop, proof.contrast_drop, proof.claimed)),
        proof.verdict,
    ]


LENS = Lens(
    "pathways",
    "image",
    params=PathwaysParams,
    result=PathwaysResult,
    compute=_compute,
    lines=_lines,
    draw=_draw,
    command="convscope.lenses.pathways.command:command",
    page=True,
)
