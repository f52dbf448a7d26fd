"""Augmentation: bounds, statistics, and no change if it is turned off."""

import numpy as np
import pytest
import torch
from scipy import stats

from convscope.base.errors import ConvscopeError
from convscope.data.augment import (
    Augment,
    colour_basis,
    random_crop,
    shift_and_erase,
    uniform_numbers,
)
from convscope.images.preprocess import Preprocess

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
PREPROCESS = Preprocess(size=(8, 8), channels=3, resize=8, mean=MEAN, std=STD)
COVARIANCE = np.array([[0.07, 0.05, 0.04], [0.05, 0.06, 0.05], [0.04, 0.05, 0.08]])


def canvas(height=8, width=8):
    """Each pixel tells its row and column."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows, columns, rows * 0 + 200]).astype(np.uint8)


def cuts(augment, image, count=400, preprocess=PREPROCESS):
    return [
        random_crop(image, draw, augment, preprocess)
        for draw in uniform_numbers(0, 0, np.arange(count))
    ]


def test_numbers_are_uniform_and_columns_independent():
    numbers = uniform_numbers(1, 2, np.arange(20_000))
    for column in numbers.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    between = np.corrcoef(numbers.T) - np.eye(13)
    assert np.abs(between).max() < 0.035
    successive = [np.corrcoef(column[:-1], column[1:])[0, 1] for column in numbers.T]
    assert np.abs(successive).max() < 0.035


def test_numbers_of_neighbouring_seeds_and_epochs_differ():
    images = np.arange(100)
    keys = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (0, 2)]
    numbers = [number for key in keys for number in uniform_numbers(*key, images).ravel()]
    assert len(set(numbers)) == len(keys) * 100 * 13


def test_without_changes_the_cut_is_the_canvas():
    for pixels in cuts(Augment(), canvas()):
        np.testing.assert_array_equal(pixels, canvas())


def test_flip_mirrors_half_of_the_images():
    flipped = 0
    for pixels in cuts(Augment(flip=True), canvas()):
        is_flipped = pixels[0, 0, 1] == 7
        np.testing.assert_array_equal(pixels, canvas()[:, ::-1] if is_flipped else canvas())
        flipped += is_flipped
    assert 150 < flipped < 250


@pytest.mark.parametrize("flip", [None, False])
def test_no_flip_unless_switched_on(flip):
    assert all((pixels == canvas()).all() for pixels in cuts(Augment(flip=flip), canvas()))


def test_crops_reach_every_place_of_a_larger_canvas():
    tops = {(int(p[0, 0, 0]), int(p[0, 0, 1])) for p in cuts(Augment(), canvas(11, 9))}
    assert tops == {(top, left) for top in range(4) for left in range(2)}


def test_pad_shifts_up_to_its_bound_and_fills_with_the_mean():
    shifts = set()
    for pixels in cuts(Augment(pad=2), canvas()):
        inside = pixels[..., 2] == 200
        top, left = (int(pixels[3, 3, axis]) - 3 for axis in (0, 1))
        shifts.add((top, left))
        assert inside.sum() == (8 - abs(top)) * (8 - abs(left))
        assert (pixels[~inside] == PREPROCESS.fill()).all()
    assert shifts == {(top, left) for top in range(-2, 3) for left in range(-2, 3)}


def test_pad_on_a_canvas_smaller_than_the_input_shifts_about_the_centre():
    tops = set()
    for pixels in cuts(Augment(pad=1), canvas(4, 8)):
        rows = np.flatnonzero((pixels[..., 2] == 200).any(axis=1))
        assert len(rows) == 4
        tops.add(int(rows[0]))
    assert tops == {1, 2, 3}


def test_scale_jitter_widens_the_window():
    preprocess = Preprocess(size=(8, 8), channels=3, resize=16, mean=MEAN, std=STD)
    image = np.repeat(np.linspace(0, 240, 16)[:, None, None], 16, axis=1).repeat(3, axis=2)
    spans = []
    for pixels in cuts(Augment(scale=(0.5, 1.0)), image.astype(np.uint8), preprocess=preprocess):
        assert pixels.shape == (8, 8, 3)
        spans.append(int(pixels[-1, 0, 0]) - int(pixels[0, 0, 0]))
    assert min(spans) == 7 * 16  # scale 1: the canvas's own pixels
    assert max(spans) > 200  # scale 1/2: the whole canvas
    assert len(set(spans)) == 9  # windows of 8 to 16 pixels


@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.5, 1.5), (-1, 1), (float("nan"), 1)])
def test_scales_beyond_their_bounds_are_refused(scale):
    with pytest.raises(ConvscopeError, match=r"recipe: scale\."):
        Augment.parse({"scale": scale}, "recipe")


@pytest.mark.parametrize("change", [{"pad": -1}, {"colour": -0.1}, {"erase": 1.1}, {"zoom": 1}])
def test_other_values_beyond_their_bounds_are_refused(change):
    with pytest.raises(ConvscopeError, match=rf"recipe: {next(iter(change))}: "):
        Augment.parse(change, "recipe")


def test_the_colour_basis_gives_the_covariance_back():
    basis = colour_basis(COVARIANCE)
    np.testing.assert_allclose(basis @ basis.T, COVARIANCE, atol=1e-12)
    across = basis.T @ basis
    np.testing.assert_allclose(across, np.diag(np.diag(across)), atol=1e-12)


def test_a_covariance_with_rounding_errors_gives_no_nan():
    basis = colour_basis(np.full((3, 3), 0.05) - 1e-12 * np.eye(3))
    assert np.isfinite(basis).all()


def test_colour_shifts_have_the_covariance_of_the_data():
    draws = uniform_numbers(0, 0, np.arange(20_000))
    images = torch.zeros(20_000, 3, 1, 1)
    basis = colour_basis(COVARIANCE)
    shift_and_erase(images, draws, Augment(colour=0.1), PREPROCESS, basis)
    shifts = images[:, :, 0, 0].double().numpy() * STD  # in units of pixels / 255
    amounts = shifts @ np.linalg.inv(basis).T / 0.1
    np.testing.assert_allclose(np.cov(amounts.T), np.eye(3), atol=0.04)
    np.testing.assert_allclose(amounts.mean(axis=0), np.zeros(3), atol=0.03)
    for axis in amounts.T:
        assert stats.kstest(axis, "norm").pvalue > 1e-4


def test_colour_shifts_all_pixels_of_an_image_alike():
    images = torch.rand(4, 3, 8, 8)
    before = images.clone()
    draws = uniform_numbers(0, 0, np.arange(4))
    assert shift_and_erase(images, draws, Augment(colour=0.5), PREPROCESS, np.eye(3)) is images
    shift = images - before
    assert shift.abs().amin() > 0
    torch.testing.assert_close(shift, shift[:, :, :1, :1].expand_as(shift), rtol=0, atol=1e-5)


def test_grey_images_have_no_colour_shift():
    grey = Preprocess(size=(8, 8), channels=1, resize=8, mean=(0.5,), std=(0.2,))
    images = torch.ones(4, 1, 8, 8)
    draws = uniform_numbers(0, 0, np.arange(4))
    shift_and_erase(images, draws, Augment(colour=0.5), grey, np.eye(1))
    assert (images == 1).all()


def test_erasing_makes_a_rectangle_of_the_mean_in_its_share_of_images():
    preprocess = Preprocess(size=(40, 30), channels=3, resize=40, mean=MEAN, std=STD)
    images = torch.ones(2000, 3, 40, 30)
    shift_and_erase(
        images, uniform_numbers(0, 0, np.arange(2000)), Augment(erase=0.25), preprocess, np.eye(3)
    )
    erased = (images == 0).numpy()
    assert (erased == erased[:, :1]).all()  # the same in all channels
    areas = []
    for hole in erased[:, 0][erased.any(axis=(1, 2, 3))]:
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert hole.sum() == height * width
        areas.append(height * width / 1200)
    assert 0.21 < len(areas) / 2000 < 0.29
    assert min(areas) > 0.015
    assert max(areas) < 0.345
    assert max(areas) > 0.3


@pytest.mark.parametrize("erase", [0.0, 1.0])
def test_erasing_none_and_all(erase):
    images = torch.ones(50, 3, 8, 8)
    draws = uniform_numbers(0, 0, np.arange(50))
    shift_and_erase(images, draws, Augment(erase=erase), PREPROCESS, np.eye(3))
    assert (images == 0).any(dim=3).any(dim=2).any(dim=1).sum() == 50 * erase
