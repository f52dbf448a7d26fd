"""Contact sheets: where tiles lie, and that small images keep their pixels."""

import numpy as np
import pytest

from convscope.drawing.contact import contact_sheet

RED, BLUE = (255, 0, 0), (0, 0, 255)


def plain(colour, height=8, width=8):
    return np.full((height, width, 3), colour, np.uint8)


def extent(sheet, colour):
    """Top, left, bottom, right of the pixels of exactly this colour."""
    rows, columns = np.nonzero((np.asarray(sheet) == colour).all(axis=2))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def test_small_images_are_enlarged_by_whole_factors():
    sheet = contact_sheet([plain(RED, 7, 9)], ["a"], title="t", tile=100)
    top, left, bottom, right = extent(sheet, RED)
    assert (bottom - top, right - left) == (77, 99)


def test_each_pixel_stays_visible():
    board = plain(RED, 4, 4)
    board[::2, ::2] = BLUE
    sheet = contact_sheet([board], ["a"], title="t", tile=100)
    top, left, *_ = extent(sheet, BLUE)
    part = np.asarray(sheet)[top : top + 100, left : left + 100]
    np.testing.assert_array_equal(part, board.repeat(25, axis=0).repeat(25, axis=1))


@pytest.mark.parametrize(("height", "width"), [(400, 200), (200, 400), (1000, 1)])
def test_large_images_fit_their_tile(height, width):
    sheet = contact_sheet([plain(RED, height, width)], ["a"], title="t", tile=100)
    top, left, bottom, right = extent(sheet, RED)
    longer = max(height, width)
    assert bottom - top == max(1, round(height * 100 / longer))
    assert right - left == max(1, round(width * 100 / longer))


def test_tiles_go_from_left_to_right_and_then_down():
    colours = [RED, (0, 255, 0), BLUE, (255, 255, 0), (0, 255, 255)]
    images = [plain(colour) for colour in colours]
    sheet = contact_sheet(images, [""] * 5, title="t", columns=3, tile=80)
    places = [extent(sheet, colour)[:2] for colour in colours]
    assert places == sorted(places)
    assert len({top for top, _ in places}) == 2
    assert [left for _, left in places[:2]] == [left for _, left in places[3:]]


def test_grey_images_are_shown_as_they_are():
    grey = np.full((8, 8, 1), 99, np.uint8)
    sheet = contact_sheet([grey], ["a"], title="t", tile=80)
    top, left, bottom, right = extent(sheet, (99, 99, 99))
    assert (bottom - top, right - left) == (80, 80)


def test_long_captions_lose_their_beginning_and_stay_in_their_column():
    long = "a/very/long/path/to/an/image/with/a/name/that/does/not/fit/1.jpg"
    both = contact_sheet([plain(RED), plain(BLUE)], [long, ""], title="t", columns=2, tile=80)
    short = contact_sheet([plain(RED), plain(BLUE)], ["", ""], title="t", columns=2, tile=80)
    changed = np.nonzero((np.asarray(both) != np.asarray(short)).any(axis=2))[1]
    assert len(changed) > 0
    assert changed.max() < extent(both, BLUE)[1]


def test_lines_of_captions_make_room():
    one = contact_sheet([plain(RED)], ["a"], title="t")
    three = contact_sheet([plain(RED)], ["a\nb\nc"], title="t")
    assert three.height > one.height
    assert three.width == one.width


def test_captions_and_images_must_fit():
    with pytest.raises(ValueError, match="zip"):
        contact_sheet([plain(RED)], ["a", "b"], title="t")
