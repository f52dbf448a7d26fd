"""`convscope train`: trains by a recipe; shows and stores the events."""

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convscope.base.errors import ConvscopeError

if TYPE_CHECKING:
    from convscope.base.download import Progress as Shown
    from convscope.nets.classifier import Classifier
    from convscope.training.events import Event
    from convscope.training.recipe import Recipe
    from convscope.training.schedule import Replay

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


Data = Annotated[
    str | None,
    typer.Argument(metavar="DATA", help="A folder of class folders, or a known data set's name."),
]
Model = Annotated[
    str | None,
    typer.Option(help="A name from `convscope models`, or your own package.module:function."),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        help="scratch (the default), vgg-paper; with --weights finetune (the default then) or "
        "linear-probe."
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="The number of epochs.")]
Time = Annotated[
    str | None, typer.Option(help="Instead of --epochs, a time such as 90s, 3m or 1h.")
]
Batch = Annotated[int | None, typer.Option(min=2, help="Images in a batch.")]
Patience = Annotated[
    int | None, typer.Option(min=1, help="Stop after this many epochs without improvement.")
]
Fraction = Annotated[
    float | None, typer.Option(help="The share of the training images to use, 0 to 1.")
]
ClassWeights = Annotated[
    bool, typer.Option("--class-weights", help="Give rare classes a larger weight in the loss.")
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Start from the weights of a run or a file, or from torchvision's: imagenet."
    ),
]
Freeze = Annotated[
    list[str] | None,
    typer.Option(
        help="Do not train a module, such as features; or all-but-last. Repeat for several."
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip images that cannot be read.")]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0, help="Seed of all random numbers: the same seed gives the same run; by default 0."
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="The run folder; by default runs/DATA-MODEL.")
]
Resume = Annotated[Path | None, typer.Option(help="Continue the run in this folder.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check and print everything, but do not train.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a setting of the recipe, as in optim.clip=1. Repeat for several."
    ),
]
JsonLog = Annotated[bool, typer.Option("--json-log", help="Print events as JSON, one per line.")]


def train(
    data: Data = None,
    model: Model = None,
    recipe: RecipeName = None,
    epochs: Epochs = None,
    time: Time = None,
    batch: Batch = None,
    patience: Patience = None,
    fraction: Fraction = None,
    class_weights: ClassWeights = False,
    weights: Weights = None,
    freeze: Freeze = None,
    skip_bad: SkipBad = False,
    seed: Seed = None,
    out: Out = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    settings: Settings = None,
    json_log: JsonLog = False,
) -> None:
    """Train a classifier on DATA and write a run folder."""
    if resume is not None:
        beside = (data, model, epochs, time, batch, patience, fraction, out, settings, weights)
        switches = (dry_run, class_weights, skip_bad)
        _only_resume(*beside, recipe, seed, freeze, *(switch or None for switch in switches))
        _run(resume, None, None, json_log=json_log)
        return
    if not data:
        raise ConvscopeError(
            "give the data: convscope train DATA, a folder of class folders or a data set's name"
        )
    if epochs is not None and time is not None:
        raise ConvscopeError("give --epochs or --time, not both")
    given = {
        "epochs": epochs,
        "batch_size": batch,
        "patience": patience,
        "data.fraction": fraction,
        "optim.class_weights": class_weights or None,
        "data.skip_bad": skip_bad or None,
        "freeze": freeze,
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if time is not None:
        changes |= {"epochs": None, "time_budget": parse_time(time)}
    if seed is not None:
        changes["seed"] = seed
    more = parse_settings(settings or [])
    if twice := sorted(changes.keys() & more.keys()):
        raise ConvscopeError(f"--set {twice[0]}: an option sets this too; give one of them")
    changes |= more
    data = _fetched(data)
    chosen, initial = _recipe(recipe, data, model, weights)
    chosen = chosen.with_settings(changes)
    folder = out or _new_folder(data, chosen.model.name)
    _check_outside(folder, data)
    if dry_run:
        _dry_run(chosen, folder, initial, json_log=json_log)
    else:
        _run(folder, chosen, initial, json_log=json_log)


def _fetched(data: str) -> str:
    """The name of the data, downloaded if necessary; `demo` becomes the data set that it means."""
    from convscope.data.catalog import DATASETS, fetch, unpack

    name = "fashion-mnist" if data == "demo" else data
    with download_bar() as show:
        if name not in DATASETS or Path(data).expanduser().exists():
            unpack(data, show)
            return data
        try:
            fetch(name, show)
        except ConvscopeError as error:
            if data != "demo":
                raise
            sys.stderr.write(f"convscope: {error}\ntraining on scikit-learn's digits instead\n")
            return "digits"
    return name


@contextmanager
def download_bar() -> Iterator["Shown"]:
    """A function of name, bytes so far and bytes in all, which shows a progress bar per name."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    errors = Console(stderr=True)
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    bar = Progress(*columns, console=errors, disable=not errors.is_terminal)
    tasks: dict[str, Any] = {}

    def show(name: str, done: int, total: int) -> None:
        if not tasks:
            bar.start()
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=None)
        bar.update(tasks[name], completed=done, total=total)

    try:
        yield show
    finally:
        if tasks:
            bar.stop()


def _check_outside(folder: Path, data: str) -> None:
    from convscope.data.catalog import check_outside

    check_outside(folder, data)


def _new_folder(data: str, model: str) -> Path:
    from convscope.base.storage import safe_name
    from convscope.runs.folder import new_folder

    return new_folder(safe_name(f"{Path(data).name or 'data'}-{model}"))


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
    """`["a.b=1"]` as `{"a.b": 1}`; values are parsed as JSON, or are text if they are not JSON.

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


def _recipe(
    name: str | None, data: str, model: str | None, weights: str | None
) -> "tuple[Recipe, Classifier | None]":
    """The recipe, and the classifier whose weights it starts from."""
    from convscope.nets.catalog import find
    from convscope.training.catalog import RECIPES, WITH_WEIGHTS

    name = name or ("scratch" if weights is None else "finetune")
    if name not in RECIPES:
        raise ConvscopeError(f"unknown recipe {name!r}; there are {', '.join(RECIPES)}")
    if name in WITH_WEIGHTS and weights is None:
        raise ConvscopeError(
            f"--recipe {name} needs weights to start from: --weights RUN, FILE or imagenet"
        )
    if model is not None:
        find(model)
    recipe = RECIPES[name](data, model)
    if weights is None:
        return recipe, None
    from convscope.runs.start import with_pretrained_weights

    with download_bar() as show:
        return with_pretrained_weights(recipe, weights, model, show)


def _only_resume(*others: object) -> None:
    if any(other is not None for other in others):
        raise ConvscopeError(
            "--resume continues a run with its own data and settings: give no other options"
        )


def _run(
    folder: Path,
    recipe: "Recipe | None",
    initial: "Classifier | None",
    *,
    json_log: bool,
) -> None:
    run_in(folder, recipe, initial=initial, view=_view(folder, json_log))
    if not json_log:
        from convscope.cli.results import training_card

        training_card(folder)


def run_in(
    folder: Path,
    recipe: "Recipe | None",
    *,
    initial: "Classifier | None" = None,
    replay: "Replay | None" = None,
    splits: "Mapping[str, str] | None" = None,
    view: "AbstractContextManager[Callable[[Event], None]]",
) -> None:
    """Trains in `folder` by `recipe`, or continues the run there if that is None.

    Exits with the signal's exit code if it is stopped.
    """
    from convscope.console.output import warn
    from convscope.runs.start import initial_classifier
    from convscope.runs.writer import RunWriter
    from convscope.training.events import Interrupted
    from convscope.training.loop import train as run_training
    from convscope.training.work import Start

    event = None
    with (
        _stop_signals() as stopped,
        RunWriter(folder, recipe, replay=replay) as writer,
        view as show,
    ):
        if writer.changes_since_start:
            warn(_changed(writer.changes_since_start))
        if writer.missing_rows:
            warn(writer.missing_rows)
        if writer.recipe.weights is not None and writer.resume is None and initial is None:
            initial = initial_classifier(writer.recipe)
        start = Start(writer.resume, writer.replay, initial, splits or writer.splits)
        for event in run_training(writer.recipe, start=start, stop=lambda: bool(stopped)):
            writer.write(event)
            show(event)
    if isinstance(event, Interrupted):
        sys.stderr.write(_stopped_message(folder))
        sys.exit(128 + (stopped[0] if stopped else signal.SIGTERM))


def _changed(changes: list[str]) -> str:
    lines = ["the environment has changed since the run was started:"]
    lines += [f"  {change}" for change in changes]
    return "\n".join([*lines, "the last bits may differ from those of an uninterrupted run"])


def _stopped_message(folder: Path) -> str:
    if (folder / "checkpoints" / "last.safetensors").exists():
        return f"convscope: stopped and saved; continue with: convscope train --resume {folder}\n"
    return "convscope: stopped before the first step; nothing was trained\n"


def _dry_run(
    recipe: "Recipe", folder: Path, initial: "Classifier | None", *, json_log: bool
) -> None:
    from convscope.base.storage import write_bytes
    from convscope.runs.writer import sample_picture
    from convscope.training.events import Prepared
    from convscope.training.loop import train as run_training
    from convscope.training.work import Start

    with _view(folder, json_log) as show:
        for event in run_training(recipe, start=Start(initial=initial)):
            show(event)
            if isinstance(event, Prepared):
                break
        else:
            return
    picture = folder.resolve().with_name(f"{folder.name}.dry-run.png")
    write_bytes(picture, sample_picture(event))
    if not json_log:
        from convscope.cli.results import dry_run_card

        dry_run_card(event, picture)


def _view(folder: Path, json_log: bool) -> Any:
    from convscope.cli.show import TerminalView, json_lines

    return nullcontext(json_lines(folder)) if json_log else TerminalView()


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that gets the signal of the first Ctrl-C or SIGTERM; a second one exits at once."""
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        del frame
        if received:
            sys.exit(128 + number)
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
