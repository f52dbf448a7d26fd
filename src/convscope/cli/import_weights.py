"""`convscope import`: makes a run from the weights of another library."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from convscope.runs.imported import Imported

OFFICIAL = "imagenet"


def import_weights(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="WEIGHTS",
            help="A file of PyTorch, safetensors, Keras or NumPy; or imagenet: torchvision's.",
        ),
    ],
    model: Annotated[
        str, typer.Option(help="The network that has these weights: see `convscope models`.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder to write.")],
    headless: Annotated[
        bool, typer.Option("--headless", help="Only the trunk, without the dense layers.")
    ] = False,
    preprocess: Annotated[
        str | None,
        typer.Option(
            help="The preprocessing that the network was trained with: imagenet, caffe-bgr, "
            "minus-one-to-one or unit; by default the usual one of the file's library."
        ),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(help="Class names: one a line, a JSON list or Keras' class index."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Height and width of the input in pixels; by default those that fit the file's "
            "first dense layer, else the network's own.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the network: head=[256].")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Import weights from another library as a run. No code in the file is executed."""
    from convscope.cli.train import parse_settings
    from convscope.runs.imported import check_free, write_imported
    from convscope.runs.imported import import_weights as imported_from

    check_free(out)
    options = parse_settings(settings or [])
    path = _official(model) if weights == OFFICIAL else Path(weights)
    if weights == OFFICIAL and preprocess is None:
        preprocess = "imagenet"  # these are torchvision's weights
    found = imported_from(
        path, model, headless=headless, preprocessing=preprocess, classes=classes, size=size,
        options=options,
    )  # fmt: skip
    write_imported(out, found)
    if as_json:
        print(json.dumps({"run": str(out), **found.as_json()}, ensure_ascii=False))
        return
    _print(found, out)


def _official(model: str) -> Path:
    from convscope.cli.train import download_bar
    from convscope.weights.official import official

    with download_bar() as show:
        return official(model, show)


def _print(found: "Imported", out: Path) -> None:
    preprocess, names = found.classifier.preprocess, found.classifier.class_names
    sure = " (assumed; set it by --preprocess)" if found.assumed else ""
    least = " (the smallest that fits; set it by --size)" if found.size_assumed else ""
    shape = " x ".join(map(str, (preprocess.channels, *preprocess.size)))
    total = len(found.fit.matched) + len(found.fit.unexpected)
    lines = [
        f"{found.source} · {found.format} · SHA-256 {found.sha256[:12]}...",
        f"{found.model.name}{' without its head' if names is None else ''} · input {shape}{least}",
        f"{len(found.fit.matched)} of the file's {total} tensors, all that the network needs",
    ]
    if found.fit.unexpected:
        lines.append(f"not used: {', '.join(found.fit.unexpected)}")
    lines.append(f"preprocessing: {found.preprocessing}{sure}")
    if found.flipped:
        lines.append(
            "the first convolution was converted from BGR to RGB: the run takes RGB images"
        )
    lines += [f"{note[0].upper()}{note[1:]}" for note in found.notes]
    if names is not None:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        lines.append(f"{len(names):,} classes: {shown}")
    lines += [f"run folder: {out}", "", "next:", f"  convscope summary {out}"]
    if names is not None:
        lines.append(f"  convscope predict {out} YOUR_IMAGE.jpg")
    lines += [
        f"  convscope activations {out} YOUR_IMAGE.jpg",
        f"  convscope train YOUR_CLASS_FOLDERS --weights {out}",
    ]
    print("\n".join(lines))
