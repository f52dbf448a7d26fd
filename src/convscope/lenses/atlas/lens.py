"""The lens `atlas`: the images that activate each channel most, over a whole data set."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from convscope.base.errors import ConvscopeError
from convscope.contract.lens import Answer, Lens, Params, Progress, Table
from convscope.lenses.atlas.result import AtlasResult

if TYPE_CHECKING:
    from convscope.data.dataset import Dataset
    from convscope.explorer.subject import Subject
    from convscope.images.preprocess import Preprocess
    from convscope.lenses.atlas.files import Atlas

PICTURE = "hierarchy.png"


class AtlasParams(Params):
    """Which images and layers an atlas is made from, and how much of them it keeps."""

    data: str | None = Field(
        None, description="Other images, labelled or not; by default the run's own."
    )
    split: str | None = Field(
        None, description="train, val, test or all; by default test, else val."
    )
    layer: tuple[str, ...] = Field(
        ("blocks",),
        description="blocks: the output of every convolution block; convolutions: the output of "
        "every trainable convolution, after its activation function; or a layer by name. Repeat "
        "the option for several.",
    )
    top: int = Field(9, ge=1, le=100, description="Images kept per channel.")
    project: int | None = Field(
        None, ge=1,
        description="Project this many channels of each layer, chosen at random; by default all.",
    )  # fmt: skip
    seed: int = Field(0, ge=0, description="Seed of the random choice of channels.")


class _Made(NamedTuple):
    """What the picture and the text show."""

    run: str
    atlas: "Atlas"
    dataset: "Dataset"
    preprocess: "Preprocess"
    projected: dict[str, int]


def _study(
    runs: Sequence[Path], params: AtlasParams, out: Path | None, progress: Progress
) -> Answer[AtlasResult]:

    from convscope.base.device import default_device
    from convscope.base.storage import safe_name
    from convscope.graph.graph_of import graph_of
    from convscope.lenses.atlas.make import make_atlas
    from convscope.lenses.atlas.ranking import atlas_layers
    from convscope.lenses.atlas.result import channels_of
    from convscope.runs.data import images_of
    from convscope.runs.folder import load

    (run,) = runs
    classifier = load(run).to(default_device())
    preprocess = classifier.preprocess
    graph = graph_of(classifier)
    # Names separated by commas are the old spelling `--layers A,B`, until version 0.2.
    layers = atlas_layers(
        graph, [name.strip() for given in params.layer for name in given.split(",")]
    )
    dataset, split = images_of(run, params.data, params.split)
    if not len(dataset):
        raise ConvscopeError(f"{dataset.name} has no images")
    stem = split if params.data is None else safe_name(f"{dataset.name}-{split}")
    atlas = make_atlas(
        out or run / "atlas" / stem, classifier, dataset, split, layers,
        top=params.top, projected=params.project, seed=params.seed, graph=graph,
        progress=lambda stage, done, total: progress(_stage(stage), done, total),
    )  # fmt: skip
    entries, projected = [], {}
    for name in layers:
        layer = atlas.layer(name)
        entries += channels_of(atlas, layer)
        projected[name] = len(layer.projections.channels)
    made = _Made(run.resolve().name, atlas, dataset, preprocess, projected)
    return Answer(AtlasResult(entries), value=made, folder=atlas.folder)


def _stage(stage: str) -> str:
    return "ranking the images" if stage == "images" else f"projecting {stage}"


def _draw(answer: Answer[AtlasResult]) -> Iterator[tuple[str, bytes]]:
    from convscope.lenses.atlas.picture import hierarchy_sheet, notes_of, panels_of

    made: _Made = answer.value
    about, preprocess, dataset = made.atlas.about, made.preprocess, made.dataset
    layers = panels_of(
        made.atlas, preprocess, lambda number: dataset.image(number, preprocess.channels)
    )
    images = f"{len(dataset):,} images ({dataset.name}, {about.split})"
    title = f"{made.run}: what activates each channel most in {images}"
    yield PICTURE, hierarchy_sheet(layers, title=title, notes=notes_of(about)).png()


def _lines(answer: Answer[AtlasResult]) -> Iterator[str | Table]:
    made: _Made = answer.value
    columns = ["layer", "channels", "dead", "median share", "most selective channel", "projected"]
    rows = []
    for name, group in groupby(answer.result.root, key=lambda entry: entry.layer):
        entries = list(group)
        most = max(entries, key=lambda e: -1 if e.selectivity is None else e.selectivity)
        selective = "-"
        if most.selectivity is not None:
            selective = f"{most.channel}: {most.class_name} {most.selectivity:.2f}"
        rows.append(
            [
                name, f"{len(entries):,}", f"{sum(entry.dead for entry in entries):,}",
                f"{median(entry.active for entry in entries):.1%}", selective,
                f"{made.projected[name]:,}",
            ]
        )  # fmt: skip
    yield Table(columns, rows, left=("layer", "most selective channel"))
    yield f"{len(made.dataset):,} images; {PICTURE} and the atlas: {made.atlas.folder}"


def _stored(run: Path, subject: "Subject") -> "Atlas | None":
    from convscope.contract.stored import newest
    from convscope.lenses.atlas.files import ABOUT, read_atlas

    return newest(run, "atlas", ABOUT, read_atlas, lambda atlas: atlas.about.weights, subject.graph)


LENS = Lens(
    "atlas",
    "run",
    params=AtlasParams,
    result=AtlasResult,
    study=_study,
    lines=_lines,
    draw=_draw,
    about="The atlas is stored. The same command continues where it was stopped, and computes only "
    "what is missing or has changed.",
    routes="convscope.lenses.atlas.routes:routes",
    stored=_stored,
    page=True,
)
