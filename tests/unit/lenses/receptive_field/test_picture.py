"""What the picture of a receptive field shows."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch import nn

from convscope.graph.capture import capture
from convscope.graph.geometry import receptive_fields
from convscope.lenses.receptive_field.picture import field_figure


@pytest.fixture(scope="module")
def field():
    """Of a unit in the middle of 9 x 9: 5 x 5 pixels."""
    module = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1))
    return receptive_fields(capture(module, torch.zeros(1, 1, 9, 9)))["1"]


def cells(figure):
    return np.ma.asarray(figure.axes[0].images[0].get_array())


def test_a_cell_is_the_root_of_its_share_of_the_largest(field):
    mass = np.zeros((9, 9))
    mass[4, 4], mass[4, 5] = 0.8, 0.2
    figure = field_figure(mass, field, "the title")
    shown = cells(figure)
    assert (shown[4, 4], shown[4, 5], shown[0, 0]) == (1, 0.5, 0)
    axes, bar = figure.axes
    assert axes.get_title() == "the title"
    labels = {label.get_text(): place for label, place in zip(
        bar.get_yticklabels(), bar.get_yticks(), strict=True)}  # fmt: skip
    assert labels["0.25"] == pytest.approx(0.5)
    assert "(0.8)" in bar.get_ylabel()


def test_the_frame_is_what_the_unit_sees(field):
    figure = field_figure(np.ones((9, 9)), field, "")
    (frame,) = figure.axes[0].patches
    assert (frame.get_x(), frame.get_y()) == (1.5, 1.5)
    assert (frame.get_width(), frame.get_height()) == (5, 5)
    assert "5 x 5 pixels" in figure.axes[0].get_xlabel()
    assert not field_figure(np.ones((9, 9)), None, "").axes[0].patches


def test_no_gradient_is_all_zero_and_nan_has_a_colour_of_its_own(field):
    assert (cells(field_figure(np.zeros((9, 9)), field, "")) == 0).all()
    mass = np.full((9, 9), 0.5)
    mass[2, 3] = np.nan
    image = field_figure(mass, field, "").axes[0].images[0]
    colours = image.cmap(image.norm(image.get_array()))
    assert to_hex(colours[2, 3]) == "#009e73"
    assert to_hex(colours[0, 0]) != "#009e73"
    assert field_figure(np.full((9, 9), np.nan), field, "").axes[0].images
