"""Training as an iterator of events: no callbacks, no trainer class.

Each function takes a `Position` and returns the next one; what is stored at a checkpoint is that
position with the tensors, so a resumed run goes through the same code with the same numbers.
"""

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from convscope.base.device import channels_last
from convscope.base.errors import TrainingError, listing
from convscope.data.loader import Batch, Batches
from convscope.nets.catalog import build_module, num_parameters
from convscope.nets.classifier import Classifier
from convscope.nets.initialise import initialise
from convscope.training.events import (
    Checkpoint,
    EpochEnded,
    Event,
    Finished,
    Interrupted,
    Planned,
    Resumed,
    StageStarted,
    Stepped,
)
from convscope.training.prepare import Setup, prepare
from convscope.training.recipe import Recipe
from convscope.training.schedule import Plan, learning_rate
from convscope.training.stages import start_from
from convscope.training.state import Position, State, capture_state, restore_state

_SAVE_SECONDS = 15.0  # a checkpoint is due every 20 s; a step may take a few of them
_FIRST_PLAN_STEPS = 10
_EVAL_BATCH = 256


def train(
    recipe: Recipe, *, resume: State | None = None, stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Trains by `recipe` and tells what happens.

    The consumer stores what it wants to keep: a `Checkpoint` is only valid until the next event is
    asked for. `stop` is asked after every step; when it returns true, the state is handed out, then
    `Interrupted`, and the iterator ends. Seeds torch's global generator, which dropout draws from.

    Args:
        recipe: what to do.
        resume: the state of an earlier checkpoint of the same recipe, to go on from.
        stop: returns true when training should stop.

    Raises:
        ConvscopeError: for data or settings that cannot be trained on.
        TrainingError: when the loss is no longer a number.
    """
    if resume is not None:
        position = resume.position
        yield Resumed(position.step, position.epoch, position.stage)
    prepared = yield from prepare(recipe, stop)
    if prepared is None:
        yield Interrupted(0 if resume is None else resume.position.step)
        return
    setup, event = prepared
    yield event
    previous, spent = None, 0.0 if resume is None else resume.position.seconds
    for index in range(0 if resume is None else resume.position.stage, len(recipe.stages)):
        work = _build(setup, index, previous, resume, spent)
        yield _stage_started(work)
        done = yield from _train_stage(work, stop)
        if not done:
            return
        previous, resume, spent = work.classifier.module, None, work.clock.seconds()


@dataclass
class _Clock:
    """What the wall says.

    Seconds in all (earlier sessions included), when a state was handed out last, and how long a
    validation took.
    """

    before: float
    started: float
    saved: float
    validation: float | None = None

    def seconds(self) -> float:
        return self.before + perf_counter() - self.started


@dataclass(frozen=True)
class _Work:
    """One stage: everything but the position."""

    setup: Setup
    recipe: Recipe
    index: int
    classifier: Classifier
    optimiser: torch.optim.Optimizer
    train: Batches
    val: Batches
    weights: torch.Tensor | None
    clock: _Clock
    first: Position

    def state(self, position: Position) -> State:
        """The state to store at `position`."""
        position = replace(position, seconds=self.clock.seconds())
        return capture_state(position, self.classifier.module, self.optimiser)


def _build(
    setup: Setup, index: int, previous: nn.Module | None, resume: State | None, spent: float
) -> _Work:
    recipe = setup.recipe.at_stage(index)
    stage = recipe.stages[index]
    preprocess = setup.preprocess(recipe.data)
    canvas = preprocess.model_copy(update={"resize": stage.train_resize or preprocess.resize})
    torch.manual_seed(recipe.seed + index)
    module = build_module(
        recipe.model.name,
        num_classes=len(setup.dataset.class_names),
        input_shape=(preprocess.channels, *preprocess.size),
        **recipe.model.options,
    )
    if ":" not in recipe.model.name:
        initialise(module, recipe.model.init)
    if previous is not None and resume is None:
        start_from(stage.start, module, previous)
    module.to(setup.device)
    channels_last(module)
    optimiser = _optimiser(recipe, module)
    indices, size = setup.train_indices(), recipe.batch_size
    train = setup.batches(indices, canvas, size)
    val = setup.batches(np.flatnonzero(setup.splits == "val"), preprocess, _EVAL_BATCH)
    # A run bounded by time starts far from its end; the first measured steps bring the real plan.
    total = (recipe.epochs or 1_000_000) * train.steps_per_epoch
    first = Position(stage=index, segments=((0, 0.0, total),))
    if resume is not None:
        restore_state(resume, module, optimiser)
        first = resume.position
    weights = None
    if recipe.optim.class_weights:
        counts = torch.tensor(setup.class_counts(), dtype=torch.float32, device=setup.device)
        weights = counts.sum() / (len(counts) * counts.clamp(min=1))
    names = setup.dataset.class_names
    classifier = Classifier(recipe.model.name, module, preprocess, names)
    began = setup.began if previous is None else perf_counter()
    clock = _Clock(spent, began, perf_counter())
    return _Work(setup, recipe, index, classifier, optimiser, train, val, weights, clock, first)


def _optimiser(recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    optim, parameters = recipe.optim, module.parameters()
    if optim.name == "adamw":
        return torch.optim.AdamW(
            parameters, optim.learning_rate, weight_decay=optim.weight_decay, fused=True
        )
    return torch.optim.SGD(
        parameters,
        optim.learning_rate,
        momentum=optim.momentum,
        nesterov=optim.nesterov and optim.momentum > 0,
        weight_decay=optim.weight_decay,
        fused=True,
    )


def _stage_started(work: _Work) -> StageStarted:
    recipe = work.recipe
    return StageStarted(
        stage=work.index,
        stages=len(recipe.stages),
        name=recipe.stages[work.index].name,
        model=recipe.model.name,
        parameters=num_parameters(work.classifier.module),
        steps_per_epoch=work.train.steps_per_epoch,
        preprocess=work.classifier.preprocess,
    )


def _train_stage(work: _Work, stop: Callable[[], bool]) -> Generator[Event, None, bool]:
    """Epochs until the stage is over; false where it was interrupted."""
    position = work.first
    reason = _ended(work, position)
    while reason is None:
        began = perf_counter()
        position, rates = yield from _epoch(work, position, stop)
        val = None if stop() else _validate(work, stop)
        if val is None:
            yield Checkpoint(work.state(position), work.classifier, work.recipe.model, best=False)
            yield Interrupted(position.step)
            return False
        ended, position, best = _judged(work, position, val, rates, perf_counter() - began)
        yield ended
        yield Checkpoint(work.state(position), work.classifier, work.recipe.model, best=best)
        work.clock.saved = perf_counter()
        reason = _ended(work, position)
    if work.index == len(work.recipe.stages) - 1:
        val = {"top1": position.best_top1, "loss": position.best_loss}
        yield Finished(position.best_epoch, work.clock.seconds(), val, reason)
    return True


def _ended(work: _Work, position: Position) -> str | None:
    """Why the stage is over, or None."""
    recipe = work.recipe
    if position.epoch and position.step >= Plan(position.segments).total and position.batch == 0:
        return "time is up" if recipe.time_budget else "all epochs done"
    if recipe.patience and position.stale_epochs >= recipe.patience:
        return f"no gain in {recipe.patience} epochs"
    if recipe.optim.schedule == "plateau" and position.drops > recipe.optim.plateau_drops:
        return f"no gain after {recipe.optim.plateau_drops} divisions of the learning rate"
    return None


@dataclass(frozen=True)
class _Rates:
    images_per_second: float
    waiting: float


def _epoch(
    work: _Work, position: Position, stop: Callable[[], bool]
) -> Generator[Event, None, tuple[Position, _Rates]]:
    """Steps until the epoch, the plan or the patience of `stop` ends."""
    recipe = work.recipe
    plan = Plan(position.segments)
    work.classifier.module.train()
    began, waited, images = perf_counter(), 0.0, 0
    stored = 0.0  # seconds that the consumer took to store checkpoints
    rates = _Rates(0.0, 0.0)
    planned = (began, position.step)
    batches = work.train.shuffled(
        recipe.seed, position.epoch, recipe.augment, work.setup.basis, skip=position.batch
    )
    while position.step < plan.total and not stop():
        asked = perf_counter()
        batch = next(batches, None)
        if batch is None:
            break
        waited += perf_counter() - asked
        rate = learning_rate(recipe.optim, plan.progress(position.step), position.drops)
        loss, correct = _step(work, batch, rate, position.step)
        count = len(batch.ids)
        position = replace(
            position, batch=position.batch + 1, step=position.step + 1, seen=position.seen + count,
            loss_sum=position.loss_sum + loss * count, correct=position.correct + correct,
        )  # fmt: skip
        images += count
        now = perf_counter()
        rates = _Rates(images / (now - began - stored), waited / (now - began - stored))
        if recipe.time_budget:
            new = _replanned(work, plan, position, planned, now)
            if new is not plan:
                plan, planned = new, (now, position.step)
                position = replace(position, segments=plan.segments)
                yield Planned(position.step, plan.total)
        eta = (plan.total - position.step) * count / max(1e-9, rates.images_per_second)
        yield Stepped(
            position.step, plan.total, position.epoch, loss, rate, rates.images_per_second,
            rates.waiting, eta,
        )  # fmt: skip
        if perf_counter() - work.clock.saved >= _SAVE_SECONDS:
            yield Checkpoint(work.state(position), work.classifier, recipe.model, best=False)
            work.clock.saved = perf_counter()
            stored += work.clock.saved - now
    return position, rates


def _replanned(
    work: _Work, plan: Plan, position: Position, since: tuple[float, int], now: float
) -> Plan:
    """The plan for the time that is left at the speed since the last plan, when one is due."""
    budget = work.recipe.time_budget or 0.0
    elapsed, steps = now - since[0], position.step - since[1]
    first = len(plan.segments) == 1
    if steps < _FIRST_PLAN_STEPS and elapsed < budget / 20:
        return plan
    if not first and elapsed < max(1.0, budget / 50):
        return plan
    per_step = elapsed / steps
    validation = work.clock.validation
    if validation is None:  # without gradients: about a third of a training step for each batch
        validation = per_step * len(work.val.indices) / work.recipe.batch_size / 3
    left = budget - work.clock.seconds() - validation
    each = per_step + validation / work.train.steps_per_epoch
    return plan.replanned(position.step, position.step + max(0, int(left / each)))


def _step(work: _Work, batch: Batch, rate: float, step: int) -> tuple[float, int]:
    """One optimiser step; returns the mean loss and the number of images it got right."""
    module, optimiser, optim = work.classifier.module, work.optimiser, work.recipe.optim
    for group in optimiser.param_groups:
        group["lr"] = rate
    mixed = work.setup.precision == "bfloat16"
    with torch.autocast(work.setup.device.type, torch.bfloat16, enabled=mixed):
        logits = module(batch.images)
    logits = logits.float()
    loss = F.cross_entropy(
        logits, batch.targets, weight=work.weights, label_smoothing=optim.label_smoothing
    )
    value = loss.item()
    if not math.isfinite(value):
        paths = [work.setup.dataset.paths[i] for i in batch.ids.tolist()]
        raise TrainingError(
            f"the loss became {value} at step {step} (learning rate {rate:.3g}), on the images\n"
            f"{listing(paths)}\nthe best checkpoint is kept; try a smaller optim.learning_rate, "
            "optim.clip=1 or precision=float32"
        )
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if optim.clip is not None:
        nn.utils.clip_grad_norm_(module.parameters(), optim.clip)
    optimiser.step()
    return value, int((logits.detach().argmax(1) == batch.targets).sum())


def _validate(work: _Work, stop: Callable[[], bool]) -> tuple[float, float] | None:
    """Mean cross-entropy and top-1 on the validation images; None where it was stopped."""
    began, loss, correct, count = perf_counter(), 0.0, 0, 0
    for batch in work.val.in_order():
        if stop():
            return None
        logits, targets = work.classifier.logits(batch.images), batch.targets.cpu()
        loss += float(F.cross_entropy(logits.double(), targets, reduction="sum"))
        correct += int((logits.argmax(1) == targets).sum())
        count += len(targets)
    work.clock.validation = perf_counter() - began
    return loss / count, correct / count


def _judged(
    work: _Work, position: Position, val: tuple[float, float], rates: _Rates, seconds: float
) -> tuple[EpochEnded, Position, bool]:
    """The epoch's figures, the position after it, and whether it was the best so far."""
    val_loss, val_top1 = val
    best = (val_top1, -val_loss) > (position.best_top1, -position.best_loss)
    seen = max(1, position.seen)
    plan = Plan(position.segments)
    rate = learning_rate(work.recipe.optim, plan.progress(position.step), position.drops)
    event = EpochEnded(
        stage=position.stage, epoch=position.epoch + 1, step=position.step,
        train_loss=position.loss_sum / seen, train_top1=position.correct / seen,
        val_loss=val_loss, val_top1=val_top1, learning_rate=rate,
        images_per_second=rates.images_per_second, waiting=rates.waiting, seconds=seconds,
        best=best,
    )  # fmt: skip
    stale = 0 if best else position.stale_epochs + 1
    drops = position.drops
    optim = work.recipe.optim
    if optim.schedule == "plateau" and stale >= optim.plateau_patience:
        stale, drops = 0, drops + 1
    after = replace(
        position, epoch=position.epoch + 1, batch=0, loss_sum=0.0, correct=0, seen=0,
        stale_epochs=stale, drops=drops,
    )  # fmt: skip
    if best:
        after = replace(
            after, best_epoch=position.epoch + 1, best_top1=val_top1, best_loss=val_loss
        )
    return event, after, best
