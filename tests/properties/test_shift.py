"""Circular shifts change nothing for a stride-1, circular-padded network with a global pool."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convscope import Classifier, Preprocess
from convscope.lenses.shift.compute import shift_tables


def circular(channels, depth, kernel, width, seed):
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [
            nn.Conv2d(channels, width, kernel, padding=kernel // 2, padding_mode="circular"),
            nn.ReLU(),
        ]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5))


@settings(max_examples=25, deadline=None)
@given(
    channels=st.sampled_from([1, 3]),
    depth=st.integers(1, 3),
    kernel=st.sampled_from([1, 3, 5]),
    width=st.integers(1, 6),
    height=st.integers(6, 11),
    wide=st.integers(6, 11),
    max_shift=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_circular_shifts_are_perfectly_consistent(
    channels, depth, kernel, width, height, wide, max_shift, seed
):
    module = circular(channels, depth, kernel, width, seed)
    preprocess = Preprocess(
        size=(height, wide), channels=channels, resize=min(height, wide), fit="stretch",
        mean=(0.5,) * channels, std=(0.25,) * channels,
    )  # fmt: skip
    classifier = Classifier("circular", module, preprocess, ("a", "b", "c", "d", "e"))
    draw = np.random.default_rng(seed)
    images = [draw.integers(0, 256, (height, wide, channels), dtype=np.uint8) for _ in range(4)]
    (table,) = shift_tables(
        [classifier], images, draw.integers(0, 5, 4), max_shift=max_shift, border="wrap"
    )
    assert table.consistency.value == 1.0
    assert table.one_pixel.changed.value == 0.0
    np.testing.assert_allclose(
        table.probability, table.probability[:, :1, :1].repeat(2 * max_shift + 1, 1).repeat(
            2 * max_shift + 1, 2
        ), atol=1e-5,
    )  # fmt: skip
