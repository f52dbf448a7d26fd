"""Stratified, seeded splits, and the table that records them."""

import csv
import io

import numpy as np
import pytest

from convscope.base.errors import DataError
from convscope.data.split import (
    COLUMNS,
    MAX_VALIDATION,
    assign_splits,
    differences,
    read_split_table,
    split_table,
    stratified_sample,
    stratified_subset,
)


def counts(dataset, splits, name):
    return np.bincount(dataset.labels[splits == name], minlength=len(dataset.class_names)).tolist()


def test_defaults_are_stratified(dataset):
    data = dataset([0] * 200 + [1] * 100 + [2] * 40)
    splits = assign_splits(data, 0, None, None)
    assert counts(data, splits, "test") == [30, 15, 6]
    assert counts(data, splits, "val") == [17, 8, 3]
    assert sum(counts(data, splits, "train")) == 340 - 51 - 28


def test_given_shares(dataset):
    data = dataset([0, 1] * 100)
    splits = assign_splits(data, 0, val=0.25, test=0.2)
    assert counts(data, splits, "test") == [20, 20]
    assert counts(data, splits, "val") == [20, 20]
    assert "test" not in assign_splits(data, 0, val=0.25, test=0.0)


def test_validation_has_a_default_limit(dataset):
    data = dataset([0, 1] * 40_000, size=(1, 1), channels=1)
    splits = assign_splits(data, 0, None, None)
    assert (splits == "val").sum() == MAX_VALIDATION
    assert (assign_splits(data, 0, 0.5, None) == "val").sum() == 34_000


def test_the_seed_decides(dataset):
    data = dataset([0, 1, 2] * 50)
    first, again, other = (assign_splits(data, seed, None, None) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_data_is_not_changed(dataset):
    data = dataset([0, 1] * 20)
    assign_splits(data, 0, None, None)
    assert set(data.splits.tolist()) == {""}


def test_all_given_splits_are_kept(dataset):
    given = ["train", "train", "val", "test"] * 5
    data = dataset([0, 1, 0, 1] * 5, splits=given)
    assert assign_splits(data, 0, 0.5, 0.5).tolist() == given


def test_given_train_and_test_hold_out_only_validation(dataset):
    data = dataset([0, 1] * 50, splits=["train"] * 80 + ["test"] * 20)
    splits = assign_splits(data, 0, None, None)
    assert (splits[80:] == "test").all()
    assert counts(data, splits, "val") == [4, 4]


def test_given_train_and_val_have_no_test_unless_a_share_is_given(dataset):
    data = dataset([0, 1] * 50, splits=["train"] * 80 + ["val"] * 20)
    splits = assign_splits(data, 0, None, None)
    assert (splits == data.splits).all()
    asked = assign_splits(data, 0, None, 0.1)
    assert (asked[80:] == "val").all()
    assert counts(data, asked, "test") == [5, 5]


def test_validation_is_never_empty(dataset):
    data = dataset([0, 0, 1, 1])
    assert (assign_splits(data, 0, None, 0.0) == "val").sum() == 1


def test_every_class_keeps_an_image_to_train_on(dataset):
    data = dataset([0] * 30 + [1])
    splits = assign_splits(data, 0, val=0.9, test=0.9)
    assert splits[30] == "train"
    assert counts(data, splits, "train") == [1, 1]


def test_classes_without_training_images_are_named(dataset):
    data = dataset([0, 0, 1, 2], splits=["train", "train", "val", "test"])
    with pytest.raises(DataError, match="some: no training image left for b, c"):
        assign_splits(data, 0, None, None)


def test_no_training_images_at_all(dataset):
    data = dataset([0, 1], splits=["test", "test"])
    with pytest.raises(DataError, match="some: no training image left for a, b"):
        assign_splits(data, 0, None, None)


def test_held_out_in_proportion_with_the_largest_remainders():
    labels = np.repeat([0, 1, 2], [10, 10, 5])
    pool = np.ones(25, bool)
    chosen = stratified_sample(labels, pool, 6, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [3, 2, 1]  # 2.4, 2.4 and 1.2


def test_ties_are_drawn_by_the_seed_and_not_by_class_order():
    labels = np.repeat(np.arange(150), 4)
    held = np.zeros((40, 150), int)
    for seed in range(40):
        chosen = stratified_sample(labels, np.ones(600, bool), 90, np.random.default_rng(seed))
        held[seed] = np.bincount(labels[chosen], minlength=150)
    assert held.max() == 1
    assert (held.sum(1) == 90).all()
    # Each class is held out in 60 % of the draws: 24 of 40, and surely neither never nor always.
    often = held.sum(0)
    assert 8 < often.min() <= often.max() < 38


def test_test_and_validation_together_reach_nearly_every_class(dataset):
    data = dataset(np.repeat(np.arange(150), 4).tolist(), size=(1, 1), channels=1)
    without = []
    for seed in range(5):
        splits = assign_splits(data, seed, None, None)
        parts = [
            np.bincount(data.labels[splits == name], minlength=150) for name in ("val", "test")
        ]
        assert [int(part.sum()) for part in parts] == [51, 90]
        without.append(set(np.flatnonzero(sum(parts) == 0)))
    # 90 classes have one image fewer for validation, so all 51 come from the other 60.
    assert {len(classes) for classes in without} == {9}
    assert len(set.union(*without)) > 20


def test_what_a_small_class_cannot_give_others_give():
    labels = np.repeat([0, 1, 2], [1, 1, 20])
    chosen = stratified_sample(labels, np.ones(22, bool), 11, np.random.default_rng(0))
    assert np.bincount(labels[chosen], minlength=3).tolist() == [0, 0, 11]


def test_a_class_that_would_vanish_from_a_fraction_gives_any_image():
    labels = np.repeat([0, 1], [400, 5])
    kept = {
        int(index)
        for seed in range(30)
        for index in stratified_subset(labels, np.arange(405), 0.02, seed)
        if labels[index] == 1
    }
    assert len(kept) > 2


def test_thinned_keeps_each_class_in_proportion():
    labels = np.repeat([0, 1, 2], [100, 50, 3])
    train = np.arange(0, 153)
    kept = stratified_subset(labels, train, 0.1, seed=0)
    assert np.bincount(labels[kept]).tolist() == [10, 5, 1]
    np.testing.assert_array_equal(kept, stratified_subset(labels, train, 0.1, seed=0))
    assert kept.tolist() != stratified_subset(labels, train, 0.1, seed=1).tolist()
    assert stratified_subset(labels, train, 1.0, seed=0) is train


def table_of(data, splits):
    hashes = [f"{i:064x}" for i in range(len(data))]
    return split_table(data, splits, hashes)


def test_a_table_has_a_row_with_the_hash_of_every_image(dataset):
    data = dataset([0, 1, 1], splits=["train", "val", "test"])
    rows = list(csv.reader(io.StringIO(table_of(data, data.splits))))
    assert rows[0] == list(COLUMNS) == ["path", "label", "split", "sha256"]
    assert rows[1] == ["000.png", "a", "train", "0" * 64]
    assert rows[3] == ["002.png", "b", "test", "0" * 63 + "2"]


def test_a_table_gives_labels_splits_and_hashes_back(dataset):
    data = dataset([0, 1] * 10)
    splits = assign_splits(data, 3, None, None)
    found = read_split_table(table_of(data, splits).encode(), "split.csv")
    assert [found[path].split for path in data.paths] == splits.tolist()
    assert [found[path].label for path in data.paths] == ["a", "b"] * 10
    assert found[data.paths[2]].sha256 == "0" * 63 + "2"


@pytest.mark.parametrize("text", ["", "path,split\n", "a,b,c,d\n1,2,3,4\n", "\n"])
def test_content_that_is_not_a_split_table(text):
    with pytest.raises(
        DataError, match=r"split\.csv is not a table with the columns path, label, split, sha256"
    ):
        read_split_table(text.encode(), "split.csv")


def test_a_table_that_is_cut_off_or_altered(dataset):
    data = dataset([0, 1])
    text = table_of(data, np.array(["train", "val"]))
    with pytest.raises(DataError, match=r"split\.csv is not a table"):
        read_split_table(text[:-70].encode(), "split.csv")
    with pytest.raises(DataError, match="unknown splits: vam"):
        read_split_table(text.replace("val", "vam").encode(), "split.csv")


def test_too_few_images_to_hold_any_out(dataset):
    with pytest.raises(DataError, match="too few images to hold any out for validation"):
        assign_splits(dataset([0, 1]), 0, None, 0.0)


def test_differences_between_tables_are_listed_by_kind():
    before = "path,label,split,sha256\n" + "".join(f"{i}.png,cat,train,{i:064}\n" for i in range(9))
    assert differences(before, before) == []
    now = before.replace("0.png,cat,train", "0.png,dog,train").replace(
        "1.png,cat,train", "1.png,cat,val"
    )
    now = now.replace(f"2.png,cat,train,{2:064}", f"2.png,cat,train,{7:064}")
    assert differences(before, now) == [
        "1 changed in content (2.png)",
        "1 with another label (0.png: cat is now dog)",
        "1 with another split (1.png: train is now val)",
    ]
    now = now.replace(f"3.png,cat,train,{3:064}\n", "x.png,cat,train,0\n")
    told = ["1 missing (3.png)", "1 new (x.png)", "1 changed in content (2.png)"]
    assert differences(before, now) == told  # splits are drawn anew then
    assert differences(before, "path,label,split,sha256\n") == [
        "9 missing (0.png, 1.png, 2.png, ...)"
    ]
