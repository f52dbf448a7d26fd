"""The checks of a data set, and their cache."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from convscope.base.errors import UnreadableImageError
from convscope.data.check import check, imbalance
from convscope.data.dataset import FileSource
from convscope.data.folder import read_folder
from convscope.data.image_facts import cache_file, collect_image_facts


def checked(root):
    return check(read_folder(root, "pets"))


@pytest.fixture
def pets(image_files):
    files = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(12)]
    return image_files(*files)


@pytest.fixture
def reads(monkeypatch):
    """The paths read, in a list."""
    read, content = [], FileSource.content

    def counted(self, index):
        read.append(self.paths[index])
        return content(self, index)

    monkeypatch.setattr(FileSource, "content", counted)
    return read


def test_counts_by_class_and_split_sum_to_all_images(pets):
    found = checked(pets)
    counts = found.counts()
    assert counts.sum() == 24
    assert counts.sum(axis=1).tolist() == [12, 12]
    assert found.drawn == ("train", "val", "test")
    result = found.as_json()
    assert sum(result["splits"].values()) == 24
    assert [entry["name"] for entry in result["classes"]] == ["cat", "dog"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_splits_of_the_data_are_kept_and_not_called_drawn(image_files):
    root = image_files(*(f"{s}/{c}/{i}.png" for s in ("train", "val") for c in "ab" for i in "12"))
    found = checked(root)
    assert found.drawn == ()
    assert found.splits.tolist() == ["train"] * 4 + ["val"] * 4


def test_unreadable_files_are_listed_with_class_and_reason(pets):
    (pets / "cat" / "3.png").write_bytes(b"")
    (pets / "dog" / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    (pets / "dog" / "5.png").write_bytes((pets / "dog" / "6.png").read_bytes()[:70])
    found = checked(pets).as_json()
    bad = {entry["path"]: entry for entry in found["bad_files"]}
    assert list(bad) == ["cat/3.png", "dog/4.png", "dog/5.png"]
    assert bad["cat/3.png"]["reason"] == "the file is empty"
    assert all(entry["reason"] and entry["split"] for entry in bad.values())
    assert [entry["bad"] for entry in found["classes"]] == [1, 2]


def test_a_data_set_without_a_readable_image_is_checked_too(image_files):
    root = image_files("a/1.png", "a/2.png", "b/1.png", "b/2.png")
    for file in root.rglob("*.png"):
        file.write_bytes(b"no")
    found = checked(root).as_json()
    assert len(found["bad_files"]) == 4
    assert (found["sizes"], found["cropped"], found["duplicates"]) == (None, None, [])


def test_splits_that_cannot_be_drawn_are_a_problem_and_no_end(image_files):
    found = checked(image_files("a/1.png", "b/1.png"))
    assert set(found.splits.tolist()) == {"none"}
    assert "too few images to hold any out" in found.problems[0]
    assert found.as_json()["imbalance"] is None


def test_a_single_class_is_remarked_on(image_files):
    found = checked(image_files(*(f"all/{i}.png" for i in range(9))))
    assert any("only one class, all" in remark for remark in found.remarks())


def test_equal_images_across_splits_and_under_two_classes(image_files):
    root = image_files(*(f"{s}/{c}/{i}.png" for s in ("train", "test", "val") for c in "ab"
                         for i in "123"))  # fmt: skip
    same = (root / "train" / "a" / "1.png").read_bytes()
    (root / "test" / "b" / "other.png").write_bytes(same)
    twin = (root / "train" / "b" / "2.png").read_bytes()
    (root / "train" / "b" / "copy.png").write_bytes(twin)
    groups = checked(root).as_json()["duplicates"]
    leak = next(group for group in groups if group["across_splits"])
    assert [file["path"] for file in leak["files"]] == ["train/a/1.png", "test/b/other.png"]
    assert leak["same_class"] is False
    (other,) = [group for group in groups if not group["across_splits"]]
    assert other["same_class"] is True
    assert any("in different classes" in remark for remark in checked(root).remarks())


def test_the_share_lost_to_cropping_is_what_lies_outside_the_central_square(image_files):
    root = image_files("a/1.png", "a/2.png", "b/1.png", "b/2.png")  # 6 rows, 8 columns
    Image.fromarray(np.zeros((10, 40, 3), np.uint8)).save(root / "b" / "wide.png")
    found = checked(root)
    shares = found.cropped()
    assert shares.tolist() == pytest.approx([0.25] * 4 + [0.75])
    result = found.as_json()["cropped"]
    assert result == {"mean": 0.35, "worst": 0.75, "worst_file": "b/wide.png"}
    assert any("data.fit=pad" in remark for remark in found.remarks())


def test_imbalance_names_both_ends_and_what_always_answering_one_gives(image_files):
    files = [f"train/{c}/{i}.png" for c, n in (("a", 30), ("b", 2), ("c", 8)) for i in range(n)]
    found = checked(image_files(*files, "val/a/1.png", "test/b/1.png"))
    assert imbalance(found) == {
        "largest": {"class": "a", "images": 30},
        "smallest": {"class": "b", "images": 2},
        "ratio": 15.0,
        "share": 0.75,
    }
    assert any("--class-weights" in remark for remark in found.remarks())


def test_numbers_case_variants_and_single_images_are_remarked_on(image_files):
    files = ["2/1.png", "10/1.png", *(f"{c}/{i}.png" for c in ("A", "a") for i in range(9))]
    remarks = " | ".join(checked(image_files(*files)).remarks())
    assert "index 0 is 10, 1 is 2" in remarks
    assert "'A' and 'a' are separate classes" in remarks
    assert (
        "classes with one image, which cannot be used for both training and test: 10, 2" in remarks
    )


def test_modes_and_sizes_are_those_of_the_files(image_files):
    root = image_files("a/1.png", "a/2.png", "b/1.png")
    Image.fromarray(np.zeros((30, 20), np.uint8), "L").save(root / "b" / "grey.jpg")
    result = checked(root).as_json()
    assert result["modes"] == {"PNG RGB": 3, "JPEG L": 1}
    assert result["sizes"]["height"] == {"min": 6, "median": 6, "max": 30}
    assert any("mixed modes (L, RGB)" in remark for remark in result["remarks"])


def test_an_unchanged_folder_is_not_read_again(pets, reads):
    first = checked(pets)
    assert len(reads) == 24
    reads.clear()
    second = checked(pets)
    assert reads == []
    assert second.facts.num_cached == 24
    assert second.as_json() == first.as_json()


def test_a_changed_a_new_and_a_bad_file_are_read_again(pets, reads):
    (pets / "cat" / "1.png").write_bytes(b"bad")
    checked(pets)
    reads.clear()
    changed = pets / "dog" / "2.png"
    before = changed.stat()
    changed.write_bytes(changed.read_bytes())
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    (pets / "dog" / "new.png").write_bytes(changed.read_bytes())
    found = checked(pets)
    assert sorted(reads) == ["cat/1.png", "dog/2.png", "dog/new.png"]
    assert len(found.duplicates) == 1


@pytest.mark.parametrize("content", [b"", b"nonsense", None], ids=["empty", "foreign", "cut"])
def test_a_damaged_cache_is_as_good_as_none(pets, reads, content):
    data = read_folder(pets, "pets")
    first = check(data)
    memory = cache_file(data)
    memory.write_bytes(memory.read_bytes()[:400] if content is None else content)
    reads.clear()
    assert check(data).as_json() == first.as_json()
    assert len(reads) == 24


def test_nothing_is_written_into_the_data_folder(pets):
    before = sorted(pets.rglob("*"))
    checked(pets)
    assert sorted(pets.rglob("*")) == before


def test_an_interruption_leaves_no_half_cache(pets, monkeypatch):
    data = read_folder(pets, "pets")

    def stopped(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_image_facts(data, stopped)
    assert not cache_file(data).exists()
    assert not list(cache_file(data).parent.parent.rglob("*.tmp"))


def test_a_cache_that_cannot_be_written_does_not_stop_the_check(pets, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "file"))
    assert checked(pets).facts.readable.all()


def test_arrays_are_checked_and_not_remembered(dataset):
    data = dataset([0, 1] * 10)
    found = check(data)
    assert cache_file(data) is None
    assert found.facts.sizes.tolist() == [[10, 12]] * 20
    assert found.as_json()["modes"] == {"array RGB": 20}


def test_progress_ends_with_all(pets):
    told = []
    collect_image_facts(read_folder(pets, "pets"), lambda done, total: told.append((done, total)))
    assert told[0] == (0, 24)
    assert told[-1] == (24, 24)


def test_a_file_that_is_gone_is_unreadable(pets):
    data = read_folder(pets, "pets")
    (pets / "cat" / "1.png").unlink()
    with pytest.raises(UnreadableImageError):
        data.image(1, 3)
    assert list(check(data).bad) == [1]
