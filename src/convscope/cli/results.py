"""What `train` and `evaluate` print at their end: metrics, files, and commands to run next."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from convscope.base.storage import read_json
from convscope.cli.show import duration
from convscope.nets.catalog import build_module, num_parameters
from convscope.training.events import Prepared
from convscope.training.recipe import Optim, Recipe, Stage
from convscope.training.schedule import learning_rate

if TYPE_CHECKING:
    from convscope.evaluation.evaluate import Evaluation

_SHOWN = 20
_CONFUSION_UP_TO = 12


def dry_run_card(event: Prepared, picture: Path) -> None:
    """Prints what would be trained, and how."""
    recipe, console = event.recipe, Console(highlight=False, soft_wrap=True)
    plural = "" if recipe.epochs == 1 else "s"
    length = (
        f"{recipe.epochs} epoch{plural}"
        if recipe.epochs
        else f"{duration(recipe.time_budget or 0)}"
    )
    console.print(f"\nrecipe [bold]{recipe.name}[/] · {length} · batch {recipe.batch_size}")
    for index, stage in enumerate(recipe.stages):
        here = recipe.at_stage(index)
        module = build_module(
            here.model.name, num_classes=len(event.class_names),
            input_shape=(event.preprocess.channels, *event.preprocess.size), **here.model.options,
        )  # fmt: skip
        console.print(
            f"  {stage.name}: {escape(here.model.name)}, {num_parameters(module):,} parameters, "
            f"start {stage.start}, shorter side {_sides(here, stage)}"
        )
        console.print(f"    learning rate {_rates(here.optim)}")
    console.print(f"an augmented training batch: {picture}", markup=False)
    console.print("nothing was trained (--dry-run)")


def _sides(recipe: Recipe, stage: Stage) -> str:
    """The shorter side of the images that are cropped in training: one number, or a range."""
    side = stage.train_resize or recipe.data.resize or 0
    low, high = (round(side * scale) for scale in recipe.augment.scale)
    return f"{low} to {high}" if low != high else f"{side}"


def _rates(optim: Optim) -> str:
    if optim.schedule == "plateau":
        return (
            f"{optim.learning_rate:g}, divided by 10 after {optim.plateau_patience} epochs without "
            f"improvement, up to {optim.plateau_drops} times"
        )
    rates = [f"{learning_rate(optim, part / 10):.3g}" for part in range(11)]
    return f"({optim.schedule}) at 0, 10, ... 100 %: {' '.join(rates)}"


def training_card(run: Path) -> None:
    """Prints the result of a training, and commands to run next."""
    status = read_json(run / "run.json")
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"\nvalidation accuracy [bold]{status['val']['top1']:.2%}[/] "
        f"(epoch {status['best_epoch']}, loss {status['val']['loss']:.3f}) "
        f"after {duration(status['seconds'])}; stopped because: {status['reason']}"
    )
    console.print(f"run folder: {run}\n\nnext:", markup=False)
    for command in (
        f"convscope evaluate {run}",
        f"convscope explore {run}",
        f"convscope predict {run} IMAGE...",
        *([f"tensorboard --logdir {run / 'events'}"] if (run / "events").is_dir() else []),
    ):
        console.print(f"  {command}", markup=False)


def evaluation_card(run: Path, evaluation: "Evaluation", folder: Path) -> None:
    """The figures with their intervals, the worst confusions, and what to do next."""
    console = Console(highlight=False, soft_wrap=True)
    low, high = evaluation.top1_interval
    console.print(
        f"[bold]{escape(str(run))}[/] · {evaluation.split} split, {evaluation.n:,} images, "
        f"{evaluation.protocol} crop · 95 % intervals in brackets"
    )
    console.print(
        f"  top-1     [bold]{evaluation.top1:.2%}[/]  [{low:.2%}, {high:.2%}]", markup=True
    )
    if evaluation.top5 is not None and evaluation.top5_interval is not None:
        low, high = evaluation.top5_interval
        console.print(f"  top-5     {evaluation.top5:.2%}  [{low:.2%}, {high:.2%}]")
    low, high = evaluation.log_loss_interval
    console.print(f"  log-loss  {evaluation.log_loss:.4f}  [{low:.4f}, {high:.4f}]")
    console.print(f"  ECE       {evaluation.calibration.error:.4f}  (expected calibration error)")
    console.print(_per_class(evaluation))
    if len(evaluation.per_class) > _SHOWN:
        console.print(f"... all {len(evaluation.per_class)} classes: {folder / 'per_class.csv'}")
    if len(evaluation.per_class) <= _CONFUSION_UP_TO:
        console.print(_confusion(evaluation))
    pairs = evaluation.confused_pairs()[:3]
    if pairs:
        console.print("most frequent confusions:")
    for pair in pairs:
        line = f"  {pair['count']:>5,} x {pair['label']} predicted as {pair['predicted']}"
        console.print(line, markup=False)
    console.print(f"metrics, tables and pictures: {folder}\n\nnext:", markup=False)
    picture = "mistakes.png" if (folder / "mistakes.png").exists() else "confusion.png"
    for command in (
        f"convscope predict {run} IMAGE...",
        f"convscope explore {run}",
        f"convscope evaluate {run} --data OTHER_IMAGES",
        f"xdg-open {folder / picture}",
    ):
        console.print(f"  {command}", markup=False)


def _per_class(evaluation: "Evaluation") -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("class", "precision", "recall", "95 %", "F1", "images"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for figures in evaluation.per_class[:_SHOWN]:
        interval = figures.recall_interval
        table.add_row(
            escape(figures.name), _share(figures.precision), _share(figures.recall),
            "-" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}",
            _share(figures.f1), f"{figures.n:,}",
        )  # fmt: skip
    return table


def _confusion(evaluation: "Evaluation") -> Table:
    """Rows are labels, columns predictions, by the number of the class."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("label \\ predicted")
    for number in range(len(evaluation.per_class)):
        table.add_column(str(number), justify="right")
    for number, row in enumerate(evaluation.confusion.tolist()):
        cells = [f"[bold]{n:,}[/]" if i == number else f"{n or '·'}" for i, n in enumerate(row)]
        table.add_row(f"{number} {escape(evaluation.per_class[number].name)}", *cells)
    return table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
