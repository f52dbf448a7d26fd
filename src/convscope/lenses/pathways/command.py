"""`convscope pathways`: which units carried a class's logit, and the proof of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.base.errors import ConvscopeError
from convscope.console.output import (
    Source,
    checked_folder,
    named,
    print_table,
    progress,
    stem,
    warn_untrained,
)
from convscope.console.source import classifier_of, is_run

if TYPE_CHECKING:
    from convscope.base.tensors import Pixels
    from convscope.graph.graph import Graph
    from convscope.lenses.pathways.compute import Pathways
    from convscope.lenses.pathways.proof import Proof
    from convscope.lenses.pathways.survey import SurveyRow
    from convscope.nets.classifier import Classifier

_IMAGES, _STRONGEST = 100, 5


@dataclass(frozen=True)
class _How:
    """What holds for files and for a split: the proof's settings, and where the answer goes."""

    share: float
    sets: int
    seed: int
    out: Path | None
    as_json: bool


def pathways(
    source: Source,
    images: Annotated[
        list[Path] | None, typer.Argument(help="One image file, or two to see side by side.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Class, by name or number; by default the predicted one.")
    ] = None,
    contrast: Annotated[
        str | None,
        typer.Option(help="A second class; by default the most probable one beside the target."),
    ] = None,
    share: Annotated[
        float, typer.Option(help="Of the active units, how many are switched off.")
    ] = 0.05,
    sets: Annotated[int, typer.Option(help="Random sets of units, 2 or more.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of the random sets and images.")] = 0,
    split: Annotated[
        str | None,
        typer.Option(help="Instead of files, a table over images of train, val, test or all."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--images", min=1, help="How many of the split; by default 100.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Other labelled images; by default the run's own.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder; by default pathways/IMAGE.", show_default=False)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object; of two images a list.")
    ] = False,
) -> None:
    """Show which units carried a class's logit, and switch them off to prove it."""
    how = _How(share, sets, seed, out, as_json)
    if split is not None:
        if images or target is not None or contrast is not None:
            raise ConvscopeError(
                "--split looks at images of a data set, each with its own two most probable "
                "classes: leave image files, --target and --contrast out"
            )
        _survey(source, split, count or _IMAGES, data, how)
        return
    if not images or len(images) > 2:
        raise ConvscopeError(
            f"give one or two image files, or --split test; got {len(images or ())}"
        )
    if count is not None or data is not None:
        raise ConvscopeError("--images and --data are for --split")
    _show(source, images, target, contrast, how)


def _show(
    source: str,
    files: Sequence[Path],
    target: str | None,
    contrast: str | None,
    how: _How,
) -> None:
    """The sheet of one or two image files."""
    from convscope.base.device import default_device
    from convscope.base.storage import write_bytes, write_json
    from convscope.graph.graph_of import graph_of
    from convscope.images.files import read_image
    from convscope.lenses.activations.picture import safe_name
    from convscope.lenses.pathways.files import pathways_json
    from convscope.lenses.pathways.picture import Panel, pathways_sheet

    folder = checked_folder(
        how.out or Path("pathways", safe_name("-".join(file.stem for file in files)))
    )
    classifier = classifier_of(source).to(default_device())
    names = _class_names(classifier, source)
    classes = [
        None if text is None else class_number(names, text, option)
        for text, option in ((target, "--target"), (contrast, "--contrast"))
    ]
    preprocess = classifier.preprocess
    pixels = [read_image(file, preprocess.channels) for file in files]
    graph = graph_of(classifier)
    warn_untrained(source)
    panels, objects = [], []
    for file, image in zip(files, pixels, strict=True):
        found, proofs = _found(graph, classifier, image, str(file), classes, how)
        seen = preprocess.centre(preprocess.canvas(image))
        panels.append(Panel(file.name, seen, found, proofs, names))
        objects.append(pathways_json(found, proofs, names, file.name))
    sheet = pathways_sheet(panels, title=f"{named(source)} · pathways")
    answer = objects[0] if len(objects) == 1 else objects
    write_bytes(folder / "pathways.png", sheet.png())
    write_json(folder / "pathways.json", answer)
    if how.as_json:
        print(json.dumps(answer, allow_nan=False))
        return
    for panel in panels:
        _print(panel.name, panel.pathways, panel.proofs, names)
    print(f"pathways.png and pathways.json: {folder}")


def _found(
    graph: "Graph",
    classifier: "Classifier",
    image: "Pixels",
    name: str,
    classes: Sequence[int | None],
    how: _How,
) -> "tuple[Pathways, tuple[Proof, ...]]":
    from convscope.graph.trace import trace
    from convscope.lenses.pathways.behind import pathway_layers
    from convscope.lenses.pathways.compute import pathways as pathways_of
    from convscope.lenses.pathways.proof import prove

    batch = classifier.preprocess.batch([image])
    record = trace(graph, batch, keep=pathway_layers(graph))
    try:
        found = pathways_of(record, *classes)
    except ConvscopeError as error:
        raise ConvscopeError(f"{name}: {error}") from error
    return found, prove(record, found, share=how.share, sets=how.sets, seed=how.seed)


def _class_names(classifier: "Classifier", source: str) -> tuple[str, ...]:
    if classifier.class_names is None:
        raise ConvscopeError(
            f"{source} is a trunk: without a head it has no classes, and no logit to explain"
        )
    return classifier.class_names


def class_number(names: Sequence[str], text: str, option: str) -> int:
    """The class that an option names or numbers.

    Raises:
        ConvscopeError: no such class, with those that there are.
    """
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    raise ConvscopeError(f"{option} {text!r} is no class; there are {', '.join(names[:12])}{more}")


def _print(image: str, found: "Pathways", proofs: "Sequence[Proof]", names: Sequence[str]) -> None:
    from convscope.lenses.pathways.files import signed, sum_lines
    from convscope.lenses.pathways.proof_picture import proof_title

    shares = found.probabilities
    print(
        f"{image} · target {names[found.target]} {shares[found.target]:.1%} · "
        f"contrast {names[found.contrast]} {shares[found.contrast]:.1%}"
    )
    for note in found.notes:
        print(note)
    for layer in found.layers:
        kind = "channel" if layer.activations.ndim > 1 else "unit"
        best = [f"{kind} {u} {signed(layer.channels[0, u])}" for u in layer.shown[:_STRONGEST]]
        print(f"{layer.name}, {layer.role}: {', '.join(best) or layer.silence}")
        for line in sum_lines(layer, found, names):
            print(f"  {line}")
        if best and layer.silence:
            print(f"  {layer.silence}")
    if proofs:
        columns = ["switched off", "drop", "random", "most active", "contrast", "claimed", ""]
        rows = [_row(proof, proof_title(proof)) for proof in proofs]
        print_table(columns, rows, left=("switched off", ""))


def _row(proof: "Proof", title: str) -> list[str]:
    from convscope.drawing.page import number

    return [
        title,
        number(proof.drop),
        f"{number(proof.random_mean)} ± {number(proof.random_std)}",
        *map(number, (proof.activation_drop, proof.contrast_drop, proof.claimed)),
        proof.verdict,
    ]


def _survey(source: str, split: str, count: int, data: str | None, how: _How) -> None:
    """The table over images of a data set."""
    import numpy as np

    from convscope.base.device import default_device
    from convscope.base.storage import write_json, write_text
    from convscope.data.split import held_out
    from convscope.evaluation.evaluate import indices_of
    from convscope.graph.graph_of import graph_of
    from convscope.lenses.activations.picture import safe_name
    from convscope.lenses.pathways.files import survey_csv, survey_json
    from convscope.lenses.pathways.survey import survey
    from convscope.runs.data import run_dataset

    if not is_run(source):
        raise ConvscopeError(f"--split needs a run folder; {source} is an untrained network")
    folder = checked_folder(how.out or Path("pathways", safe_name(f"{stem(source)}-{split}")))
    classifier = classifier_of(source).to(default_device())
    names = _class_names(classifier, source)
    dataset = run_dataset(Path(source), data).aligned_to(names)
    indices, split = indices_of(dataset, split)
    if count < len(indices):
        pool = np.isin(np.arange(len(dataset)), indices)
        generator = np.random.default_rng([how.seed, 0x9A7B])
        indices = held_out(dataset.labels, pool, count, generator)
    graph = graph_of(classifier)
    found = []
    for index in progress(indices.tolist(), "proving"):
        image = dataset.image(index, classifier.preprocess.channels)
        parts = _found(graph, classifier, image, dataset.paths[index], (None, None), how)
        found.append((dataset.paths[index], *parts))
    rows = survey([proofs for _, _, proofs in found])
    about: dict[str, Any] = survey_json(
        rows, network=stem(source), split=split, images=len(found), seed=how.seed, sets=how.sets
    )
    write_text(folder / "pathways.csv", survey_csv(found, names))
    write_json(folder / "pathways.json", about)
    if how.as_json:
        print(json.dumps(about, allow_nan=False))
        return
    what = f"{how.share:.0%} of the active units off, {how.sets} random sets, seed {how.seed}"
    print(f"{stem(source)} · {split} split, {len(found)} images · {what}")
    _print_survey(rows)
    print(f"pathways.csv and pathways.json: {folder}")


def _print_survey(rows: "Sequence[SurveyRow]") -> None:
    from convscope.drawing.page import number

    lines = [
        ("images with such a proof", [str(row.images) for row in rows]),
        ("switched off, on average", [f"{row.count:.1f}" for row in rows]),
        ("logit's drop: pathway", [number(row.drop) for row in rows]),
        ("  random", [number(row.random_drop) for row in rows]),
        ("  most active", [number(row.activation_drop) for row in rows]),
        ("drop less the contrast class's: pathway", [number(row.specific) for row in rows]),
        ("  random", [number(row.random_specific) for row in rows]),
        ("  most active", [number(row.activation_specific) for row in rows]),
        ("claimed by the contributions", [number(row.claimed) for row in rows]),
        ("beats random by 3 sd", [f"{row.beat_random} of {row.images}" for row in rows]),
        ("beats most active", [f"{row.beat_activation} of {row.images}" for row in rows]),
    ]
    columns = ["mean over the images", *(f"{row.layer} {row.by}" for row in rows)]
    print_table(columns, [[name, *cells] for name, cells in lines], left=columns[:1])
