"""Receptive fields: published tables, a slow twin in sets, and the cases that have no field."""

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convscope.base.errors import ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.geometry import receptive_fields
from convscope.nets.catalog import build_module


def fields_of(module, *shape):
    return receptive_fields(capture(module.eval(), torch.zeros(1, *shape)))


def numbers(field):
    assert all(a == b for a, b in (field.size, field.stride, field.padding))
    return field.size[0], field.stride[0], field.padding[0]


def meta(build, *shape):
    with torch.device("meta"):
        return fields_of(build(), *shape)


# ---- published tables


def test_vgg16():
    fields = meta(
        lambda: build_module("vgg16", num_classes=1000, input_shape=(3, 224, 224)), 3, 224, 224
    )
    published = {
        0: (3, 1, 1), 4: (6, 2, 2), 5: (10, 2, 4), 9: (16, 4, 6), 10: (24, 4, 10),
        16: (44, 8, 18), 23: (100, 16, 42), 28: (196, 16, 90), 30: (212, 32, 90),
    }  # fmt: skip
    for layer, expected in published.items():
        assert numbers(fields[f"features.{layer}"]) == expected
    assert numbers(fields["avgpool"]) == (212, 32, 90)  # from 7 to 7: the identity
    assert all(field.exact for field in fields.values())
    assert "flatten" not in fields
    assert "classifier.0" not in fields
    assert fields["features.30"].box(0, 0) == (0, 0, 122, 122)
    assert fields["features.30"].box(3, 6) == (6, 102, 218, 224)
    # 32 * 6 - 90 + 212 is beyond the image; and not all that is inside of it reaches the unit.
    assert fields["features.28"].box(13, 13) == (118, 118, 224, 224)


def alexnet(padding):
    sizes = [(11, 4, padding), "pool", (5, 1, 2), "pool", *[(3, 1, 1)] * 3, "pool"]
    channels = 3
    layers = []
    for size in sizes:
        layers.append(nn.MaxPool2d(3, 2) if size == "pool" else nn.Conv2d(channels, 4, *size))
        channels = 4
    return nn.Sequential(*layers)


def test_alexnet():
    fields = meta(lambda: alexnet(2), 3, 224, 224)
    sizes = [fields[str(layer)].size[0] for layer in range(8)]
    assert sizes == [11, 19, 51, 67, 99, 131, 163, 195]
    assert fields["0"].stride == (4, 4)
    # Araujo, Norris & Sim 2019, table 1: 195/32/64 without padding in the first layer.
    assert numbers(meta(lambda: alexnet(0), 3, 224, 224)["7"]) == (195, 32, 64)


class Bottleneck(nn.Module):
    def __init__(self, inputs, stride, at_1x1):
        super().__init__()
        first, second = (stride, 1) if at_1x1 else (1, stride)
        self.main = nn.Sequential(
            nn.Conv2d(inputs, 4, 1, first), nn.ReLU(), nn.Conv2d(4, 4, 3, second, 1), nn.ReLU(),
            nn.Conv2d(4, 8, 1),
        )  # fmt: skip
        plain = stride == 1 and inputs == 8
        self.shortcut = nn.Identity() if plain else nn.Conv2d(inputs, 8, 1, stride)

    def forward(self, x):
        return F.relu(self.main(x) + self.shortcut(x))


def resnet50(at_1x1, pool_padding):
    strides = [stride for first, count in ((1, 3), (2, 4), (2, 6), (2, 3))
               for stride in (first, *[1] * (count - 1))]  # fmt: skip
    blocks = [Bottleneck(4 if i == 0 else 8, stride, at_1x1) for i, stride in enumerate(strides)]
    return nn.Sequential(
        nn.Conv2d(3, 4, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, pool_padding), *blocks,
        nn.AdaptiveAvgPool2d(1),
    )  # fmt: skip


@pytest.mark.parametrize("at_1x1", [True, False])
def test_resnet50(at_1x1):
    size, stride = 7 + 2 * 2, 4  # of stem and pool; from here by hand
    for first, count in ((1, 3), (2, 4), (2, 6), (2, 3)):
        for convolution in range(count):
            down = first if convolution == 0 else 1
            size += 2 * stride * (down if at_1x1 else 1)
            stride *= down
    # Table 1 of Araujo et al. has the paper's network; torchvision strides in the 3 x 3.
    assert size == (483 if at_1x1 else 427)
    fields = meta(lambda: resnet50(at_1x1, 0), 3, 224, 224)
    last = fields["18 relu"]
    assert (last.size, last.stride, last.exact) == ((size, size), (32, 32), True)
    if at_1x1:
        assert last.padding == (239, 239)
    assert fields["19"].box(0, 0) == (0, 0, 224, 224)


# ---- the twin: for each unit a set of rows, found by walking backwards


def chain(chance):
    layers = []
    for _ in range(chance.randint(1, 5)):
        kernel, stride = chance.randint(1, 4), chance.randint(1, 3)
        if chance.random() < 0.6:
            layer = nn.Conv2d(2, 2, kernel, stride, chance.randint(0, 3), chance.randint(1, 3))
        elif chance.random() < 0.5:
            layer = nn.MaxPool2d(
                kernel, stride, chance.randint(0, kernel // 2), chance.randint(1, 2),
                ceil_mode=chance.random() < 0.5,
            )  # fmt: skip
        else:
            layer = nn.AvgPool2d(kernel, stride, chance.randint(0, kernel // 2))
        layers.append(layer)
    return layers


def one(value):
    return value[0] if isinstance(value, tuple) else value


def seen(layers, lengths, unit):
    """The rows of the image that reach row `unit` of the last layer."""
    if not layers:
        return {unit}
    last = layers[-1]
    first = unit * one(last.stride) - one(last.padding)
    rows = [first + k * one(getattr(last, "dilation", 1)) for k in range(one(last.kernel_size))]
    inside = [row for row in rows if 0 <= row < lengths[-1]]
    return set().union(*(seen(layers[:-1], lengths[:-1], row) for row in inside))


def test_chains_beside_sets():
    chance = random.Random(0)
    holes = nothing = clipped = tried = 0
    while tried < 40:
        layers, length = chain(chance), chance.randint(5, 20)
        lengths = [length]
        try:
            x = torch.zeros(1, 2, length, length)
            for layer in layers:
                x = layer(x)
                lengths.append(x.shape[2])
        except RuntimeError:  # no output left
            continue
        tried += 1
        fields = fields_of(nn.Sequential(*layers), 2, length, length)
        for depth in range(1, len(layers) + 1):
            field = fields[str(depth - 1)]
            found = [seen(layers[:depth], lengths[:depth], i) for i in range(lengths[depth])]
            size, stride, padding = numbers(field)
            for i, rows in enumerate(found):
                box = field.box(i, i)
                assert box == ((min(rows),) * 2 + (max(rows) + 1,) * 2 if rows else (0, 0, 0, 0))
                nothing += not rows
                affine = range(i * stride - padding, i * stride - padding + size)
                assert rows <= set(affine)
                clipped += rows != set(affine) & set(range(length)) and field.exact
            whole = all(len(rows) == max(rows) - min(rows) + 1 for rows in found if rows)
            assert field.exact == whole
            holes += not whole
    assert holes > 10
    assert nothing > 10
    assert clipped > 10  # clipping at the image alone would have been wrong


# ---- single cases


class Of(nn.Module):
    """A function as a module, after a 3 x 3 convolution with four channels."""

    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 4, 3, 2, 1)
        self.function = function

    def forward(self, x):
        return self.function(self, self.conv(x))


def last_of(function, side=8):
    graph = capture(Of(function), torch.zeros(1, 3, side, side))
    return receptive_fields(graph).get(graph.output)


def test_the_input_sees_itself():
    field = fields_of(nn.Conv2d(3, 2, 3), 3, 6, 7)["input"]
    assert (numbers(field), field.exact) == ((1, 1, 0), True)
    assert field.box(5, 6) == (5, 6, 6, 7)


def test_the_boxes_of_many_places_are_those_of_each():
    field = last_of(lambda m, x: F.pad(m.down(x), (1, 0, 2, 0)))
    rows, columns = (found.ravel() for found in np.indices((len(field.rows), len(field.columns))))
    boxes = field.boxes(rows, columns)
    for row, column, box in zip(rows, columns, boxes.tolist(), strict=True):
        top, bottom = field.rows[row]
        left, right = field.columns[column]
        sees = top < bottom and left < right
        assert box == ([top, left, bottom, right] if sees else [0, 0, 0, 0])
    assert (boxes == 0).all(axis=1).any()
    assert field.boxes(rows[:0], columns[:0]).shape == (0, 4)
    with pytest.raises(ConvscopeError, match="no unit in row 1, column 99"):
        field.boxes(np.array([0, 1]), np.array([0, 99]))


@pytest.mark.parametrize("place", [(-1, 0), (0, 8), (8, 0)])
def test_places_outside_of_the_map(place):
    with pytest.raises(ConvscopeError, match="rows are 0 to 7, columns 0 to 7"):
        last_of(lambda m, x: x.relu()).box(*place)


@pytest.mark.parametrize(
    ("size", "expected"), [(8, (3, 1, 1)), (4, (4, 2, 1)), (1, (10, 8, 1)), (16, (3, 0, 1))]
)
def test_adaptive_pools_that_divide(size, expected):
    field = last_of(lambda m, x: F.adaptive_avg_pool2d(x, size))
    if size < 16:
        assert (numbers(field), field.exact) == (expected, True)
    assert (field.rows[0] == [0, min(8, 1 + 8 // min(size, 8))]).all()


def test_adaptive_pools_that_do_not_divide_are_bounded():
    field = last_of(lambda m, x: F.adaptive_max_pool2d(x, 3))
    assert field.rows.tolist() == [[0, 4], [1, 7], [4, 8]]
    assert field.exact
    size, stride, padding = numbers(field)
    assert all(i * stride - padding <= a < b <= i * stride - padding + size
               for i, (a, b) in enumerate(field.rows.tolist()))  # fmt: skip


def test_slices_move_the_rows():
    field = last_of(lambda m, x: x[:, 1:3, 2:8:2, 3:5])
    assert (field.size, field.stride, field.padding) == ((3, 3), (2, 1), (-1, -2))
    assert field.box(0, 0) == (1, 2, 4, 5)
    assert field.exact


def test_a_slice_that_takes_everything():
    field = last_of(lambda m, x: m.down(x[:, :, :, ::1]))
    assert (numbers(field), field.exact) == ((5, 2, 2), True)


def test_one_row():
    field = last_of(lambda m, x: x[:, :, 5:6])
    assert (field.padding, field.box(0, 0)) == ((-4, 1), (4, 0, 7, 2))


@pytest.mark.parametrize(
    ("mode", "first"), [("constant", (0, 0)), ("reflect", (2, 5)), ("replicate", (0, 2)),
                        ("circular", (4, 7))]
)  # fmt: skip
def test_padding(mode, first):
    field = last_of(lambda m, x: F.pad(x, (0, 0, 3, 1), mode=mode))
    assert (field.size, field.stride, field.padding) == ((3, 3), (1, 1), (4, 1))
    assert tuple(field.rows[0].tolist()) == first
    assert tuple(field.rows[3].tolist()) == (0, 2)
    assert field.exact


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_padding_of_three_rows_by_two(mode):
    field = last_of(lambda m, x: F.pad(x[:, :, :3], (0, 0, 2, 1), mode=mode))
    assert (field.size, field.stride, field.padding) == ((3, 3), (1, 1), (3, 1))


def test_padding_with_infinity_and_channels_of_zeros():
    assert last_of(lambda m, x: F.pad(x, (1, 1, 1, 1), value=-torch.inf)).box(0, 1) == (0, 0, 0, 0)
    wider = last_of(lambda m, x: F.pad(x, (0, 0, 0, 0, 2, 2)) + F.pad(x, (0, 0, 0, 0, 4, 0)))
    assert not wider.exact
    assert wider.box(0, 0) == (0, 0, 2, 2)


def shuffled(m, x):
    return x.view(x.shape[0], 2, 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape)


def test_channel_shuffle_keeps_the_field():
    assert (numbers(last_of(shuffled)), last_of(shuffled).exact) == ((3, 1, 1), True)


def cat(m, x):
    return torch.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1)


def test_channels_that_are_not_alike():
    assert not last_of(cat).exact
    mixed = last_of(lambda m, x: F.conv2d(cat(m, x), torch.ones(2, 8, 1, 1)))
    assert (numbers(mixed), mixed.exact) == ((5, 1, 2), True)
    grouped = last_of(lambda m, x: F.conv2d(cat(m, x), torch.ones(2, 4, 1, 1), groups=2))
    assert not grouped.exact
    # What is left after a slice need not see what all saw together.
    sliced = last_of(lambda m, x: F.conv2d(cat(m, x)[:, :4], torch.ones(2, 4, 1, 1)))
    assert not sliced.exact
    moved = last_of(lambda m, x: F.conv2d(shuffled_8(cat(m, x)), torch.ones(2, 8, 1, 1)))
    assert moved.exact


def shuffled_8(x):
    return x.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)


def test_a_stack_of_branches():
    field = last_of(lambda m, x: torch.stack([x, F.avg_pool2d(x, 3, 1, 1)], 1).flatten(1, 2))
    assert (numbers(field), field.exact) == ((5, 1, 2), False)


def test_a_cross_is_no_square():
    field = last_of(lambda m, x: F.avg_pool2d(x, (1, 5), 1, (0, 2))
                    + F.avg_pool2d(x, (5, 1), 1, (2, 0)))  # fmt: skip
    assert (numbers(field), field.exact) == ((7, 1, 3), False)
    square = last_of(lambda m, x: F.avg_pool2d(x, (1, 5), 1, (0, 2))
                     + F.avg_pool2d(x, (1, 3), 1, (0, 1)))  # fmt: skip
    assert (square.size, square.exact) == ((3, 7), True)


GATES = {
    "a pool": lambda x: x * F.adaptive_avg_pool2d(x, 1),
    "a mean that drops the axes": lambda x: x * x.mean((2, 3))[:, :, None, None],
    "dense layers between": lambda x: (
        x * F.linear(F.adaptive_avg_pool2d(x, 1).flatten(1), torch.ones(4, 4)).view(-1, 4, 1, 1)
    ),
    "expanded": lambda x: x * x.mean((2, 3), keepdim=True).expand(-1, -1, 8, 8),
}


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_sees_everything(gate):
    field = last_of(lambda m, x: GATES[gate](x))
    assert (numbers(field), field.exact) == ((8, 0, 0), True)
    assert field.box(7, 0) == (0, 0, 8, 8)


NO_FIELD = {
    "flattened": lambda m, x: x.flatten(1),
    "patches in rows": lambda m, x: x.flatten(2).transpose(1, 2),
    "axes exchanged": lambda m, x: x.transpose(2, 3),
    "axes reread": lambda m, x: x.reshape(-1, 4, 4, 16),
    "mirrored": lambda m, x: x.flip(3),
    "enlarged": lambda m, x: F.pixel_shuffle(x, 2),
    "unknown": lambda m, x: x.cumsum(2),
    "after unknown": lambda m, x: x.cumsum(2).relu(),
    "maps side by side": lambda m, x: torch.cat([x, x], 3),
    "more than its name": lambda m, x: x - x.mean(),
    "folded into the batch": lambda m, x: F.max_pool2d(x.flatten(0, 1)[:, None], 3).reshape(
        -1, 4, 2, 2
    ),
    "strides that part": lambda m, x: F.interpolate(m.down(x), scale_factor=2) + x,
    "strides that part, by a slice": lambda m, x: m.down(x) + x[:, :, 2:6, 2:6],
    "as a vector": lambda m, x: x.mean((2, 3)),
}


@pytest.mark.parametrize("case", NO_FIELD)
def test_no_field(case):
    assert last_of(NO_FIELD[case]) is None


def test_the_twin_notices_a_wrong_field():
    layers = [nn.Conv2d(2, 2, 3, 2, 1), nn.MaxPool2d(2)]
    field = fields_of(nn.Sequential(*layers), 2, 12, 12)["1"]
    found = [seen(layers, [12, 6], i) for i in range(3)]

    def agrees(field):
        return all(field.box(i, j) == (min(a), min(b), max(a) + 1, max(b) + 1)
                   for (i, a), (j, b) in itertools.product(enumerate(found), repeat=2))  # fmt: skip

    assert agrees(field)
    assert not agrees(replace(field, rows=field.rows + np.array([0, 1])))
    assert not agrees(replace(field, columns=field.columns - np.array([1, 0])))
