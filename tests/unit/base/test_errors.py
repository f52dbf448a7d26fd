"""Errors that users see."""

import pytest

from convscope.base import errors


@pytest.mark.parametrize(
    "kind", [errors.DataError, errors.WeightsError, errors.TrainingError, errors.ConvscopeError]
)
def test_all_are_of_one_family(kind):
    with pytest.raises(errors.ConvscopeError, match=r"^the message$"):
        raise kind("the message")


def test_an_unreadable_image_says_which_and_why():
    error = errors.UnreadableImageError("cat/1.jpg", "the file is empty")
    assert isinstance(error, errors.ConvscopeError)
    assert (error.path, error.reason) == ("cat/1.jpg", "the file is empty")
    assert str(error) == "cat/1.jpg: the file is empty"


def test_a_listing_of_few_and_of_many():
    assert errors.listing([]) == ""
    assert errors.listing(["a", "b"], limit=2) == "  a\n  b"
    many = errors.listing([str(i) for i in range(1235)], limit=1)
    assert many == "  0\n  ... and 1,234 more"
