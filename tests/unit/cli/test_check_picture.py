"""What the sheet of `convscope check` shows: images by class, sizes, leaks."""

import io

import numpy as np
import pytest
from PIL import Image

from convscope.cli.check_picture import check_sheet
from convscope.data.catalog import open_dataset
from convscope.data.check import check

TILE = 80  # pixels: an image of 8 x 8 as large as a whole factor makes it in a tile of 84


def colour(label, number):
    return (200 + number, 10, 10) if label == 0 else (10, 10, 200 + number)


@pytest.fixture
def data(tmp_path):
    for label, name in enumerate(("cat", "dog")):
        for split, numbers in (("train", range(3)), ("val", range(3, 5))):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for number in numbers:
                pixels = np.full((8, 8, 3), colour(label, number), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "pets"


def drawn(data):
    found = check(open_dataset(str(data)))
    return np.asarray(Image.open(io.BytesIO(check_sheet(found))).convert("RGB"))


def places(sheet, wanted):
    """(top, left, side) of the squares of a colour, from the top."""
    rest, squares = (sheet == wanted).all(axis=2), []
    while rest.any():
        top, left = np.argwhere(rest)[0].tolist()
        side = int(np.argmin(np.append(rest[top, left:], False)))
        squares.append((top, left, side))
        rest[top : top + side, left : left + side] = False
    return squares


def test_training_images_stand_in_the_row_of_their_class(data):
    sheet = drawn(data)
    corners = [[places(sheet, colour(label, number)) for number in range(3)] for label in (0, 1)]
    assert all(len(found) == 1 and found[0][2] == TILE for row in corners for found in row)
    (cats,), (dogs,) = ({found[0][0] for found in row} for row in corners)
    assert cats < dogs
    lefts = [[found[0][1] for found in row] for row in corners]
    assert lefts[0] == sorted(lefts[0]) == lefts[1]
    assert all(not places(sheet, colour(label, 3)) for label in (0, 1))  # of the val split


def test_equal_images_of_two_splits_stand_side_by_side(data):
    (data / "val/cat/leak.png").write_bytes((data / "train/cat/1.png").read_bytes())
    corners = places(drawn(data), colour(0, 1))
    assert len(corners) == 3
    pair = sorted((left, top) for top, left, side in corners if side > TILE)
    assert len(pair) == 2
    assert pair[0][1] == pair[1][1]


def test_what_cannot_be_read_is_no_tile_and_changes_the_sheet(data):
    whole = drawn(data)
    (data / "train/dog/2.png").write_bytes(b"no image")
    sheet = drawn(data)
    assert not places(sheet, colour(1, 2))
    assert places(sheet, colour(1, 1))
    # The reason is written in a colour that nothing else has.
    lost = [(213, 94, 0)]
    assert not (whole == lost).all(axis=2).any()
    assert (sheet == lost).all(axis=2).any()
