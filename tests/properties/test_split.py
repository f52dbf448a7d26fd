"""Splits of any data: disjoint, in proportion, the same for the same seed."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from convscope.base.errors import DataError
from convscope.data.dataset import ArraySource, Dataset
from convscope.data.split import (
    assign_splits,
    read_split_table,
    split_table,
    stratified_sample,
    stratified_subset,
)

CHECKED = settings(max_examples=100, deadline=None, derandomize=True, database=None)
SIZES = st.lists(st.integers(1, 40), min_size=2, max_size=6)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


def labels_of(sizes, seed=0):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).permutation(labels)


def dataset_of(labels, class_names=None, paths=None):
    count = len(labels)
    names = class_names or tuple(f"class {i}" for i in range(int(labels.max()) + 1))
    source = ArraySource(np.zeros((count, 1, 1, 1), np.uint8))
    paths = paths or tuple(f"{i}.png" for i in range(count))
    return Dataset("some", names, paths, labels, np.full(count, "", "<U5"), source, 1)


@CHECKED
@given(sizes=SIZES, share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_held_out_images(sizes, share, seed):
    labels = labels_of(sizes, seed)
    pool = np.random.default_rng(seed).random(len(labels)) < 0.8
    count = round(share * pool.sum())
    chosen = stratified_sample(labels, pool, count, np.random.default_rng(seed))
    again = stratified_sample(labels, pool, count, np.random.default_rng(seed))
    np.testing.assert_array_equal(chosen, again)
    assert pool[chosen].all()
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) <= count
    for label in range(len(sizes)):
        size, taken = (labels[pool] == label).sum(), (labels[chosen] == label).sum()
        assert taken <= max(0, size - 1)
        assert abs(taken - size * share) < 2 or taken == size - 1


@CHECKED
@given(sizes=SIZES, seed=st.integers(0, 1000), val=st.floats(0.01, 0.9), test=st.floats(0, 0.9))
def test_every_image_has_one_split_and_every_class_is_trained(sizes, seed, val, test):
    dataset = dataset_of(labels_of(sizes))
    try:
        splits = assign_splits(dataset, seed, val, test)
    except DataError:
        # Every class keeps one image to train on: nothing may be left to hold out.
        assert max(sizes) <= 2 or test >= 0.5
        return
    assert set(splits.tolist()) <= {"train", "val", "test"}
    assert set(dataset.labels[splits == "train"].tolist()) == set(range(len(sizes)))
    np.testing.assert_array_equal(splits, assign_splits(dataset, seed, val, test))


@CHECKED
@given(sizes=SIZES, fraction=st.floats(0.001, 1), seed=st.integers(0, 1000))
def test_thinned_training_images(sizes, fraction, seed):
    labels = labels_of(sizes, seed)
    train = np.flatnonzero(np.arange(len(labels)) % 3 > 0)
    assume(len(train) > 0)
    kept = stratified_subset(labels, train, fraction, seed)
    assert set(kept.tolist()) <= set(train.tolist())
    assert (np.diff(kept) > 0).all()
    assert set(labels[kept].tolist()) == set(labels[train].tolist())
    assert len(kept) <= max(1, round(fraction * len(train))) + len(sizes)


@CHECKED
@given(
    paths=st.lists(NAMES, min_size=2, max_size=12, unique=True),
    classes=st.lists(NAMES, min_size=2, max_size=2, unique=True),
)
def test_tables_hold_any_names(paths, classes):
    labels = np.arange(len(paths)) % 2
    dataset = dataset_of(labels, tuple(classes), tuple(paths))
    splits = np.array(["train", "val", "test"] * 4)[: len(paths)]
    table = split_table(dataset, splits, ["0" * 64] * len(paths))
    found = read_split_table(table.encode(), "split.csv")
    assert [found[path].split for path in paths] == splits.tolist()
    assert [found[path].label for path in paths] == [classes[label] for label in labels]
