"""`convscope pathways`: of one image or two; or, with `--split`, a table over many."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.base.errors import ConvscopeError
from convscope.base.storage import safe_name
from convscope.console.output import (
    Json,
    Source,
    checked_folder,
    print_table,
    progress,
    stem,
    warn_untrained,
)
from convscope.console.source import is_run
from convscope.contract.command import inputs_of, report, traced
from convscope.contract.lens import InputImage, Inputs
from convscope.contract.options import OptionValues, with_options
from convscope.lenses.pathways.lens import LENS, PathwaysParams

if TYPE_CHECKING:
    from convscope.lenses.pathways.survey import SurveyRow

_IMAGES = 100


@dataclass(frozen=True)
class _Output:
    """Where the answer goes."""

    out: Path | None
    as_json: bool


@with_options(PathwaysParams)
def command(
    source: Source,
    params: OptionValues[PathwaysParams],
    images: Annotated[
        list[Path] | None,
        typer.Argument(metavar="IMAGE", help="One image file, or two to see side by side."),
    ] = None,
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
        Path | None,
        typer.Option(
            "--out", "-o", help="A folder; by default pathways/IMAGE.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the units that contribute most to a class's logit, and switch them off.

    `--json` prints one object; for two images a list.
    """
    output = _Output(out, as_json)
    if split is not None:
        if images or params.values["target"] is not None or params.values["contrast"] is not None:
            raise ConvscopeError(
                "--split looks at images of a data set, each with its own two most probable "
                "classes: leave image files, --target and --contrast out"
            )
        _survey(source, params.params(), split, count or _IMAGES, data, output)
        return
    if not images or len(images) > 2:
        raise ConvscopeError(
            f"give one or two image files, or --split test; got {len(images or ())}"
        )
    if count is not None or data is not None:
        raise ConvscopeError("--images and --data are for --split")
    _show(source, images, params, output)


def _show(
    source: str, files: Sequence[Path], options: OptionValues[PathwaysParams], output: _Output
) -> None:
    """The sheet of one or two image files."""
    from convscope.base.storage import write_bytes, write_json
    from convscope.contract.files import as_json
    from convscope.lenses.pathways.picture import pathways_sheet

    default = Path("pathways", safe_name("-".join(file.stem for file in files)))
    folder = checked_folder(output.out or default)
    inputs = inputs_of(source, files)
    params = options.params(inputs.subject.classes)
    warn_untrained(source)
    assert LENS.compute is not None
    answers = [LENS.compute(_of_one(inputs, image), params) for image in inputs.images]
    panels = [answer.value.panel for answer in answers]
    sheet = pathways_sheet(panels, title=f"{inputs.subject.title} · pathways")
    objects = [as_json(answer.result) for answer in answers]
    content = objects[0] if len(objects) == 1 else objects
    write_bytes(folder / "pathways.png", sheet.png())
    write_json(folder / "pathways.json", content)
    if output.as_json:
        print(json.dumps(content, allow_nan=False))
        return
    for answer in answers:
        report(LENS, answer, as_json=False)
    print(f"pathways.png and pathways.json: {folder}")


def _of_one(inputs: Inputs, image: InputImage) -> Inputs:
    return replace(inputs, images=(image,), trace=partial(traced, inputs.subject, (image,)))


def _survey(
    source: str, params: PathwaysParams, split: str, count: int, data: str | None, output: _Output
) -> None:
    """The table over images of a data set."""
    import numpy as np

    from convscope.base.storage import write_json, write_text
    from convscope.contract.files import as_json
    from convscope.data.split import stratified_sample
    from convscope.evaluation.evaluate import indices_of
    from convscope.lenses.pathways.files import survey_csv
    from convscope.lenses.pathways.survey import SurveyResult, survey
    from convscope.runs.data import run_dataset

    if not is_run(source):
        raise ConvscopeError(f"--split needs a run folder; {source} is an untrained network")
    folder = checked_folder(output.out or Path("pathways", safe_name(f"{stem(source)}-{split}")))
    inputs = inputs_of(source, ())
    names = inputs.subject.classes
    if not names:
        raise ConvscopeError(f"{source} is a trunk: it has no classes, and no logit to explain")
    dataset = run_dataset(Path(source), data).aligned_to(names)
    indices, split = indices_of(dataset, split)
    if count < len(indices):
        pool = np.isin(np.arange(len(dataset)), indices)
        generator = np.random.default_rng([params.seed, 0x9A7B])
        indices = stratified_sample(dataset.labels, pool, count, generator)
    panels = []
    channels = inputs.subject.classifier.preprocess.channels
    assert LENS.compute is not None
    for index in progress(indices.tolist(), "proving"):
        path = dataset.paths[index]
        image = InputImage(path, dataset.image(index, channels))
        panel = LENS.compute(_of_one(inputs, image), params).value.panel
        panels.append((path, panel.pathways, panel.proofs))
    rows = survey([proofs for _, _, proofs in panels])
    result = SurveyResult(
        network=stem(source), split=split, images=len(panels), seed=params.seed, sets=params.sets,
        rows=list(rows),
    )  # fmt: skip
    content: dict[str, Any] = as_json(result)
    write_text(folder / "pathways.csv", survey_csv(panels, names))
    write_json(folder / "pathways.json", content)
    if output.as_json:
        print(json.dumps(content, allow_nan=False))
        return
    what = f"{params.share:.0%} of the active units off, {params.sets} random sets"
    print(f"{stem(source)} · {split} split, {len(panels)} images · {what}, seed {params.seed}")
    _print_survey(rows)
    print(f"pathways.csv and pathways.json: {folder}")


def _print_survey(rows: "Sequence[SurveyRow]") -> None:
    from convscope.base.numbers import number

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
