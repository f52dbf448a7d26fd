"""Training as a stream of events: order, learning, stopping, exact continuation."""

from dataclasses import replace
from itertools import count

import pytest
import torch

from convscope.base.errors import ConvscopeError, TrainingError
from convscope.training import loop, prepare, work
from convscope.training.events import (
    Checkpoint,
    EpochEnded,
    Finished,
    Interrupted,
    Planned,
    Prepared,
    Reading,
    Resumed,
    StageStarted,
    Stepped,
)
from convscope.training.loop import train
from convscope.training.schedule import Replay
from convscope.training.state import State
from convscope.training.work import Start


def copied(state: State) -> State:
    """Checkpoints are valid only until the next event: keep one as a consumer would."""
    return replace(state, tensors={name: t.clone() for name, t in state.tensors.items()})


def kinds(events):
    return [type(event) for event in events if not isinstance(event, Reading | Stepped)]


def last_weights(events):
    return [copied(e.state) for e in events if isinstance(e, Checkpoint)][-1].weights()


def collect(recipe, **options):
    events = []
    for event in train(recipe, **options):
        if isinstance(event, Checkpoint):
            event = replace(event, state=copied(event.state))
        events.append(event)
    return events


def test_the_order_of_events(recipe):
    events = collect(recipe)
    assert kinds(events) == [
        Prepared, StageStarted, EpochEnded, Checkpoint, EpochEnded, Checkpoint, Finished,
    ]  # fmt: skip
    steps = [event.step for event in events if isinstance(event, Stepped)]
    assert steps == list(range(1, len(steps) + 1))
    (stage,) = (event for event in events if isinstance(event, StageStarted))
    assert len(steps) == 2 * stage.steps_per_epoch


def test_it_learns_and_the_best_epoch_is_the_one_it_says(mlp_recipe):
    recipe = mlp_recipe.with_settings({"epochs": 6, "data.fraction": 1.0})
    events = collect(recipe)
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    finished = events[-1]
    assert finished.val["top1"] == max(epoch.val_top1 for epoch in epochs) > 0.85
    assert epochs[finished.best_epoch - 1].val_top1 == finished.val["top1"]
    assert epochs[-1].train_loss < epochs[0].train_loss / 2


def test_the_same_seed_gives_the_same_weights_and_another_does_not(recipe):
    first, second = last_weights(collect(recipe)), last_weights(collect(recipe))
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = last_weights(collect(recipe.with_settings({"seed": 1})))
    assert not torch.equal(first["features.0.weight"], other["features.0.weight"])


@pytest.mark.parametrize("stop_after", [1, 3, 10, 12])
def test_a_stopped_run_goes_on_to_the_same_bits(recipe, stop_after):
    recipe = recipe.with_settings({"model.options.dropout": 0.5, "augment.pad": 2})
    whole = collect(recipe)
    asked = count()
    # Asked once a chunk while reading, then at each step: the first answers let the reading pass.
    reading = sum(isinstance(event, Reading) for event in whole)
    events = collect(recipe, stop=lambda: next(asked) >= reading + stop_after)
    assert isinstance(events[-1], Interrupted)
    state = events[-2].state
    assert state.position.step == events[-1].step > 0
    rest = collect(recipe, start=Start(state))
    assert rest[0] == Resumed(state.position.step, state.position.epoch, 0)
    expected, found = last_weights(whole), last_weights(rest)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [e.val_top1 for e in rest if isinstance(e, EpochEnded)] == [
        e.val_top1 for e in whole if isinstance(e, EpochEnded)
    ][state.position.epoch :]


def test_adamw_resumes_exactly_too(recipe):
    recipe = recipe.with_settings({"optim.name": "adamw", "optim.learning_rate": 1e-3})
    whole = collect(recipe)
    middle = next(e.state for e in whole if isinstance(e, Checkpoint))
    rest = collect(recipe, start=Start(middle))
    expected, found = last_weights(whole), last_weights(rest)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_stopping_while_reading_trains_nothing(recipe):
    events = collect(recipe, stop=lambda: True)
    assert kinds(events) == [Interrupted]
    assert events[-1].step == 0


@pytest.fixture
def _steady_clock(monkeypatch):
    """A clock that goes on by 5 ms whenever it is looked at, however busy the machine is."""
    ticks = count(1)
    for module in (loop, prepare, work):
        monkeypatch.setattr(module, "perf_counter", lambda: 0.005 * next(ticks))


@pytest.mark.usefixtures("_steady_clock")
def test_a_time_budget_is_planned_and_the_rate_reaches_its_end(mlp_recipe):
    recipe = mlp_recipe.with_settings({"epochs": None, "time_budget": 2.0})
    events = collect(recipe)
    plans = [event for event in events if isinstance(event, Planned)]
    steps = [event for event in events if isinstance(event, Stepped)]
    assert plans
    assert steps[-1].step == plans[-1].total
    assert steps[-1].learning_rate < 0.05 * max(step.learning_rate for step in steps)
    assert events[-1].reason == "time is up"


@pytest.mark.usefixtures("_steady_clock")
def test_the_stored_plan_is_the_one_of_the_events(mlp_recipe):
    recipe = mlp_recipe.with_settings({"epochs": None, "time_budget": 1.5})
    events = collect(recipe)
    state = [e.state for e in events if isinstance(e, Checkpoint)][-1]
    assert [(s, t) for s, _, t in state.position.segments[1:]] == [
        (e.step, e.total) for e in events if isinstance(e, Planned)
    ]


@pytest.mark.usefixtures("_steady_clock")
def test_plans_are_replayed_at_their_steps_and_no_others_are_made(mlp_recipe):
    recipe = mlp_recipe.with_settings({"epochs": None, "time_budget": 1.5})
    whole = collect(recipe)
    plans = tuple((e.step, e.total) for e in whole if isinstance(e, Planned))
    ended = whole[-1].step
    again = collect(
        recipe.with_settings({"time_budget": 900.0}), start=Start(None, Replay(plans, ended))
    )
    assert [(e.step, e.total) for e in again if isinstance(e, Planned)] == list(plans)
    assert again[-1].step == ended
    assert all(
        torch.equal(a, b)
        for a, b in zip(last_weights(whole).values(), last_weights(again).values(), strict=True)
    )
    # Where the run did not end, plans go on being made after the last stored one.
    longer = collect(recipe, start=Start(None, Replay(plans[:1])))
    assert next((e.step, e.total) for e in longer if isinstance(e, Planned)) == plans[0]
    assert sum(isinstance(e, Planned) for e in longer) > 1


@pytest.mark.usefixtures("_steady_clock")
def test_a_time_budget_is_planned_again_and_again_over_short_epochs(mlp_recipe):
    """Three steps an epoch: neither ten steps nor a second ever pass within one."""
    recipe = mlp_recipe.with_settings(
        {"epochs": None, "time_budget": 4.0, "data.fraction": 0.08, "batch_size": 32}
    )
    events = collect(recipe)
    (stage,) = (e for e in events if isinstance(e, StageStarted))
    assert stage.steps_per_epoch == 3
    assert sum(isinstance(e, Planned) for e in events) >= 3
    steps = [e for e in events if isinstance(e, Stepped)]
    assert steps[0].total is None
    assert steps[0].eta < 4
    assert events[-1].reason == "time is up"


def test_patience_ends_early(recipe):
    recipe = recipe.with_settings({"epochs": 50, "patience": 2, "optim.learning_rate": 1e-9})
    events = collect(recipe)
    assert events[-1].reason == "no gain in 2 epochs"
    assert sum(isinstance(event, EpochEnded) for event in events) < 50


def test_plateau_drops_three_times_and_ends(recipe):
    changes = {"epochs": 50, "optim.schedule": "plateau", "optim.plateau_patience": 1,
               "optim.learning_rate": 1e-9}  # fmt: skip
    events = collect(recipe.with_settings(changes))
    rates = [e.learning_rate for e in events if isinstance(e, Stepped)]
    assert sorted(set(rates)) == pytest.approx([1e-12, 1e-11, 1e-10, 1e-9])
    assert events[-1].reason == "no gain after 3 divisions of the learning rate"


def test_a_loss_that_is_not_finite_stops_with_step_and_files(recipe):
    recipe = recipe.with_settings({"optim.learning_rate": 1e30, "optim.warmup": 0})
    with pytest.raises(TrainingError, match=r"at step \d+ .*\n  digits#\d+") as error:
        collect(recipe)
    assert "optim.clip=1" in str(error.value)


def test_class_weights_and_clipping_run(recipe):
    recipe = recipe.with_settings({"optim.class_weights": True, "optim.clip": 1.0, "epochs": 1})
    assert isinstance(collect(recipe)[-1], Finished)


def test_patience_counts_on_through_a_plateaus_drops(recipe):
    changes = {"epochs": 50, "optim.schedule": "plateau", "optim.plateau_patience": 2,
               "optim.learning_rate": 1e-9, "patience": 5}  # fmt: skip
    events = collect(recipe.with_settings(changes))
    assert events[-1].reason == "no gain in 5 epochs"


def test_weights_that_break_in_the_last_step_are_no_best_epoch(mlp_recipe, monkeypatch):
    from convscope.training import loop

    step = loop._step

    def breaking(work, batch, rate, position):
        done = step(work, batch, rate, position)
        with torch.no_grad():
            next(work.classifier.module.parameters()).fill_(float("inf"))
        return done

    monkeypatch.setattr(loop, "_step", breaking)
    one_step = mlp_recipe.with_settings({"epochs": 1, "batch_size": 2000, "data.fraction": 1.0})
    with pytest.raises(TrainingError, match="validation loss is nan after step 1"):
        collect(one_step)


def test_bounds_and_stages_must_fit():
    from convscope.training.catalog import scratch, vgg_paper

    for build, changes, message in [
        (scratch, {"time_budget": 5.0}, "either epochs or a time budget"),
        (scratch, {"epochs": None}, "either epochs or a time budget"),
        (vgg_paper, {"epochs": None, "time_budget": 5.0}, "trains in 4 stages"),
        (vgg_paper, {"data.cache": "memory"}, "the stages have different sizes"),
    ]:
        with pytest.raises(ConvscopeError, match=message):
            build("digits").with_settings(changes)
    for model in ("mlp", "vgg-small", "mine:net"):
        with pytest.raises(ConvscopeError, match=f"trains vgg11 to vgg19, not {model}"):
            vgg_paper("digits", model)


def test_networks_that_cannot_be_built_fail_before_the_images_are_read(recipe):
    for changes, message in [
        ({"model.options": {"widths": 5}}, "model 'vgg-small' with"),
        ({"model.options": {"dropout": 2.0}}, "dropout probability has to be between 0 and 1"),
        ({"model.options": {"width": 2}}, "unexpected keyword argument 'width'"),
        ({"model.init": "zero"}, "unknown initialisation 'zero'"),
        ({"data.size": 4, "data.resize": 4}, "too small"),
        ({"data.size": 32, "data.resize": 30}, "must be at least data.size"),
    ]:
        events = train(recipe.with_settings(changes))
        with pytest.raises(ConvscopeError, match=message):
            next(events)


def test_stages_take_over_weights_and_end_with_the_last(recipe):
    stages = [
        {"name": "first"},
        {"name": "second", "start": "previous", "learning_rate": 1e-6},
    ]
    events = collect(recipe.with_settings({"stages": stages, "epochs": 1}))
    assert kinds(events) == [
        Prepared, StageStarted, EpochEnded, Checkpoint, StageStarted, EpochEnded, Checkpoint,
        Finished,
    ]  # fmt: skip
    first, second = (e.state.weights() for e in events if isinstance(e, Checkpoint))
    torch.testing.assert_close(
        first["classifier.0.weight"], second["classifier.0.weight"], atol=1e-3, rtol=0
    )
