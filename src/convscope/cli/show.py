"""The events of a training in a terminal, in a log file, and as JSON lines."""

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from convscope.base.errors import listing
from convscope.base.numbers import duration
from convscope.training.events import (
    EpochEnded,
    Event,
    Finished,
    Interrupted,
    Prepared,
    Reading,
    Resumed,
    StageStarted,
    Stepped,
    as_json,
)
from convscope.training.transfer import TransferredWeights

Show = Callable[[Event], None]
_STEP_SECONDS = 1.0
_PLAIN_SECONDS = 15.0
_MUCH_CROPPED = 0.3
_MOST_NAMES = 10


def json_lines(run: Path) -> Show:
    """Prints the events of `run` as JSON, one per line; at most one step per second."""
    last: dict[type[Event], float] = {}

    def show(event: Event) -> None:
        if isinstance(event, Stepped | Reading):
            if monotonic() - last.get(type(event), 0.0) < _STEP_SECONDS:
                return
            last[type(event)] = monotonic()
        more = {"run": str(run)} if isinstance(event, Finished) else {}
        print(json.dumps(as_json(event) | more, allow_nan=False), flush=True)

    return show


class TerminalView:
    """A line per epoch; between them a progress bar; outside of a terminal, a line at times."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            console=self._console, transient=True, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=1, note="")
        self._before: EpochEnded | None = None
        self._resumed: Resumed | None = None
        self._printed = monotonic()

    def __enter__(self) -> Show:
        self._bar.start()
        return self.show

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, event: Event) -> None:
        """Prints an event."""
        match event:
            case Resumed():
                self._resumed = event
            case Reading():
                note = f"{event.done:,} of {event.total:,}"
                self._update("reading images", event.done, event.total, note)
            case Prepared():
                print_data(self._console, event)
            case StageStarted():
                self._stage(event)
            case Stepped():
                self._step(event)
            case EpochEnded():
                self._epoch(event)
            case Interrupted():
                self._console.print(f"stopping at step {event.step:,}")
            case _:
                pass

    def _update(self, what: str, done: float, total: float, note: str) -> None:
        self._bar.update(
            self._task,
            description=what,
            completed=done,
            total=total,
            note=note,
            refresh=done >= total,
        )

    def _stage(self, event: StageStarted) -> None:
        self._before = None
        if (at := self._resumed) is not None:  # printed after the data were checked
            self._console.print(f"resuming at step {at.step:,} (epoch {at.epoch + 1})")
            self._resumed = None
        name = (
            f" · stage {event.stage + 1} of {event.stages}: {event.name}"
            if event.stages > 1
            else ""
        )
        self._console.print(
            f"[bold]{escape(event.model)}[/] · {event.parameters:,} parameters · "
            f"{event.steps_per_epoch:,} steps per epoch{name}"
        )
        if event.taken is not None:
            self._console.print(_taken(event.taken), markup=False)
        if event.frozen:
            self._console.print(f"{event.frozen:,} parameters are frozen")

    def _step(self, event: Stepped) -> None:
        note = (
            f"step {event.step:,} · loss {event.loss:.3f} · "
            f"{event.images_per_second:,.0f} images/s · data {event.waiting:.0%} · "
            f"{duration(event.eta)} left"
        )
        total = event.total or event.step * 20
        self._update(f"epoch {event.epoch + 1}", event.step, total, note)
        if not self._console.is_terminal and monotonic() - self._printed > _PLAIN_SECONDS:
            self._console.print(f"  epoch {event.epoch + 1} · {note}")
            self._printed = monotonic()

    def _epoch(self, event: EpochEnded) -> None:
        before = self._before
        loss = "" if before is None else f" ({event.val_loss - before.val_loss:+.3f})"
        top1 = "" if before is None else f" ({(event.val_top1 - before.val_top1) * 100:+.2f})"
        best = " [bold green]best[/]" if event.best else ""
        self._console.print(
            f"epoch {event.epoch:>3} · train loss {event.train_loss:.3f}, "
            f"top-1 {event.train_top1:.2%} · val loss {event.val_loss:.3f}{loss}, "
            f"top-1 {event.val_top1:.2%}{top1} · {event.images_per_second:,.0f} images/s · "
            f"data {event.waiting:.0%} · {duration(event.seconds)}{best}",
        )
        self._before = event
        self._printed = monotonic()


def _taken(taken: TransferredWeights) -> str:
    """Which tensors come from the given weights, in a line or two."""
    total = len(taken.taken) + len(taken.new)
    text = f"{len(taken.taken)} of {total} tensors from the given weights"
    if taken.new:
        text += f"; new: {', '.join(taken.new)}"
    if taken.unused:
        text += f"; unused: {', '.join(taken.unused)}"
    if taken.classes:
        text += f"\nclasses matched by name: {', '.join(taken.classes)}"
    return text


def _print_unmeasured(console: Console, event: Prepared, split: str) -> None:
    """Names the classes of which a held-out split has no image."""
    names = [
        escape(name)
        for name, count in zip(event.class_names, event.counts[split], strict=True)
        if not count
    ]
    if names:
        more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
        console.print(
            f"[yellow]{len(names):,} of {len(event.class_names):,} classes have no {split} "
            f"images[/]: {', '.join(names[:_MOST_NAMES])}{more}; metrics on {split} say nothing "
            "about them"
        )


def print_data(console: Console, event: Prepared) -> None:
    """Prints images per class and split, the network's input, and the device."""
    splits = list(event.counts)
    totals = " · ".join(f"{split} {sum(event.counts[split]):,}" for split in splits)
    name = escape(event.dataset)
    console.print(f"[bold]{name}[/] · {len(event.class_names)} classes · {totals} images")
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("class")
    for split in splits:
        table.add_column(split, justify="right")
    shown = min(len(event.class_names), 20)
    for index in range(shown):
        counts = [f"{event.counts[split][index]:,}" for split in splits]
        table.add_row(escape(event.class_names[index]), *counts)
    console.print(table)
    if shown < len(event.class_names):
        console.print(f"... and {len(event.class_names) - shown} more classes")
    train = event.counts["train"]
    if max(train) > 5 * min(train):
        console.print(
            f"[yellow]unbalanced[/]: {max(train):,} to {min(train):,} training images per class; "
            "--class-weights gives rare classes a larger weight"
        )
    for split in splits[1:]:
        _print_unmeasured(console, event, split)
    if event.ignored:
        console.print(f"{event.ignored:,} files that are not images were ignored")
    if event.skipped:
        console.print(f"[yellow]{len(event.skipped):,} images cannot be read and were skipped[/]:")
        console.print(listing(event.skipped), markup=False)
    for split, count in event.leaked.items():
        console.print(
            f"[yellow]{count:,} {split} images are training images too[/] (equal files): metrics "
            f"on {split} will be too optimistic; convscope check lists them"
        )
    if event.cropped > _MUCH_CROPPED:
        console.print(
            f"[yellow]{event.cropped:.0%} of the pixels are cut off[/] by the central crop, on "
            "average; --set data.fit=pad keeps them"
        )
    view = event.preprocess
    where = "cached in memory" if event.cached else "read again in each epoch"
    console.print(
        f"input {view.channels} x {view.size[0]} x {view.size[1]}, shorter side to {view.resize}, "
        f"{view.fit} · {where} · {event.device}, {event.precision}"
    )
