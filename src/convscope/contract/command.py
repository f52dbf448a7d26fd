"""The command derived from a lens: its arguments, options, `--out` and `--json`."""

import inspect
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.base.errors import ConvscopeError
from convscope.base.storage import safe_name, write_bytes
from convscope.console.output import (
    Json,
    Source,
    StageBar,
    checked_folder,
    named,
    print_table,
    progress,
    stem,
    warn_untrained,
)
from convscope.console.source import classifier_of, is_run
from convscope.contract.lens import Answer, InputImage, Inputs, Lens, Needs, Table
from convscope.contract.options import OptionValues, with_options, with_signature

if TYPE_CHECKING:
    from convscope.explorer.subject import Subject
    from convscope.graph.trace import Trace

_PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
_ARGUMENTS: dict[Needs, dict[str, Any]] = {
    "network": {"source": Source},
    "image": {
        "source": Source,
        "images": Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    },
    "images": {
        "source": Source,
        "images": Annotated[
            list[Path] | None, typer.Argument(metavar="IMAGE", help="Image files.")
        ],
    },
    "run": {"runs": Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]},
    "runs": {
        "runs": Annotated[
            list[Path],
            typer.Argument(metavar="RUN", help="Run folders, trained on the same data."),
        ]
    },
}


def command_of(lens: Lens[Any, Any], about: str) -> Callable[..., None]:
    """The function that becomes a Typer command; `about` is its help."""
    if lens.command is not None:
        module, _, name = lens.command.partition(":")
        return getattr(import_module(module), name)
    assert lens.params is not None
    work = _run_study if lens.study else _run_answer
    about = f"{about}\n\n{lens.about}".strip()

    def run(params: OptionValues[Any], **given: Any) -> None:
        work(lens, params, **given)

    folder = _default_folder(lens)
    parameters = [
        _parameter(name, kind, None if name == "images" and lens.needs == "images" else ...)
        for name, kind in _ARGUMENTS[lens.needs].items()
    ]
    parameters += [
        _parameter("params", OptionValues, ...),
        _parameter("out", Annotated[
            Path | None,
            typer.Option("--out", "-o", help=f"A folder; by default {folder}.", show_default=False),
        ], None),
        _parameter("as_json", Json, False),
    ]  # fmt: skip
    return with_options(lens.params)(with_signature(run, parameters, lens.name, about))


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    empty = inspect.Parameter.empty if default is ... else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=empty, annotation=kind)


def _default_folder(lens: Lens[Any, Any]) -> str:
    if lens.study:
        return f"one below RUN/{lens.name}"
    return f"{lens.name}/{'NAME' if lens.needs == 'network' else 'IMAGE'}"


def _run_answer(
    lens: Lens[Any, Any],
    options: OptionValues[Any],
    source: str,
    out: Path | None,
    as_json: bool,
    images: Path | Sequence[Path] | None = None,
) -> None:
    files = [images] if isinstance(images, Path) else list(images or ())
    picture = _picture(lens, out)
    default = "-".join(file.stem for file in files) if files else stem(source)
    folder = checked_folder(Path(lens.name, safe_name(default)) if out is None or picture else out)
    inputs = inputs_of(source, files)
    params = options.params(inputs.subject.classes)
    assert lens.compute is not None
    answer = lens.compute(inputs, params)
    warn_untrained(source)
    pictures = progress(lens.draw(answer) if lens.draw else (), "drawing")
    if picture:
        written = _write_one(picture, lens, pictures)
    else:
        written = _write_all(folder, lens, answer, pictures)
    report(lens, answer, as_json)
    if not as_json:
        print(written)


def inputs_of(source: str, files: Sequence[Path]) -> Inputs:
    """The network of a run folder or a name, on the default device, and image files for it.

    Raises:
        ConvscopeError: there is no such network; an image cannot be read.
    """
    from convscope.base.device import default_device
    from convscope.explorer.subject import subject
    from convscope.images.files import read_image

    classifier = classifier_of(source).to(default_device())
    channels = classifier.preprocess.channels
    images = tuple(InputImage(file.name, read_image(file, channels)) for file in files)
    looked_at = subject(classifier, title=named(source), trained=is_run(source), strict=False)
    run = Path(source) if is_run(source) else None
    return Inputs(looked_at, images, run, partial(traced, looked_at, images))


def traced(
    subject: "Subject", images: Sequence[InputImage], keep: Collection[str] | None
) -> "Trace":
    """The recorded pass of the first image; `keep` as in `trace`."""
    from convscope.graph.trace import trace

    return trace(subject.graph, subject.images([images[0].pixels]), keep=keep)


def _run_study(
    lens: Lens[Any, Any],
    options: OptionValues[Any],
    runs: Path | Sequence[Path],
    out: Path | None,
    as_json: bool,
) -> None:
    assert lens.study is not None
    if out is not None:
        checked_folder(out)
    folders = [runs] if isinstance(runs, Path) else list(runs)
    with StageBar() as bar:
        answer = lens.study(folders, options.params(), out, bar.show)
    assert answer.folder is not None
    for name, content in lens.draw(answer) if lens.draw else ():
        write_bytes(answer.folder / name, content)
    report(lens, answer, as_json)


def report(lens: Lens[Any, Any], answer: Answer[Any], as_json: bool) -> None:
    """Prints an answer: its JSON, or its lines and tables."""
    if as_json:
        from convscope.contract.files import as_json as json_of

        print(json.dumps(json_of(answer.result), allow_nan=False))
        return
    for line in lens.lines(answer) if lens.lines else ():
        if isinstance(line, Table):
            print_table(line.columns, line.rows, list(line.left))
        else:
            print(line)


def _picture(lens: Lens[Any, Any], out: Path | None) -> Path | None:
    """`out`, where it names a picture instead of a folder.

    Raises:
        ConvscopeError: a picture of another format than PNG, or a lens that draws none.
    """
    if out is None or out.suffix.lower() not in _PICTURES:
        return None
    if out.suffix.lower() != ".png":
        raise ConvscopeError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    if lens.draw is None:
        raise ConvscopeError(f"--out {out}: {lens.name} draws no picture; give a folder")
    return out


def _write_one(picture: Path, lens: Lens[Any, Any], pictures: Iterable[tuple[str, bytes]]) -> str:
    drawn = iter(pictures)
    _, content = next(drawn)
    if next(drawn, None) is not None:
        raise ConvscopeError(
            f"--out {picture}: {lens.name} draws several pictures here; give a folder"
        )
    write_bytes(picture, content)
    return f"picture: {picture}"


def _write_all(
    folder: Path, lens: Lens[Any, Any], answer: Answer[Any], pictures: Iterable[tuple[str, bytes]]
) -> str:
    from convscope.contract.files import write_answer

    names = write_answer(folder, lens, answer, pictures)
    drawn = [name for name in names if name.endswith(".png")]
    if len(drawn) > 1:
        names = [f"{len(drawn)} pictures", *(name for name in names if name not in drawn)]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"{listed}: {folder}"
