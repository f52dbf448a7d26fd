"""What the confusion matrix and the reliability diagram show."""

import io

import numpy as np
import pytest
from matplotlib.colors import Normalize, PowerNorm
from PIL import Image

from convscope.evaluation.pictures import (
    confusion_figure,
    confusion_picture,
    reliability_figure,
    reliability_picture,
)
from convscope.metrics.classification import Calibration

NAMES = ["cat", "dog", "emu"]
COUNTS = np.array([[6, 2, 0], [0, 4, 0], [0, 0, 0]])


def shown(figure):
    axes = figure.axes[0]
    return axes, np.asarray(axes.images[0].get_array())


def test_a_cell_is_the_share_of_its_row_and_has_its_count():
    axes, cells = shown(confusion_figure(COUNTS, NAMES, "title"))
    np.testing.assert_allclose(cells, [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]])
    texts = {(text.get_position(), text.get_text()) for text in axes.texts}
    assert texts == {((0, 0), "6"), ((1, 0), "2"), ((1, 1), "4")}
    assert [label.get_text() for label in axes.get_xticklabels()] == NAMES
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "label")
    assert axes.get_title() == "title"
    norm = axes.images[0].norm
    assert type(norm) is Normalize
    assert (norm.vmin, norm.vmax) == (0, 1)


def test_a_confusion_matrix_without_images_is_empty():
    axes, cells = shown(confusion_figure(np.zeros((3, 3), int), NAMES, ""))
    assert (cells == 0).all()
    assert not axes.texts


def test_forty_classes_have_names_and_a_scale_that_shows_rare_confusions():
    counts = np.eye(40, dtype=int) * 99
    counts[3, 17] = 1
    axes, cells = shown(confusion_figure(counts, [f"class {i}" for i in range(40)], ""))
    assert cells[3, 17] == 0.01
    norm = axes.images[0].norm
    assert isinstance(norm, PowerNorm)
    assert norm(0.01) == pytest.approx(0.1)
    assert axes.get_xticklabels()[17].get_text() == "class 17"
    assert not axes.texts


def test_of_a_thousand_classes_each_confusion_can_be_seen():
    counts = np.eye(1000, dtype=int) * 8
    counts[997, 402] = 2
    names = [f"class {i}" for i in range(1000)]
    axes, cells = shown(confusion_figure(counts, names, ""))
    assert cells.shape == (250, 250)
    assert cells[249, 100] == 0.2
    assert np.count_nonzero(cells) == 251
    assert axes.get_xlim() == (-0.5, 999.5)
    assert axes.get_ylim() == (999.5, -0.5)
    assert "class number" in axes.get_xlabel()
    assert "4 x 4 classes" in axes.figure.axes[1].get_ylabel()
    dark, light = (
        np.asarray(Image.open(io.BytesIO(confusion_picture(table, names, ""))).convert("L"))
        for table in (np.eye(1000, dtype=int) * 8, counts)
    )
    assert (dark != light).sum() > 20  # pixels of the one confusion


def test_blocks_that_do_not_fit_are_whole():
    counts = np.zeros((251, 251), int)
    counts[250, 250] = 5
    _, cells = shown(confusion_figure(counts, [str(i) for i in range(251)], ""))
    assert cells.shape == (126, 126)
    assert cells[125, 125] == 1


def calibration():
    counts = np.array([0, 3, 0, 7])
    values = np.array([0, 1 / 3, 0, 6 / 7])
    confidence = np.array([0, 0.4, 0, 0.9])
    return Calibration(np.linspace(0, 1, 5), counts, confidence, values, 0.0625)


def test_bins_without_images_have_no_bar():
    upper, lower = reliability_figure(calibration(), "title").axes
    for axes, heights in ((upper, [1 / 3, 6 / 7]), (lower, [3, 7])):
        assert [bar.get_x() for bar in axes.patches] == [0.25, 0.75]
        assert [bar.get_height() for bar in axes.patches] == pytest.approx(heights)
        assert all(bar.get_width() == 0.25 for bar in axes.patches)
    points = next(line for line in upper.lines if line.get_label().startswith("mean"))
    np.testing.assert_allclose(points.get_xydata(), [[0.4, 1 / 3], [0.9, 6 / 7]])
    assert upper.get_title() == "title\nexpected calibration error 0.0625"
    assert lower.get_yscale() == "log"
    assert lower.get_ylim()[0] < 1


def test_the_diagram_is_a_png():
    image = Image.open(io.BytesIO(reliability_picture(calibration(), "x")))
    assert image.format == "PNG"
    assert len(np.unique(np.asarray(image.convert("L")))) > 20
