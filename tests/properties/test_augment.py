"""Random numbers depend only on seed, epoch and image; crops always have the right size."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from convscope.data.augment import Augment, random_crop, uniform_numbers
from convscope.images.preprocess import Preprocess

CHECKED = settings(max_examples=100, deadline=None, derandomize=True, database=None)
SEEDS = st.integers(0, 2**63 - 1)
IMAGES = st.lists(st.integers(0, 10**9), min_size=1, max_size=20)


@CHECKED
@given(seed=SEEDS, epoch=st.integers(0, 10**6), images=IMAGES, data=st.data())
def test_an_images_numbers_do_not_depend_on_the_batch(seed, epoch, images, data):
    together = uniform_numbers(seed, epoch, np.array(images))
    order = data.draw(st.permutations(range(len(images))))
    shuffled = uniform_numbers(seed, epoch, np.array(images)[order])
    np.testing.assert_array_equal(shuffled, together[order])
    for image, row in zip(images, together, strict=True):
        np.testing.assert_array_equal(uniform_numbers(seed, epoch, np.array([image]))[0], row)


@CHECKED
@given(seed=SEEDS, epoch=st.integers(0, 10**6), images=IMAGES)
def test_numbers_lie_in_the_unit_interval(seed, epoch, images):
    numbers = uniform_numbers(seed, epoch, np.array(images))
    assert numbers.shape == (len(images), 13)
    assert (numbers >= 0).all()
    assert (numbers < 1).all()


@CHECKED
@given(seed=SEEDS, image=st.integers(0, 10**6))
def test_fewer_draws_are_the_first_of_more(seed, image):
    few, many = (uniform_numbers(seed, 3, np.array([image]), draws) for draws in (4, 40))
    np.testing.assert_array_equal(few, many[:, :4])


@CHECKED
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    scale=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)),
    pad=st.one_of(st.none(), st.integers(0, 5)),
    draw=st.lists(st.floats(0, 1, exclude_max=True), min_size=13, max_size=13),
)
def test_cuts_of_any_canvas_have_the_size_of_the_input(shape, size, scale, pad, draw):
    preprocess = Preprocess(size=size, channels=1, resize=12, mean=(0.5,), std=(0.5,))
    canvas = np.full((*shape, 1), 200, np.uint8)
    augment = Augment(flip=True, pad=pad, scale=scale)
    pixels = random_crop(canvas, np.array(draw), augment, preprocess)
    assert pixels.shape == (*size, 1)
    assert pixels.min() >= 127  # the canvas or the mean or in between
