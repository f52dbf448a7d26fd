"""Batches: the same images from memory and from files, each once, in a seeded order."""

import numpy as np
import pytest
import torch

from convscope.data.augment import Augment, colour_basis
from convscope.data.canvases import Canvases
from convscope.data.folder import read_folder
from convscope.data.loader import Batches
from convscope.images.preprocess import Preprocess

PREPROCESS = Preprocess(
    size=(7, 6), channels=3, resize=8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3)
)
EVERYTHING = Augment(flip=True, pad=2, scale=(0.6, 1.0), colour=0.1, erase=0.5)
BASIS = colour_basis(np.array([[0.07, 0.05, 0.04], [0.05, 0.06, 0.05], [0.04, 0.05, 0.08]]))
CPU = torch.device("cpu")


@pytest.fixture
def data(image_files):
    return read_folder(image_files(*(f"{name}/{i:02}.png" for name in "ab" for i in range(9))), "x")


def batches(data, *, cached=True, batch_size=4, workers=0, indices=None):
    indices = np.arange(1, len(data)) if indices is None else indices
    every = {i: PREPROCESS.canvas(data.image(i, 3)) for i in indices.tolist()}
    canvases = Canvases.from_images(every if cached else {}, len(data))
    return Batches(data, PREPROCESS, indices, canvases, batch_size, CPU, workers)


def epoch(some, number=0, seed=5, skip=0, augment=EVERYTHING):
    return list(some.shuffled(seed, number, augment, BASIS, skip))


def assert_same(found, expected):
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.targets, other.targets)


def test_in_order_every_image_once_and_unchanged(data):
    some = batches(data)
    found = list(some.in_order())
    assert [len(batch.ids) for batch in found] == [4, 4, 4, 4, 1]
    assert len(some) == 5
    assert np.concatenate([batch.ids for batch in found]).tolist() == list(range(1, 18))
    for batch in found:
        expected = PREPROCESS.batch([data.image(i, 3) for i in batch.ids.tolist()])
        assert torch.equal(batch.images, expected)
        assert batch.targets.tolist() == data.labels[batch.ids].tolist()


def test_shuffled_drops_the_last_batch_if_it_is_not_full(data):
    some = batches(data)
    found = epoch(some)
    assert [len(batch.ids) for batch in found] == [4] * 4
    assert some.steps_per_epoch == 4
    ids = np.concatenate([batch.ids for batch in found]).tolist()
    assert len(set(ids)) == 16
    assert set(ids) <= set(range(1, 18))
    for batch in found:
        assert batch.images.shape == (4, 3, 7, 6)
        assert batch.targets.tolist() == data.labels[batch.ids].tolist()


def test_the_only_batch_is_kept(data):
    some = batches(data, batch_size=100)
    assert some.steps_per_epoch == 1
    assert [len(batch.ids) for batch in epoch(some)] == [17]


def test_the_order_depends_on_seed_and_epoch_alone(data):
    some = batches(data)
    first = [batch.ids.tolist() for batch in epoch(some)]
    assert [batch.ids.tolist() for batch in epoch(some)] == first
    assert [batch.ids.tolist() for batch in epoch(some, number=1)] != first
    assert [batch.ids.tolist() for batch in epoch(some, seed=6)] != first


def test_workers_give_the_same_images(data):
    expected = epoch(batches(data))
    assert_same(epoch(batches(data, workers=2)), expected)
    assert_same(epoch(batches(data, workers=2, cached=False)), expected)


def test_workers_give_the_same_images_in_order(data):
    expected = list(batches(data).in_order())
    assert_same(list(batches(data, workers=2, cached=False).in_order()), expected)


def test_streamed_images_are_the_cached_ones(data):
    for number in range(3):
        expected = epoch(batches(data), number)
        assert_same(epoch(batches(data, cached=False), number), expected)


def test_some_canvases_may_be_missing(data):
    some = batches(data)
    some.canvases.rows[[2, 3, 11]] = -1
    assert_same(epoch(some), epoch(batches(data)))


@pytest.mark.parametrize("skip", [0, 1, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_skipping_goes_on_exactly_where_it_stopped(data, skip, workers):
    expected = epoch(batches(data), number=2)[skip:]
    assert_same(epoch(batches(data, workers=workers), number=2, skip=skip), expected)


def test_skipping_all_gives_nothing(data):
    assert epoch(batches(data), skip=4) == []


def test_an_image_is_changed_alike_in_batches_of_any_size(data):
    def by_image(size):
        found = epoch(batches(data, batch_size=size))
        return {
            int(i): image
            for batch in found
            for i, image in zip(batch.ids, batch.images, strict=True)
        }

    small, large = by_image(3), by_image(17)
    assert len(small) == 15
    assert len(large) == 17
    for index, image in small.items():
        assert torch.equal(image, large[index])


def test_an_image_is_changed_differently_in_every_epoch(data):
    some = batches(data, batch_size=17)

    def sorted_images(number):
        (batch,) = epoch(some, number)
        return batch.images[np.argsort(batch.ids)]

    first, second = sorted_images(0), sorted_images(1)
    changed = (first != second).flatten(1).any(dim=1)
    assert changed.all()


def test_without_augmentation_a_canvas_of_the_inputs_size_stays_as_it_is(dataset):
    data = dataset([0, 1] * 4, size=(7, 6))
    preprocess = PREPROCESS.model_copy(update={"resize": 6})
    some = Batches(data, preprocess, np.arange(8), Canvases.from_images({}, 8), 8, CPU)
    (batch,) = epoch(some, augment=Augment())
    expected = preprocess.normalise(data.source.images[batch.ids])
    assert torch.equal(batch.images, expected)


def test_a_caller_may_stop_in_the_middle_of_an_epoch(data):
    found = batches(data, workers=2).shuffled(5, 0, EVERYTHING, BASIS)
    first = next(found)
    found.close()
    assert_same([first], epoch(batches(data))[:1])


def test_gathered_canvases_equal_those_cropped_one_by_one(data):
    flips = Augment(flip=True, pad=0)
    indices = np.arange(len(data))
    whole = {i: PREPROCESS.centre(PREPROCESS.canvas(data.image(i, 3))) for i in indices.tolist()}
    gather = Batches(data, PREPROCESS, indices, Canvases.from_images(whole, len(data)), 4, CPU)
    images = tuple(whole.values())
    one_by_one = Batches(data, PREPROCESS, indices, Canvases(indices, images), 4, CPU)
    assert one_by_one.canvases.gather(indices) is None
    assert_same(epoch(gather, augment=flips), epoch(one_by_one, augment=flips))
    assert_same(list(gather.in_order()), list(one_by_one.in_order()))
    for index, image in whole.items():
        np.testing.assert_array_equal(gather.canvases.get(index), image)
