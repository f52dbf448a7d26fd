"""`convscope train`: a recipe's events, shown and stored."""

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.base.errors import ConvscopeError

if TYPE_CHECKING:
    from convscope.training.recipe import Recipe

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


Data = Annotated[
    str | None, typer.Argument(help="A folder of class folders, or a known data set's name.")
]
Model = Annotated[
    str | None,
    typer.Option(help="A name from `convscope models`, or your own package.module:function."),
]
RecipeName = Annotated[str | None, typer.Option(help="scratch (the default) or vgg-paper.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="How many epochs.")]
Time = Annotated[str | None, typer.Option(help="How long instead, such as 90s, 3m or 1h.")]
Batch = Annotated[int | None, typer.Option(min=2, help="Images in a step.")]
Patience = Annotated[
    int | None, typer.Option(min=1, help="Stop after so many epochs without gain.")
]
Fraction = Annotated[float | None, typer.Option(help="Share of the training images to train on.")]
Weights = Annotated[bool, typer.Option("--class-weights", help="Weigh rare classes up.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Same seed, same run; by default 0.")]
Out = Annotated[Path | None, typer.Option(help="The run folder; by default runs/DATA-MODEL.")]
Resume = Annotated[Path | None, typer.Option(help="Continue this run.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check and show everything, train nothing.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting of the recipe: optim.clip=1, data.size=64."),
]
JsonLog = Annotated[bool, typer.Option("--json-log", help="Print events as JSON lines.")]


def train(
    data: Data = None,
    model: Model = None,
    recipe: RecipeName = None,
    epochs: Epochs = None,
    time: Time = None,
    batch: Batch = None,
    patience: Patience = None,
    fraction: Fraction = None,
    class_weights: Weights = False,
    seed: Seed = None,
    out: Out = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    settings: Settings = None,
    json_log: JsonLog = False,
) -> None:
    """Train a classifier on DATA and write a run folder."""
    if resume is not None:
        beside = (data, model, epochs, time, batch, patience, fraction, out, settings)
        _only_resume(*beside, recipe, seed, dry_run or None, class_weights or None)
        _run(None, resume, resume=True, json_log=json_log)
        return
    if not data:
        raise ConvscopeError("which data? Give a folder or a name: convscope train DATA")
    if epochs is not None and time is not None:
        raise ConvscopeError("give --epochs or --time, not both")
    given = {
        "epochs": epochs,
        "batch_size": batch,
        "patience": patience,
        "data.fraction": fraction,
        "optim.class_weights": class_weights or None,
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if time is not None:
        changes |= {"epochs": None, "time_budget": parse_time(time)}
    if seed is not None:
        changes["seed"] = seed
    more = parse_settings(settings or [])
    if twice := sorted(changes.keys() & more.keys()):
        raise ConvscopeError(f"--set {twice[0]}: given by an option too; give it once")
    changes |= more
    data = _fetched(data)
    chosen = _recipe(recipe or "scratch", data, model).with_settings(changes)
    folder = out or _new_folder(data, chosen.model.name)
    _outside(folder, data)
    if dry_run:
        _dry_run(chosen, folder, json_log=json_log)
    else:
        _run(chosen, folder, resume=False, json_log=json_log)


def _fetched(data: str) -> str:
    """The name of the data, downloaded where need be; `demo` is settled to what can be had."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    from convscope.data.catalog import DATASETS, fetch

    name = "fashion-mnist" if data == "demo" else data
    if name not in DATASETS or Path(data).expanduser().exists():
        return data
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(f"downloading {name}", total=None)
            bar.update(tasks[name], completed=done, total=total)

        try:
            fetch(name, show)
        except ConvscopeError as error:
            if data != "demo":
                raise
            sys.stderr.write(f"convscope: {error}\ntraining on scikit-learn's digits instead\n")
            return "digits"
    return name


def _outside(folder: Path, data: str) -> None:
    root = Path(data).expanduser()
    if root.is_dir() and folder.resolve().is_relative_to(root.resolve()):
        raise ConvscopeError(
            f"{folder} is inside the data folder {data}, where nothing is written; "
            "choose another --out"
        )


def _new_folder(data: str, model: str) -> Path:
    from convscope.runs.folder import new_folder

    return new_folder(re.sub(r"[^\w.-]+", "-", f"{Path(data).name or 'data'}-{model}"))


def parse_time(text: str) -> float:
    """Seconds of "90", "90s", "3m", "1.5h".

    Raises:
        ConvscopeError: for anything else, or nothing at all.

    >>> parse_time("1.5m")
    90.0
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not match or float(match[1]) == 0:
        raise ConvscopeError(f"--time {text}: give a time such as 90s, 3m or 1h")
    return float(match[1]) * _UNITS[match[2]]


def parse_settings(items: list[str]) -> dict[str, Any]:
    """`["a.b=1"]` as `{"a.b": 1}`; values are JSON where they can be, else text.

    Raises:
        ConvscopeError: for an item without "=".
    """
    changes: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ConvscopeError(f"--set {item}: write it as name=value, such as optim.clip=1")
        try:
            changes[key] = json.loads(value)
        except ValueError:
            changes[key] = value
    return changes


def _recipe(name: str, data: str, model: str | None) -> "Recipe":
    from convscope.nets.catalog import find
    from convscope.training.catalog import RECIPES

    if name not in RECIPES:
        raise ConvscopeError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    if model is not None:
        find(model)
    return RECIPES[name](data, model)


def _only_resume(*others: object) -> None:
    if any(other is not None for other in others):
        raise ConvscopeError(
            "--resume continues a run as it is: give no data or settings beside it"
        )


def _run(recipe: "Recipe | None", folder: Path, *, resume: bool, json_log: bool) -> None:
    from convscope.runs.folder import RunWriter, last_checkpoint, read_recipe
    from convscope.training.events import Interrupted
    from convscope.training.loop import train as run_training

    state = None
    if recipe is None:
        recipe, state = read_recipe(folder), last_checkpoint(folder).state()
    event = None
    with (
        _stop_signals() as stopped,
        RunWriter(folder, resume=resume) as writer,
        _view(folder, json_log) as show,
    ):
        for event in run_training(recipe, resume=state, stop=lambda: bool(stopped)):
            writer.write(event)
            show(event)
    if isinstance(event, Interrupted):
        sys.stderr.write(_stopped_message(folder))
        sys.exit(128 + (stopped[0] if stopped else signal.SIGTERM))
    if not json_log:
        from convscope.cli.cards import training_card

        training_card(folder)


def _stopped_message(folder: Path) -> str:
    if (folder / "checkpoints" / "last.safetensors").exists():
        return f"convscope: stopped and saved; continue with: convscope train --resume {folder}\n"
    return "convscope: stopped before the first step; nothing was trained\n"


def _dry_run(recipe: "Recipe", folder: Path, *, json_log: bool) -> None:
    from convscope.base.storage import write_bytes
    from convscope.runs.folder import sample_picture
    from convscope.training.events import Prepared
    from convscope.training.loop import train as run_training

    with _view(folder, json_log) as show:
        for event in run_training(recipe):
            show(event)
            if isinstance(event, Prepared):
                break
        else:
            return
    picture = folder.with_name(f"{folder.name}.dry-run.png")
    write_bytes(picture, sample_picture(event))
    if not json_log:
        from convscope.cli.cards import dry_run_card

        dry_run_card(event, picture)


def _view(folder: Path, json_log: bool) -> Any:
    from convscope.cli.show import TerminalView, json_lines

    return nullcontext(json_lines(folder)) if json_log else TerminalView()


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that holds the signal once Ctrl-C or SIGTERM came; a second one ends at once."""
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        del frame
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
