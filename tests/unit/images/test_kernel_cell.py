"""One number of a filtered picture, worked out, is the number that `convolve` gives."""

import itertools

import numpy as np
import pytest

from convscope.base.errors import ConvscopeError
from convscope.images.kernels import cell, convolve, size_formula


def test_every_cell_is_what_convolve_gives():
    random = np.random.default_rng(0)
    for stride, padding, dilation, border in itertools.product(
        (1, 2), (0, 2), (1, 2), ("zero", "edge", "reflect", "wrap")
    ):
        image, kernel = random.integers(0, 256, (7, 6)), random.normal(size=(3, 2))
        output = convolve(image, kernel, stride, padding, dilation, border)
        for at, value in np.ndenumerate(output):
            found = cell(image, kernel, at, stride, padding, dilation, border)
            assert found.sum == value
            assert np.array_equal(found.products, found.pixels * kernel)
            for (i, j), outside in np.ndenumerate(found.outside):
                row, column = found.rows[i], found.columns[j]
                assert outside == (not (0 <= row < 7 and 0 <= column < 6))
                if not outside:
                    assert found.pixels[i, j] == image[row, column]


@pytest.mark.parametrize(("at", "words"), [((2, 0), "row 2"), ((0, -1), "column -1")])
def test_a_place_outside_of_the_output_is_refused(at, words):
    with pytest.raises(ConvscopeError, match=words):
        cell(np.zeros((3, 3)), np.ones((2, 2)), at)


def test_the_formula_has_the_numbers_in_it():
    assert size_formula(5, 3, 2, 1, 4) == "floor((5 + 2·1 - 4·(3 - 1) - 1) / 2) + 1"
