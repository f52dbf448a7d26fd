"""The border modes: NumPy's words, and an old spelling."""

import numpy as np
import pytest

from convscope.base.errors import ConvscopeError
from convscope.images.borders import Border


def test_the_names_are_those_of_numpy_and_zero():
    assert list(Border) == ["zero", "edge", "reflect", "wrap"]
    row = np.array([1, 2, 3])
    found = {border: np.pad(row, 2, mode=border.numpy_mode).tolist() for border in Border}
    assert found == {
        "zero": [0, 0, 1, 2, 3, 0, 0], "edge": [1, 1, 1, 2, 3, 3, 3],
        "reflect": [3, 2, 1, 2, 3, 2, 1], "wrap": [2, 3, 1, 2, 3, 1, 2],
    }  # fmt: skip


def test_circular_is_read_as_wrap():
    assert Border("circular") is Border.of("circular") is Border.WRAP
    assert "circular" not in list(Border)


@pytest.mark.parametrize("name", ["moon", "", "ZERO", "constant"])
def test_other_names_are_refused_with_those_that_there_are(name):
    with pytest.raises(ConvscopeError, match="give one of zero, edge, reflect, wrap"):
        Border.of(name)


def test_each_border_is_described():
    assert len({border.description for border in Border}) == 4
