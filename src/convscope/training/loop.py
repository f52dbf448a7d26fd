"""Training as an iterator of events: no callbacks, no trainer class.

Each function takes a `Position` and returns the next one. A checkpoint stores the position with the
tensors, so a resumed run executes the same code with the same numbers.
"""

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import nn

from convscope.base.errors import TrainingError, listing
from convscope.data.loader import Batch
from convscope.training.events import (
    Checkpoint,
    EpochEnded,
    Event,
    Finished,
    Interrupted,
    Planned,
    Resumed,
    Stepped,
)
from convscope.training.prepare import prepare
from convscope.training.recipe import Recipe
from convscope.training.schedule import Plan, learning_rate
from convscope.training.state import Position
from convscope.training.work import Start, Work, build_work, stage_started

_SAVE_SHARE = 10  # saving takes at most about one tenth of the time
_FIRST_PLAN_STEPS = 10


def train(
    recipe: Recipe, *, start: Start | None = None, stop: Callable[[], bool] = lambda: False
) -> Iterator[Event]:
    """Trains by `recipe` and yields events.

    The consumer stores what it needs: a `Checkpoint` is valid only until the next event is
    requested. Torch's global random generator, which dropout uses, is seeded.

    Args:
        recipe: what to train, on which data, and how.
        start: an earlier checkpoint of the same recipe to resume, the plans of a time budget to
            replay, the classifier with the weights that `recipe.weights` names, known splits.
        stop: called after every step. When it returns true, the iterator yields a `Checkpoint` and
            `Interrupted`, and ends.

    Raises:
        ConvscopeError: the data or the settings cannot be used for training.
        TrainingError: the loss became NaN or infinite.
    """
    start = start or Start()
    if start.resume is not None:
        position = start.resume.position
        yield Resumed(position.step, position.epoch, position.stage)
    initial = None if start.resume else start.initial
    prepared = yield from prepare(recipe, stop, initial, start.splits)
    if prepared is None:
        yield Interrupted(0 if start.resume is None else start.resume.position.step)
        return
    setup, event = prepared
    yield event
    first = Position() if start.resume is None else start.resume.position
    previous, spent = None, first.seconds
    for index in range(first.stage, len(recipe.stages)):
        work = build_work(setup, index, previous, start, spent)
        yield stage_started(work)
        done = yield from _train_stage(work, stop)
        if not done:
            return
        previous, spent = work.classifier.module, work.clock.seconds()
        start = replace(start, resume=None)


def _train_stage(work: Work, stop: Callable[[], bool]) -> Generator[Event, None, bool]:
    """Trains a stage to its end. Returns false if it was interrupted."""
    position = work.first
    reason = _stop_reason(work, position)
    while reason is None:
        began = perf_counter()
        position, rates = yield from _epoch(work, position, stop)
        if _save_is_due(work, ahead=work.clock.validation or 0.0):  # a validation may take long
            yield from _checkpoint(work, position, best=False)
        val = None if stop() else _validate(work, position, stop)
        if val is None:
            yield from _checkpoint(work, position, best=False)
            yield Interrupted(position.step)
            return False
        ended, position, best = _end_epoch(work, position, val, rates, perf_counter() - began)
        yield ended
        yield from _checkpoint(work, position, best=best)
        reason = _stop_reason(work, position)
    if work.index == len(work.recipe.stages) - 1:
        val = {"top1": position.best_top1, "loss": position.best_loss}
        seconds = work.clock.seconds()
        yield Finished(position.step, position.best_epoch, seconds, val, reason)
    return True


def _stop_reason(work: Work, position: Position) -> str | None:
    """Why the stage ends here; None if it continues."""
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
    work: Work, position: Position, stop: Callable[[], bool]
) -> Generator[Event, None, tuple[Position, _Rates]]:
    """Trains until the epoch is complete, the plan is fulfilled or `stop()` is true."""
    recipe, clock = work.recipe, work.clock
    plan = Plan(position.segments)
    work.classifier.module.train()
    for part in work.frozen:
        part.eval()
    busy, waited, images = 0.0, 0.0, 0
    mark = perf_counter()
    batches = work.train.shuffled(
        recipe.seed, position.epoch, recipe.augment, work.setup.basis, skip=position.batch
    )
    while position.step < plan.total and not stop():
        requested = perf_counter()
        batch = next(batches, None)
        if batch is None:
            break
        waited += perf_counter() - requested
        rate = learning_rate(recipe.optim, plan.progress(position.step), position.drops)
        loss, correct = _step(work, batch, rate, position)
        count = len(batch.ids)
        position = replace(
            position, batch=position.batch + 1, step=position.step + 1, seen=position.seen + count,
            loss_sum=position.loss_sum + loss * count, correct=position.correct + correct,
        )  # fmt: skip
        now = perf_counter()
        images, busy = images + count, busy + now - requested
        # From the end of one step to the end of the next: the consumer's time in between counts.
        clock.lap_seconds += now - mark
        clock.lap_steps += 1
        mark = now
        planned = _updated_plan(work, plan, position.step)
        if planned is not plan:
            plan, position = planned, replace(position, segments=planned.segments)
            yield Planned(position.step, plan.total)
        yield _step_event(work, plan, position, loss, rate, _Rates(images / busy, waited / busy))
        if _save_is_due(work):
            yield from _checkpoint(work, position, best=False)
    return position, _Rates(images / busy, waited / busy) if busy else _Rates(0.0, 0.0)


def _step_event(
    work: Work, plan: Plan, position: Position, loss: float, rate: float, rates: _Rates
) -> Stepped:
    total = plan.total if plan.planned else None
    if work.recipe.time_budget is not None:
        eta = max(0.0, work.recipe.time_budget - work.clock.seconds())
    else:
        remaining = plan.total - position.step
        eta = remaining * work.recipe.batch_size / rates.images_per_second
    return Stepped(
        position.step, total, position.epoch, loss, rate, rates.images_per_second, rates.waiting,
        eta,
    )  # fmt: skip


def _save_is_due(work: Work, ahead: float = 0.0) -> bool:
    clock = work.clock
    interval = max(work.recipe.save_seconds, _SAVE_SHARE * clock.save_seconds)
    return perf_counter() - clock.saved + ahead >= interval


def _checkpoint(work: Work, position: Position, *, best: bool) -> Iterator[Checkpoint]:
    """Yields a checkpoint and measures how long the consumer takes to store it."""
    began = perf_counter()
    recipe, model = work.setup.recipe, work.recipe.model
    yield Checkpoint(work.state(position), work.classifier, recipe, model, best)
    work.clock.saved = perf_counter()
    work.clock.save_seconds = work.clock.saved - began


def _updated_plan(work: Work, plan: Plan, step: int) -> Plan:
    """The plan from `step` on: replayed, newly made, or `plan` itself."""
    if not work.recipe.time_budget:
        return plan
    replayed = work.replay.at(step)
    if replayed is not None and step > work.first.step:
        return plan.replanned(step, replayed)
    if work.replay.covers(step) or not _plan_is_due(work, plan):
        return plan
    return _replanned(work, plan, step)


def _plan_is_due(work: Work, plan: Plan) -> bool:
    """Whether to plan: first after ten steps or 1/20 of the budget, then every 1/50 of it."""
    budget, clock = work.recipe.time_budget or 0.0, work.clock
    if not plan.planned:
        return clock.lap_steps >= _FIRST_PLAN_STEPS or clock.lap_seconds >= budget / 20
    return clock.lap_seconds >= max(1.0, budget / 50)


def _replanned(work: Work, plan: Plan, step: int) -> Plan:
    """The plan for the remaining time, by a running mean of the speed."""
    clock = work.clock
    per_step = clock.lap_seconds / clock.lap_steps
    if clock.per_step is not None:  # a short disturbance must not change the schedule much
        per_step = 0.7 * clock.per_step + 0.3 * per_step
    clock.per_step, clock.lap_seconds, clock.lap_steps = per_step, 0.0, 0
    validation = clock.validation
    if validation is None:  # not measured yet: without gradients, a third of a training step
        validation = per_step * len(work.val.indices) / work.recipe.batch_size / 3
    remaining = (work.recipe.time_budget or 0.0) - clock.seconds() - validation
    each = per_step + validation / work.train.steps_per_epoch
    return plan.replanned(step, step + max(0, int(remaining / each)))


def _step(work: Work, batch: Batch, rate: float, position: Position) -> tuple[float, int]:
    """One optimiser step. Returns the mean loss and the number of correct predictions."""
    module, optimiser, optim = work.classifier.module, work.optimiser, work.recipe.optim
    for group in optimiser.param_groups:
        group["lr"] = rate
    mixed = work.recipe.precision == "bfloat16"
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
            f"the loss became {value} at step {position.step} (learning rate {rate:.3g}), on the "
            f"images\n{listing(paths)}\n{_remedy(position)}"
        )
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    if optim.clip is not None:
        nn.utils.clip_grad_norm_(module.parameters(), optim.clip)
    optimiser.step()
    return value, int((logits.detach().argmax(1) == batch.targets).sum())


def _remedy(position: Position) -> str:
    kept = f"the weights of epoch {position.best_epoch} are kept; " if position.best_epoch else ""
    return kept + "try a smaller optim.learning_rate, optim.clip=1 or precision=float32"


def _validate(
    work: Work, position: Position, stop: Callable[[], bool]
) -> tuple[float, float] | None:
    """Mean cross-entropy and accuracy on the validation images; None if `stop()` became true."""
    began, loss, correct, count = perf_counter(), 0.0, 0, 0
    for batch in work.val.in_order():
        if stop():
            return None
        logits, targets = work.classifier.logits(batch.images), batch.targets.cpu()
        loss += float(F.cross_entropy(logits.double(), targets, reduction="sum"))
        correct += int((logits.argmax(1) == targets).sum())
        count += len(targets)
    work.clock.validation = perf_counter() - began
    if not math.isfinite(loss):
        raise TrainingError(
            f"the validation loss is {loss} after step {position.step}: the weights are no longer "
            f"finite; {_remedy(position)}"
        )
    return loss / count, correct / count


def _end_epoch(
    work: Work, position: Position, val: tuple[float, float], rates: _Rates, seconds: float
) -> tuple[EpochEnded, Position, bool]:
    """The epoch's metrics, the position after it, and whether it is the best so far."""
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
    plateau, drops = 0 if best else position.plateau_epochs + 1, position.drops
    optim = work.recipe.optim
    if optim.schedule == "plateau" and plateau >= optim.plateau_patience:
        plateau, drops = 0, drops + 1
    after = replace(
        position, epoch=position.epoch + 1, batch=0, loss_sum=0.0, correct=0, seen=0,
        stale_epochs=stale, plateau_epochs=plateau, drops=drops,
    )  # fmt: skip
    if best:
        after = replace(
            after, best_epoch=position.epoch + 1, best_top1=val_top1, best_loss=val_loss
        )
    return event, after, best
