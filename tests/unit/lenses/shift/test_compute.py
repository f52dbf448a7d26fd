"""Shifted images: where pixels go, what is counted, and how layers answer."""

import numpy as np
import pytest
import torch
from torch import nn

from convscope import Classifier, Preprocess, build_model
from convscope.base.errors import ConvscopeError, DataError
from convscope.lenses.shift.compute import check_shift, shift_tables, shifted
from convscope.lenses.shift.layers import layer_shifts, whole_distance


def classifier(module, side=12, channels=1):
    preprocess = Preprocess(
        size=(side, side), channels=channels, resize=side, mean=(0.4,) * channels,
        std=(0.3,) * channels,
    )  # fmt: skip
    return Classifier("mine", module.eval(), preprocess, ("a", "b", "c"))


def pictures(count=4, side=12, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 1))
    return list(pixels.astype(np.uint8))


def small(side=12):
    return classifier(
        build_model("vgg-small", num_classes=3, input_shape=(1, side, side), seed=0).module, side
    )


def pixel_after(pixels, row, column, dx, dy, border):
    """By hand: what stands in a place once the picture has moved."""
    place = []
    for at, length in ((row - dy, pixels.shape[0]), (column - dx, pixels.shape[1])):
        if border == "zero" and not 0 <= at < length:
            return 0
        if border == "edge":
            at = min(max(at, 0), length - 1)
        if border == "reflect":
            at = -at if at < 0 else (2 * (length - 1) - at if at >= length else at)
        place.append(at % length)
    return pixels[place[0], place[1], 0]


@pytest.mark.parametrize("border", ["zero", "edge", "reflect", "wrap"])
@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, 0), (-3, 1), (4, -5)])
def test_every_pixel_goes_right_by_dx_and_down_by_dy(border, dx, dy):
    pixels = pictures(1, 6)[0]
    moved = shifted(pixels[None], dx, dy, border)[0]
    expected = [
        [pixel_after(pixels, row, column, dx, dy, border) for column in range(6)]
        for row in range(6)
    ]
    assert moved[:, :, 0].tolist() == expected


@pytest.mark.parametrize("border", ["zero", "edge", "reflect", "wrap"])
def test_the_table_holds_what_the_classifier_says_of_each_shifted_image(border):
    mine, images = small(), pictures(3)
    targets = np.array([0, 2, 1])
    (table,) = shift_tables([mine], images, targets, max_shift=2, border=border, batch_size=2)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            moved = list(shifted(np.stack(images), dx, dy, border))
            shares = torch.softmax(mine.logits(mine.preprocess.batch(moved)), 1)
            np.testing.assert_allclose(
                table.probability[:, dy + 2, dx + 2],
                shares.numpy()[np.arange(3), targets], rtol=1e-4,
            )  # fmt: skip
            assert table.predicted[:, dy + 2, dx + 2].tolist() == shares.argmax(1).tolist()


def test_black_is_black_in_pixels_and_not_the_mean():
    """A network that gives back the first pixel: it must see (0 - mean) / std."""

    class Corner(nn.Module):
        def forward(self, images):
            value = images[:, 0, 0, 0]
            return torch.stack([value, torch.zeros_like(value), torch.zeros_like(value)], 1)

    white = [np.full((12, 12, 1), 255, np.uint8)]
    (table,) = shift_tables([classifier(Corner())], white, np.array([0]), max_shift=1)
    black = torch.softmax(torch.tensor([-0.4 / 0.3, 0, 0]), 0)[0]
    assert table.probability[0, 1, 2] == pytest.approx(float(black), rel=1e-5)
    assert table.probability[0, 1, 0] > 0.7  # moved to the left, the corner stays white


def test_unshifted_logits_are_those_of_evaluation_bit_for_bit():
    mine, images = small(), pictures(8)
    (table,) = shift_tables([mine], images, np.zeros(8, np.int64), max_shift=1, batch_size=8)
    (logits,) = mine.logits_of(images, 8)
    assert np.array_equal(table.probability[:, 1, 1], torch.softmax(logits, 1)[:, 0].numpy())


def test_several_classifiers_see_the_same_images_read_once():
    read = []

    def source():
        for image in pictures(5):
            read.append(1)
            yield image

    counted = []
    first, second = shift_tables(
        [small(), small()], source(), np.zeros(5, np.int64), max_shift=1, batch_size=2,
        progress=lambda done, total: counted.append((done, total)),
    )  # fmt: skip
    assert len(read) == 5
    assert np.array_equal(first.predicted, second.predicted)
    assert counted[-1] == (90, 90)


def test_a_network_without_bearings_is_consistent_and_one_pixel_moves_nothing():
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip
    (table,) = shift_tables(
        [classifier(module)], pictures(6), np.zeros(6, np.int64), max_shift=4, border="wrap"
    )
    assert table.consistency.value == 1.0
    assert table.one_pixel.changed.value == 0.0


def test_the_accuracy_grid_has_dy_as_rows_and_dx_as_columns():
    class Left(nn.Module):
        """Says class 1 where the left column is brighter than the upper row."""

        def forward(self, images):
            margin = images[:, 0, :, 0].mean(1) - images[:, 0, 0].mean(1)
            return torch.stack([-margin, margin, torch.full_like(margin, -9)], 1)

    image = np.full((12, 12, 1), 255, np.uint8)
    (table,) = shift_tables([classifier(Left())], [image], np.array([1]), max_shift=1)
    assert table.accuracy_grid[2, 1] == 1  # moved down by 1: the upper row turns black
    assert table.accuracy_grid[1, 2] == 0  # moved right by 1: the left column does


@pytest.mark.parametrize("max_shift", [0, -1, 12, 100])
def test_shifts_that_leave_nothing_of_the_image_are_refused(max_shift):
    with pytest.raises(ConvscopeError, match="must be 1 to 11 pixels"):
        shift_tables([small()], pictures(), np.zeros(4, np.int64), max_shift=max_shift)


def test_other_wrong_input_is_refused():
    with pytest.raises(ConvscopeError, match="border='moon': give one of zero, edge, refl"):
        shift_tables([small()], pictures(), np.zeros(4, np.int64), border="moon")
    with pytest.raises(ConvscopeError, match="border='moon'"):
        layer_shifts(small(), pictures(), [1], border="moon")
    with pytest.raises(ConvscopeError, match="must be 1 to 11 pixels"):
        check_shift(12, (12, 14))
    with pytest.raises(DataError, match="no images"):
        shift_tables([small()], [], np.zeros(0, np.int64))
    broken = small()
    with torch.no_grad():
        next(broken.module.parameters()).fill_(float("nan"))
    with pytest.raises(DataError, match="not all finite"):
        shift_tables([broken], pictures(), np.zeros(4, np.int64), max_shift=1)


def layers_of(module, distances, border="zero", side=32):
    found = layer_shifts(classifier(module, side), pictures(4, side), distances, border=border)
    return [{layer.name: layer for layer in shifts.layers} for shifts in found]


def test_whole_strides_move_the_map_exactly_away_from_borders():
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 3, 3, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(3 * 256, 3),
    )  # fmt: skip
    one, two = layers_of(module.double().float(), [1, 2])
    assert two["2"].whole
    assert two["2"].inside == pytest.approx(0, abs=1e-6)
    assert two["4"].inside == pytest.approx(0, abs=1e-6)
    assert two["4"].equivariance > 0.01  # padding and black are not the same
    assert one["2"].whole is False
    assert one["2"].inside > 0.01  # aliasing
    assert one["1"].inside == pytest.approx(0, abs=1e-6)
    assert two["6"].equivariance is None
    assert two["6"].stride is None


def test_equivariance_is_that_of_a_loop_over_directions():
    torch.manual_seed(3)
    module = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(),
                           nn.Linear(128, 3))  # fmt: skip
    (found,) = layers_of(module, [3], side=16)
    mine = classifier(module, 16)
    stack = np.stack(pictures(4, 16))
    still = module[:2](mine.preprocess.normalise(stack)).detach().double()
    squares = np.zeros(2)
    for dx, dy in ((3, 0), (-3, 0), (0, 3), (0, -3)):
        moved = np.ascontiguousarray(shifted(stack, dx, dy, "zero"))
        after = module[:2](mine.preprocess.normalise(moved)).detach().double()
        if dy:
            after, before = after.transpose(2, 3), still.transpose(2, 3)
        else:
            before = still
        for place in range(8):
            source = place - (dx + dy) / 2
            low, high = int(np.floor(source)), int(np.ceil(source))
            if low >= 0 and high <= 7:
                target = (before[..., low] + before[..., high]) / 2
                squares += [
                    float((after[..., place] - target).square().sum()),
                    float(target.square().sum()),
                ]
    assert found["1"].equivariance == pytest.approx((squares[0] / squares[1]) ** 0.5, rel=1e-6)


def test_wrapped_borders_and_circular_padding_are_equivariant_everywhere():
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3),
    )  # fmt: skip
    (found,) = layers_of(module, [3], "wrap")
    assert found["1"].equivariance == pytest.approx(0, abs=1e-6)
    assert found["1"].invariance > 0.1
    assert found["4"].invariance == pytest.approx(0, abs=1e-5)
    assert found["softmax"].invariance == pytest.approx(0, abs=1e-5)


def test_the_filtered_pool_aliases_less_than_the_plain_one():
    shares = []
    for pooling in ("max", "blur"):
        module = build_model(
            "vgg-small", num_classes=3, input_shape=(1, 32, 32), seed=0, pooling=pooling
        ).module
        (found,) = layers_of(module, [1])
        shares.append(next(layer.inside for layer in found.values() if layer.stride == (2, 2)))
    assert shares[1] < shares[0]


def test_the_whole_distance_is_a_multiple_of_every_stride_where_the_image_is_large_enough():
    assert whole_distance([small(32)]) == 8
    assert whole_distance([small(12)]) == 4
    mlp = classifier(build_model("mlp", num_classes=3, input_shape=(1, 32, 32)).module, 32)
    assert whole_distance([mlp]) == 4
    assert whole_distance([mlp, small(32)]) == 8


def test_layers_of_no_image_are_refused():
    with pytest.raises(ConvscopeError, match="no images"):
        layer_shifts(small(), [], [1])
