"""Receptive fields beside gradients: where weights are positive, a unit's gradient is its field.

The oracle is the module itself, run by autograd without maxima and activation functions.
"""

import contextlib
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import zoo
from convscope.graph.capture import capture
from convscope.graph.geometry import receptive_fields
from convscope.graph.kinds import Kind

largest = F.max_pool2d  # replaced below while the oracle runs
CHECKED = settings(max_examples=60, deadline=None, derandomize=True, database=None)


# ---- the oracle


def summed(x, size, stride=None, padding=0, dilation=1, ceil_mode=False, **_):
    """A max pool's windows, but their sum."""
    shape = largest(x, size, stride, padding, dilation, ceil_mode).shape
    first = padding if isinstance(padding, tuple) else (padding, padding)
    window = torch.ones(
        x.shape[1], 1, *(size if isinstance(size, tuple) else (size, size)), dtype=x.dtype
    )
    x = F.pad(x, (first[1], 30, first[0], 30))
    y = F.conv2d(x, window, None, stride or size, 0, dilation, x.shape[1])
    return y[:, :, : shape[2], : shape[3]]


@contextlib.contextmanager
def linear(module):
    """The module with positive weights, in float64, its maxima sums and its activations gone."""
    activations = ("relu", "relu6", "silu", "hardswish", "hardsigmoid")
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        module.double()
        for parameter in module.parameters():
            parameter.abs_().add_(0.05)
        for name in activations:
            patch.setattr(F, name, lambda x, *_, **__: x)
        patch.setattr(F, "max_pool2d", summed)
        patch.setattr(F, "adaptive_max_pool2d", lambda x, n, *_: F.adaptive_avg_pool2d(x, n))
        with torch.enable_grad():
            yield


def recorded(module, paths, images):
    """{(path, "out" or "in"): map} of the parts of a module."""
    found = {}

    def hook(path):
        def record(part, inputs, output):
            found[path, "in"], found[path, "out"] = inputs[0], output

        return record

    handles = [module.get_submodule(path).register_forward_hook(hook(path)) for path in paths]
    with linear(module):
        module(images)
    for handle in handles:
        handle.remove()
    return found


def places_of(height, width):
    """Corners, edges and the centre."""
    rows, columns = ({0, side // 2, side - 1} for side in (height, width))
    return [(i, j) for i in sorted(rows) for j in sorted(columns)]


def supports(images, output):
    """{(row, column): (channels, height, width)}: the pixels that each unit depends on."""
    places = places_of(*output.shape[2:])
    channels = output.shape[1]
    chosen = torch.zeros_like(output)
    for n, (i, j) in enumerate(places):
        for c in range(channels):
            chosen[n * channels + c, c, i, j] = 1
    (gradient,) = torch.autograd.grad(output, images, chosen, retain_graph=True)
    depends = (gradient != 0).any(1)
    return {place: depends[n * channels : (n + 1) * channels] for n, place in enumerate(places)}


def disagreements(field, found, tight):
    """What is wrong with a field; `tight`: all channels together must reach every side of it."""
    wrong = []
    for (i, j), depends in found.items():
        box = field.box(i, j)
        top, left, bottom, right = box
        inside = torch.zeros_like(depends[0])
        inside[top:bottom, left:right] = True
        if (depends & ~inside).any():
            wrong.append(f"{i}, {j}: sees more than {box}")
        if field.exact and not torch.equal(depends, inside.expand_as(depends)):
            wrong.append(f"{i}, {j}: a channel sees less than {box}")
        if tight:
            rows, columns = (depends.any(0).any(axis).nonzero().flatten() for axis in (1, 0))
            hull = (0, 0, 0, 0)
            if len(rows):
                hull = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
            if hull != box:
                wrong.append(f"{i}, {j}: {box} is not the box of what is seen, {hull}")
    return wrong


# ---- random networks


class Sum(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        first, *others = [branch(x) for branch in self.branches]
        for other in others:
            first = first + other
        return first


class Joined(Sum):
    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class Gate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        # Not zero even where a pool sees only padding: the gate's gradient would vanish.
        return (x + 0.1) * self.squeeze(F.adaptive_avg_pool2d(x, 1))


class Rearranged(nn.Module):
    def __init__(self, how, numbers):
        super().__init__()
        self.how, self.numbers = how, numbers

    def forward(self, x):
        a, b, c = self.numbers
        match self.how:
            case "crop":
                return x[:, :, a:, : -b or None][:, :, :, :: c + 1]
            case "half":
                return x.chunk(2, 1)[a % 2]
            case "shuffle":
                return x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)
            case mode:
                return F.pad(x, (a, b, c, a), mode=mode)


def convolution(chance, channels):
    groups = chance.choice([1, 1, 2, channels])
    kernel, stride, padding, dilation = (
        (chance.randint(low, high), chance.randint(low, high))
        for low, high in ((1, 4), (1, 2), (0, 2), (1, 2))
    )
    outputs = channels if groups == channels else 4
    return nn.Conv2d(channels, outputs, kernel, stride, padding, dilation, groups)


def same(chance, channels):
    """One or two operations that keep the map's size."""
    layers = []
    for _ in range(chance.randint(1, 2)):
        kernel = (chance.choice([1, 3, 5]), chance.choice([1, 3, 5]))
        dilation = chance.choice([1, 1, 1, 2])
        padding = tuple(dilation * (side // 2) for side in kernel)
        groups = chance.choice([1, 1, channels])
        layers.append(
            chance.choice([
                nn.Conv2d(channels, channels, kernel, 1, padding, dilation, groups),
                nn.AvgPool2d(3, 1, 1), nn.MaxPool2d(3, 1, 1), nn.Identity(), nn.ReLU(),
            ])
        )  # fmt: skip
    return nn.Sequential(*layers)


def block(chance, channels, sides):
    numbers = [chance.randint(0, 2) for _ in range(3)]
    match chance.choice(["conv"] * 4 + ["pool"] * 3 + ["sum"] * 3 + ["joined"] * 2
                        + ["adaptive", "gate", "crop", "half", "shuffle", "pad"]):  # fmt: skip
        case "conv":
            return convolution(chance, channels)
        case "pool":
            kernel = (chance.randint(1, 3), chance.randint(1, 3))
            stride, padding = chance.randint(1, 3), tuple(side // 2 for side in kernel)
            padding, ceil_mode = chance.choice([0, padding]), chance.random() < 0.5
            if chance.random() < 0.5:
                return nn.AvgPool2d(kernel, stride, padding, ceil_mode, chance.random() < 0.5)
            return nn.MaxPool2d(kernel, stride, padding, chance.randint(1, 2), ceil_mode=ceil_mode)
        case "sum" | "joined" as how:
            branches = [same(chance, channels) for _ in range(chance.randint(2, 3))]
            return (Sum if how == "sum" or channels > 4 else Joined)(*branches)
        case "adaptive":
            pool = chance.choice([nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
            return pool(tuple(chance.randint(1, side) for side in sides))
        case "gate":
            return Gate(channels)
        case "pad":
            mode = chance.choice(["constant", "reflect", "replicate", "circular"])
            return Rearranged(mode, numbers)
        case how:
            return Rearranged(how, numbers)


def network(chance):
    """(module, shape of its images); every part of it gives maps."""
    shape = (2, chance.randint(7, 14), chance.randint(7, 14))
    x = torch.zeros(1, *shape)
    blocks = []
    while len(blocks) < 2 or (len(blocks) < 7 and chance.random() < 0.75):
        new = block(chance, x.shape[1], x.shape[2:])
        try:
            y = new(x)
        except (RuntimeError, ValueError):  # nothing left, or padding larger than the map
            continue
        if min(y.shape) and y.shape[1] in (2, 4, 8, 12):
            blocks.append(new)
            x = y
    return nn.Sequential(*blocks), shape


def last_node(graph, path):
    """The node that a part's value comes from."""
    inside = [n for n in graph.nodes if f"{n.module_path}.".startswith(f"{path}.")]
    return inside[-1] if inside else None


@pytest.mark.slow
def test_random_networks():
    seen = Counter()

    @CHECKED
    @given(seed=st.integers(0, 2**32))
    def check(seed):
        chance = random.Random(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module, shape = network(chance)
        graph = capture(module.eval(), torch.zeros(1, *shape))
        fields = receptive_fields(graph)
        images = torch.ones(9 * 12, *shape, dtype=torch.float64).requires_grad_()
        maps = recorded(module, [path for path, _ in module.named_children()], images)
        sliced = empty = False
        for path, part in module.named_children():
            node = last_node(graph, path)
            if node is None:
                continue
            sliced |= getattr(part, "how", "") == "half"
            if node.name not in fields:
                seen["none"] += 1
                continue
            field = fields[node.name]
            # A branch whose rows see only padding can make the box of a sum too large.
            empty |= any((pair[:, 0] == pair[:, 1]).any() for pair in (field.rows, field.columns))
            found = supports(images, maps[path, "out"])
            wrong = disagreements(field, found, tight=not sliced and not empty)
            assert not wrong, (node.name, module, wrong)
            pretends = replace(field, exact=True)
            really = not disagreements(pretends, found, tight=False)
            seen["exact" if field.exact else "cautious" if really else "bound"] += 1

    check()
    print(seen)
    assert seen["exact"] > 80
    assert seen["bound"] > 50
    # Called a bound though every unit that was tried sees its whole box.
    assert seen["cautious"] < 0.1 * seen["exact"]


# ---- the zoo


@pytest.mark.parametrize("name", ["resnet", "inception", "densenet", "depthwise"])
def test_the_zoo(name):
    module = zoo.network(name)
    graph = capture(module, zoo.images(side=24))
    fields = receptive_fields(graph)
    with_weights = (Kind.CONVOLUTION, Kind.BATCH_NORM)
    nodes = [node for node in graph.nodes if node.kind in with_weights]
    images = torch.ones(9 * 29, *graph.input_shape, dtype=torch.float64).requires_grad_()
    maps = recorded(module, [node.name for node in nodes], images)
    tried = 0
    for node in nodes:
        for end, other in (("out", node.name), ("in", node.inputs[0])):
            if other != "input":
                wrong = disagreements(fields[other], supports(images, maps[node.name, end]), True)
                assert not wrong, (other, wrong)
                tried += 1
    assert tried > 5


# ---- the oracle itself


def small():
    return nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2))


def test_the_oracle_notices_what_is_wrong():
    module = small()
    field = receptive_fields(capture(module, torch.zeros(1, 2, 12, 13)))["2"]
    images = torch.ones(64, 2, 12, 13, dtype=torch.float64).requires_grad_()
    found = supports(images, recorded(module, ["2"], images)["2", "out"])
    assert not disagreements(field, found, tight=True)
    first, last = torch.tensor([1, 0]).numpy(), torch.tensor([0, 1]).numpy()
    for rows in (field.rows - first, field.rows + first, field.rows + last, field.rows - last):
        assert disagreements(replace(field, rows=rows), found, tight=False)
        assert disagreements(replace(field, rows=rows, exact=False), found, tight=True)
    for columns in (field.columns + first, field.columns - last):
        assert disagreements(replace(field, columns=columns), found, tight=False)


def test_the_oracle_notices_holes_and_channels():
    holes = nn.Sequential(nn.Conv2d(2, 4, 3, dilation=2))
    unlike = nn.Sequential(Joined(nn.Identity(), nn.AvgPool2d(3, 1, 1)))
    for module in (holes, unlike):
        graph = capture(module, torch.zeros(1, 2, 9, 9))
        field = receptive_fields(graph)[graph.output]
        images = torch.ones(64, 2, 9, 9, dtype=torch.float64).requires_grad_()
        found = supports(images, recorded(module, ["0"], images)["0", "out"])
        assert not disagreements(field, found, tight=True)
        assert disagreements(replace(field, exact=True), found, tight=True)
