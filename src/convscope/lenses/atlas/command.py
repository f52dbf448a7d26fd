"""`convscope atlas`: what every channel of a run's network looks for, over a whole data set."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.base.errors import ConvscopeError

if TYPE_CHECKING:
    import numpy as np

    from convscope.data.dataset import Dataset
    from convscope.graph.graph import Graph
    from convscope.lenses.atlas.files import Atlas
    from convscope.nets.classifier import Classifier


Data = Annotated[
    str | None, typer.Option(help="Other images, labelled or not; by default the run's own.")
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        help="blocks: the output of every convolution block; convolutions: every one "
        "that can be trained, behind its activation function; or layers by name, separated by "
        "commas.",
        show_default="blocks",
    ),
]
Projected = Annotated[
    int | None,
    typer.Option(
        min=1, help="Project so many channels of each layer, drawn by --seed.", show_default="all"
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="A folder; by default RUN/atlas/[DATA-]SPLIT.", show_default=False),
]


def atlas(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    data: Data = None,
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "test",
    layers: Layers = None,
    top: Annotated[int, typer.Option(min=1, max=100, help="Images kept per channel.")] = 9,
    project: Projected = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw of channels.")] = 0,
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="A list, an entry a channel.")] = False,
) -> None:
    """Find the images that excite each channel most, and project what excited it to the pixels.

    Made once, and continued where it was stopped; what has not changed since is not made again.
    """
    from convscope.base.device import default_device
    from convscope.base.storage import safe_name
    from convscope.console.output import StageBar, checked_folder
    from convscope.graph.graph_of import graph_of
    from convscope.lenses.atlas.make import make_atlas
    from convscope.lenses.atlas.ranking import atlas_layers
    from convscope.runs.data import images_of
    from convscope.runs.folder import load

    if out is not None:
        checked_folder(out)
    classifier = load(run).to(default_device())
    graph = graph_of(classifier)
    asked = [name.strip() for given in layers or ["blocks"] for name in given.split(",")]
    chosen = atlas_layers(graph, asked)
    dataset, split = images_of(run, data, split)
    if not len(dataset):
        raise ConvscopeError(f"{dataset.name}: there are no images to look at")
    stem = split if data is None else safe_name(f"{dataset.name}-{split}")
    folder = out or run / "atlas" / stem
    with StageBar() as bar:
        found = make_atlas(
            folder, classifier, dataset, split, chosen,
            top=top, projected=project, seed=seed, graph=graph,
            progress=lambda stage, done, total: bar.show(_stage(stage), done, total),
        )  # fmt: skip
    _draw(found, classifier, dataset, run)
    if as_json:
        print(json.dumps(_entries(found), allow_nan=False))
    else:
        _print(found, graph)


def _stage(stage: str) -> str:
    return "ranking the images" if stage == "images" else f"projecting {stage}"


def _draw(found: "Atlas", classifier: "Classifier", dataset: "Dataset", run: Path) -> None:
    """Writes `hierarchy.png`."""
    from convscope.base.storage import write_bytes
    from convscope.lenses.atlas.picture import groups_of, hierarchy_sheet, notes_of

    preprocess = classifier.preprocess
    groups = groups_of(found, preprocess, lambda n: dataset.image(n, preprocess.channels))
    title = f"{run.resolve().name}: what channels look for in {len(dataset):,} images "
    sheet = hierarchy_sheet(groups, title=f"{title}({dataset.name}, {found.about.split})",
                            notes=notes_of(found.about))  # fmt: skip
    write_bytes(found.folder / "hierarchy.png", sheet.png())


def _entries(found: "Atlas") -> list[dict[str, Any]]:
    """An entry for each channel of each layer, in order."""
    entries = []
    for name in found.about.layers:
        layer = found.layer(name)
        ranking = layer.ranking
        selectivity, best = ranking.selectivity()
        for channel in range(len(ranking.active)):
            there = ranking.images[channel] >= 0
            entries.append(
                {
                    "layer": name,
                    "channel": channel,
                    "dead": bool(ranking.dead[channel]),
                    "active": float(ranking.share[channel]),
                    "mean": float(ranking.mean[channel]),
                    "maximum": float(ranking.largest[channel]),
                    "selectivity": _number(selectivity[channel]),
                    "class": found.about.class_names[best[channel]] if best[channel] >= 0 else None,
                    "top": [
                        {"path": found.paths[image], "value": float(value),
                         "position": position.tolist(), "crop": crop.tolist()}
                        for image, value, position, crop in zip(
                            ranking.images[channel][there], ranking.strengths[channel][there],
                            ranking.positions[channel][there], layer.crops[channel][there],
                            strict=True,
                        )
                    ],
                }
            )  # fmt: skip
    return entries


def _number(value: "np.floating[Any]") -> float | None:
    return None if value != value else float(value)


def _print(found: "Atlas", graph: "Graph") -> None:
    """A line a layer, and where everything is."""
    import numpy as np

    from convscope.console.output import print_table

    columns = ["layer", "channels", "dead", "median share", "most selective channel", "projected"]
    rows = []
    for name in found.about.layers:
        layer = found.layer(name)
        ranking = layer.ranking
        selectivity, best = ranking.selectivity()
        most = "-"
        if not np.isnan(selectivity).all():
            channel = int(np.nanargmax(selectivity))
            most = f"{channel}: {found.about.class_names[best[channel]]} {selectivity[channel]:.2f}"
        rows.append(
            [
                name, f"{graph[name].output_shape[0]:,}", f"{int(ranking.dead.sum()):,}",
                f"{float(np.median(ranking.share)):.1%}", most,
                f"{len(layer.projections.channels):,}",
            ]
        )  # fmt: skip
    print_table(columns, rows, left=("layer", "most selective channel"))
    print(f"{len(found.paths):,} images; hierarchy.png and the atlas: {found.folder}")
