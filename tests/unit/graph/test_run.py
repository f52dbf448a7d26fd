"""Parts of a graph: beside running all of its steps one by one and keeping everything."""

import functools
import itertools
import random

import pytest
import torch
from torch import nn

import zoo
from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.program import Slot, Step, execute, needed_steps, run
from ledgers import Function


@functools.cache
def graph_and_images(name):
    images = zoo.images(3)
    return capture(zoo.network(name).requires_grad_(False), images), images


def everything(graph, images):
    """The output of every node: all steps in order, nothing left out or let go."""
    values = [None] * graph.num_slots
    for name, tensor in graph.tensors.items():
        values[graph.tensor_slots[name]] = tensor
    values[0] = images
    with torch.no_grad():
        for step in graph.steps:
            values[step.slot] = execute(step, values)
    return {name: values[slot] for name, slot in graph.node_slots.items()}


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_every_node_from_the_images_and_from_its_own_inputs(name):
    graph, images = graph_and_images(name)
    expected = everything(graph, images)
    for node in graph.nodes:
        alone = graph.run({"input": images}, [node.name])
        assert list(alone) == [node.name]
        assert torch.equal(alone[node.name], expected[node.name]), node.name
        given = {source: expected[source] for source in node.inputs} or {"input": images}
        assert torch.equal(graph.run(given, [node.name])[node.name], expected[node.name])


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_from_any_nodes_to_any_others_or_it_is_said_that_more_is_needed(name):
    graph, images = graph_and_images(name)
    expected, draw = everything(graph, images), random.Random(0)
    inputs = {node.name: node.inputs for node in graph.nodes}

    def determined(node, given):
        return node in given or (
            node != "input" and all(determined(source, given) for source in inputs[node])
        )

    ran = refused = 0
    for _ in range(60):
        given = draw.sample(list(inputs), min(len(inputs), draw.choice((1, 2, 4))))
        keep = draw.sample(list(inputs), min(len(inputs), draw.choice((1, 2, 3))))
        values = {node: expected[node] for node in given}
        if all(determined(node, given) for node in keep):
            found = graph.run(values, keep)
            assert all(torch.equal(found[node], expected[node]) for node in keep)
            ran += 1
        else:
            with pytest.raises(ConvscopeError, match="do not determine"):
                graph.run(values, keep)
            refused += 1
    assert ran > 5
    assert refused > 5


def test_only_the_steps_between_run():
    module = nn.Sequential(nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.GELU())
    graph, seen = capture(module, torch.zeros(1, 1, 2, 2)), []
    graph.run({"0": torch.rand(2, 1, 2, 2)}, ["2"], watch=lambda *done: seen.append(done))
    assert seen == [(0, 2), (1, 2)]


def test_some_steps_ask_for_the_number_of_images():
    module = Function(lambda m, x: x.relu().reshape(x.shape[0], -1).sigmoid())
    graph = capture(module, torch.zeros(1, 2, 3, 4))
    for count in (1, 2, 5):
        maps = torch.rand(count, 2, 3, 4)
        found = graph.run({"relu": maps}, [graph.output])[graph.output]
        assert torch.equal(found, maps.flatten(1).sigmoid())


def test_a_value_is_let_go_after_its_last_use():
    """Against a slow second version, on random programs."""
    draw = random.Random(0)
    for _ in range(200):
        count = draw.randint(1, 12)
        steps = [
            Step(lambda *given: sum(given), tuple(map(Slot, read)), {}, slot, tuple(read))
            for slot in range(2, count + 2)
            for read in [draw.sample(range(slot), draw.randint(1, min(3, slot)))]
        ]
        slots = range(count + 2)
        given, keep = (draw.sample(slots, draw.randint(1, 3)) for _ in range(2))
        plan = needed_steps(steps, given, keep)
        wanted = {slot for slot in keep if slot not in given}
        for _ in slots:  # until nothing more is wanted
            wanted |= {
                source for step in steps if step.slot in wanted for source in step.slots
                if source not in given
            }  # fmt: skip
        assert list(plan.steps) == [step for step in steps if step.slot in wanted]
        assert plan.reads == wanted - {step.slot for step in steps}
        for number, slot in itertools.product(range(len(plan.steps)), slots):
            used_here = slot in (plan.steps[number].slot, *plan.steps[number].slots)
            used_later = any(slot in step.slots for step in plan.steps[number + 1 :])
            gone = used_here and not used_later and slot not in keep
            assert (slot in plan.release[number]) == gone
        values = [2**slot if slot in given or slot in plan.reads else None for slot in slots]
        kept = run(plan, values)
        assert all(kept[slot] is not None for slot in keep)


def test_gradients_flow_to_what_is_given_and_never_to_parameters():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Conv2d(2, 2, 1))
    graph, maps = capture(module, torch.zeros(1, 1, 5, 5)), torch.rand(1, 2, 3, 3)
    assert not graph.run({"0": maps}, ["2"])["2"].requires_grad
    found = graph.run({"0": maps.requires_grad_()}, ["1", "2"])
    (gradient,) = torch.autograd.grad(found["2"].sum(), maps, retain_graph=True)
    expected = torch.autograd.grad(module[2](module[1](maps)).sum(), maps)[0]
    assert torch.equal(gradient, expected)
    found["2"].sum().backward()
    assert all(parameter.grad is None for parameter in module.parameters())
    with torch.no_grad():
        assert not graph.run({"0": maps}, ["2"])["2"].requires_grad


def test_edits_are_seen_by_later_nodes_and_by_what_is_given():
    graph = capture(nn.Sequential(nn.ReLU(), nn.Flatten()), torch.zeros(1, 1, 1, 2))
    images = torch.tensor([[[[1.0, -2.0]]]])
    edits = {"input": lambda value: -value, "0": lambda value: value + 10}
    found = graph.run({"input": images}, ["input", "1"], edits=edits)
    assert found["input"].flatten().tolist() == [-1, 2]
    assert found["1"].tolist() == [[10, 12]]


@pytest.mark.parametrize("name", zoo.FAMILIES)
def test_one_image_alone_and_among_others_gives_the_same_bits(name):
    graph, images = graph_and_images(name)
    names = [node.name for node in graph.nodes]
    with torch.inference_mode():
        whole = graph.run({"input": images.contiguous(memory_format=torch.channels_last)}, names)
        alone = graph.run({"input": images[:1]}, names, batch_invariant=True)
    for node in graph.nodes:
        assert alone[node.name].shape == (1, *node.output_shape)
        if len(node.output_shape) == 3:
            assert torch.equal(alone[node.name], whole[node.name][:1]), node.name


def test_unknown_names():
    graph, images = graph_and_images("mlp")
    with pytest.raises(ConvscopeError, match="no layer 'nowhere'"):
        graph.run({"input": images}, ["nowhere"])
    with pytest.raises(ConvscopeError, match="no layer 'nowhere'"):
        graph.run({"nowhere": images}, ["input"])
