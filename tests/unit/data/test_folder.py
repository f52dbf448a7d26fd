"""Class folders, with and without split folders above them."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.base.errors import DataError, UnreadableImageError
from convscope.data.check import check
from convscope.data.folder import SPLIT_FOLDERS, read_folder


def refusal(root):
    with pytest.raises(DataError) as caught:
        read_folder(root, "pets")
    return str(caught.value)


def test_class_folders(image_files):
    root = image_files("dog/1.png", "cat/2.png", "cat/1.png", "cat/more/0.png")
    dataset = read_folder(root, "pets")
    assert dataset.name == "pets"
    assert dataset.class_names == ("cat", "dog")
    assert dataset.paths == ("cat/1.png", "cat/2.png", "cat/more/0.png", "dog/1.png")
    assert dataset.labels.tolist() == [0, 0, 0, 1]
    assert dataset.splits.tolist() == [""] * 4
    assert (dataset.channels, dataset.flippable, dataset.ignored) == (3, True, 0)
    assert dataset.image(0, 3).shape == (6, 8, 3)


def test_split_folders(image_files):
    root = image_files(
        "test/dog/1.png", "train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "train/dog/2.png"
    )
    dataset = read_folder(root, "pets")
    assert dataset.class_names == ("cat", "dog")
    found = dict(zip(dataset.paths, dataset.splits.tolist(), strict=True))
    assert found == {path: path.split("/")[0] for path in dataset.paths}
    assert len(found) == 5
    labels = [dataset.class_names.index(path.split("/")[1]) for path in dataset.paths]
    assert dataset.labels.tolist() == labels


@pytest.mark.parametrize("name", [*SPLIT_FOLDERS, "Validation", "TEST", "Val"])
def test_names_of_splits(image_files, name):
    meaning = SPLIT_FOLDERS[name.lower()]
    train = "train" if meaning != "train" else name
    root = image_files(f"{train}/a/1.png", f"{train}/b/1.png", f"{name}/a/2.png")
    dataset = read_folder(root, "pets")
    assert dataset.splits[dataset.paths.index(f"{name}/a/2.png")] == meaning


def test_spellings_of_validation_give_the_same_data(image_files):
    read = []
    for name in ("val", "valid", "validation"):
        root = image_files("train/a/1.png", "train/b/1.png", f"{name}/b/2.png", root=f"in-{name}")
        dataset = read_folder(root, "pets")
        read.append((dataset.splits.tolist(), dataset.labels.tolist(), dataset.class_names))
    assert read[0] == read[1] == read[2] == (["train", "train", "val"], [0, 1, 1], ("a", "b"))


def test_a_class_named_train_is_a_class(image_files):
    dataset = read_folder(image_files("train/1.png", "bus/1.png", "test/1.png"), "vehicles")
    assert dataset.class_names == ("bus", "test", "train")
    assert dataset.splits.tolist() == [""] * 3


def test_a_class_named_train_with_subfolders_and_images_is_a_class(image_files):
    dataset = read_folder(image_files("train/1.png", "train/steam/1.png", "bus/1.png"), "vehicles")
    assert dataset.class_names == ("bus", "train")
    assert dataset.labels.tolist() == [0, 1, 1]


def test_splits_without_a_training_split_are_refused(image_files):
    root = image_files("val/a/1.png", "test/a/1.png")
    message = refusal(root)
    assert f"{root} has the splits test, val but no train folder" in message
    assert f"give only one split, such as {root / 'test'}" in message


def test_hidden_files_and_folders_are_passed_over(image_files):
    root = image_files(
        "cat/1.png", "dog/1.png", ".git/1.png", "cat/.thumb.png", "cat/.cache/1.png",
        "__MACOSX/cat/1.png", "dog/__MACOSX/1.png",
    )  # fmt: skip
    (root / "cat" / "Thumbs.db").write_bytes(b"")
    (root / "dog" / "desktop.ini").write_bytes(b"")
    (root / ".DS_Store").write_bytes(b"")
    dataset = read_folder(root, "pets")
    assert dataset.paths == ("cat/1.png", "dog/1.png")
    assert dataset.ignored == 0


def test_other_files_are_counted(image_files):
    root = image_files("train/cat/1.png", "train/dog/1.PNG", "val/cat/1.JPeG")
    for path in ("train/cat/notes.txt", "train/dog/labels.csv", "val/cat/1.png.bak"):
        (root / path).write_text("")
    dataset = read_folder(root, "pets")
    assert len(dataset) == 3
    assert dataset.ignored == 3


def test_images_beside_class_folders_have_no_class(image_files):
    dataset = read_folder(image_files("cat/1.png", "dog/1.png", "loose.png"), "pets")
    assert dataset.paths == ("cat/1.png", "dog/1.png")


def test_empty_classes_are_listed(image_files):
    root = image_files("cat/1.png", "dog/1.png")
    (root / "cow").mkdir()
    (root / "emu").mkdir()
    (root / "emu" / "notes.txt").write_text("")
    message = refusal(root)
    assert message.startswith(f"{root} has classes without images (endings: .jpg,")
    assert message.endswith("\n  cow\n  emu\nfill or remove these folders")


def test_an_empty_class_in_a_split_has_no_images_there(image_files):
    root = image_files("train/cat/1.png", "train/dog/1.png", "val/cat/1.png")
    (root / "val" / "dog").mkdir()
    dataset = read_folder(root, "pets")
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels[dataset.splits == "val"].tolist() == [0]


def test_one_class_can_be_evaluated_on(image_files):
    assert read_folder(image_files("cat/1.png", "cat/2.png"), "x").class_names == ("cat",)


def test_no_class_folders(image_files, tmp_path):
    root = image_files("1.png", "2.png")
    assert f"{root} has no class folders; put the images of each class" in refusal(root)
    (tmp_path / "empty").mkdir()
    assert "has no class folders" in refusal(tmp_path / "empty")


@pytest.mark.parametrize("split", ["val", "test"])
def test_unknown_classes_in_a_split(image_files, split):
    root = image_files(
        "train/cat/1.png", "train/dog/1.png", f"{split}/cow/1.png", f"{split}/ant/1.png"
    )
    message = refusal(root)
    assert f"{root / split} has classes that {root / 'train'} lacks: ant, cow;" in message


def test_a_split_may_lack_classes(image_files):
    root = image_files("train/cat/1.png", "train/dog/1.png", "val/dog/1.png")
    dataset = read_folder(root, "pets")
    assert dataset.labels[dataset.splits == "val"].tolist() == [1]


def test_splits_mixed_with_classes(image_files):
    root = image_files("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "bird/1.png")
    message = refusal(root)
    assert f"{root} mixes split folders (train, val) with other folders (bird)" in message


@pytest.mark.parametrize(
    ("one", "other"), [("val", "valid"), ("test", "testing"), ("Train", "train")]
)
def test_two_folders_for_one_split(image_files, one, other):
    root = image_files("training/a/1.png", f"{one}/a/1.png", f"{other}/a/1.png")
    message = refusal(root)
    assert "are the same split; keep one of them" in message
    assert str(root / one) in message or str(root / other) in message


def test_the_order_is_that_of_code_points_and_of_no_language(image_files):
    names = ["Zebra", "ant", "Émile", "zoo", "10", "9", "猫"]
    root = image_files(*(f"{name}/{file}.png" for name in names for file in ("b", "B", "ä", "10")))
    dataset = read_folder(root, "x")
    assert dataset.class_names == ("10", "9", "Zebra", "ant", "zoo", "Émile", "猫")
    assert dataset.paths[:4] == ("10/10.png", "10/B.png", "10/b.png", "10/ä.png")


def test_the_order_is_not_that_of_the_file_system(image_files, monkeypatch):
    root = image_files(*(f"{name}/{file}.png" for name in "cab" for file in "312"))
    expected = read_folder(root, "x").paths
    listed, walk = Path.iterdir, os.walk

    def backwards(*arguments):
        for where, folders, files in walk(*arguments):
            files.reverse()
            yield where, folders, files

    monkeypatch.setattr(Path, "iterdir", lambda self: iter(sorted(listed(self), reverse=True)))
    monkeypatch.setattr(os, "walk", backwards)
    assert read_folder(root, "x").paths == expected == tuple(sorted(expected))


def test_symbolic_links_to_classes_and_images(image_files, tmp_path):
    elsewhere = image_files("cats/1.png", "2.png", root="elsewhere")
    root = image_files("dog/1.png")
    (root / "cat").symlink_to(elsewhere / "cats")
    (root / "dog" / "2.png").symlink_to(elsewhere / "2.png")
    dataset = read_folder(root, "pets")
    assert dataset.paths == ("cat/1.png", "dog/1.png", "dog/2.png")
    assert all(dataset.image(i, 3).shape == (6, 8, 3) for i in range(3))


def test_pipes_are_passed_over_and_broken_links_are_not(image_files):
    import os

    root = image_files("cat/1.png", "dog/1.png")
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "dog" / "link.png").symlink_to(root / "gone.png")
    assert read_folder(root, "x").paths == ("cat/1.png", "dog/1.png", "dog/link.png")


def test_a_link_back_into_the_data_is_refused(image_files):
    root = image_files("cat/1.png", "dog/1.png")
    (root / "loop").symlink_to(root)
    assert "is a link that leads back to" in refusal(root)


NFC, NFD = "\u00e9clair", "e\u0301clair"
# What stands in the folders, {path: true class}; what the refusal names, or None if it is read.
TWO = {"train/cat/1.png": "cat", "train/dog/1.png": "dog"}
ODD_SPLITS = {
    "val lacks the first class": (TWO | {"val/dog/1.png": "dog"}, None),
    "val lacks a class in the middle": (
        {f"train/{c}/1.png": c for c in "abc"} | {"val/a/1.png": "a", "val/c/1.png": "c"}, None,
    ),
    "val and test lack different classes": (
        {f"train/{c}/1.png": c for c in "abc"}
        | {"val/b/1.png": "b", "test/c/1.png": "c", "test/a/1.png": "a"}, None,
    ),
    "an extra class that sorts first": (TWO | {"val/ant/1.png": "ant"}, ["ant"]),
    "an extra class in test": (TWO | {"test/cat/1.png": "cat", "test/eel/1.png": "eel"}, ["eel"]),
    "a renamed class": (TWO | {"val/cats/1.png": "cat", "val/dog/1.png": "dog"},
                        ["'cats': did you mean 'cat'?"]),
    "a hidden class": (TWO | {"val/.cat/1.png": "cat", "val/dog/1.png": "dog"}, None),
    "an empty class in val": (TWO | {"val/cat/": "", "val/dog/1.png": "dog"}, None),
    "an empty class in train": (
        {"train/ant/": "", **TWO, "val/dog/1.png": "dog"}, ["without images", "ant"],
    ),
    "an empty extra class": (TWO | {"val/ant/": "", "val/dog/1.png": "dog"}, ["ant"]),
    "another case": (TWO | {"val/Cat/1.png": "cat", "val/dog/1.png": "dog"},
                     ["'Cat': did you mean 'cat'?"]),
    "both cases in train": (
        {"train/A/1.png": "A", "train/a/1.png": "a", "val/a/1.png": "a", "test/A/1.png": "A"},
        None,
    ),
    "a composed and a decomposed accent": (
        {f"train/{NFC}/1.png": NFC, "train/zoo/1.png": "zoo", f"val/{NFD}/1.png": NFC}, None,
    ),
    "both accents in one split": (
        {f"train/{NFC}/1.png": NFC, f"train/{NFD}/2.png": NFC, "train/zoo/1.png": "zoo"},
        ["two folders named", "'\\xe9clair'", "'e\\u0301clair'"],
    ),
    "a letter of another alphabet": (
        TWO | {"val/c\u0430t/1.png": "cat", "val/dog/1.png": "dog"},
        ["did you mean 'cat'? (U+0430 is not U+0061)"],
    ),
    "a blank after the name": (TWO | {"val/cat /1.png": "cat"}, ["'cat ': did you mean 'cat'?"]),
    "10 before 2": (
        {f"train/{c}/1.png": c for c in ("2", "10", "1")}
        | {"val/2/1.png": "2", "val/10/1.png": "10", "test/2/1.png": "2"}, None,
    ),
    "2 and 02": ({"train/2/1.png": "2", "train/3/1.png": "3", "val/02/1.png": "2"}, ["02"]),
    "train missing": ({"val/cat/1.png": "cat", "test/dog/1.png": "dog"}, ["no train folder"]),
    "train forgotten beside class folders": (
        {"cat/1.png": "cat", "dog/1.png": "dog", "test/cat/1.png": "cat"},
        ["the splits test beside class folders (cat, dog)"],
    ),
    "an image beside the classes of train": (
        TWO | {"train/loose.png": "cat", "val/cat/1.png": "cat"},
        ["has images beside its class folders"],
    ),
    "validation in two folders": (
        TWO | {"val/cat/1.png": "cat", "valid/dog/1.png": "dog"}, ["are the same split"],
    ),
    "capitals and sorting by a language": (
        {f"train/{c}/1.png": c for c in ("b", "A", "\u00e4", "Z")}
        | {"val/\u00e4/1.png": "\u00e4", "val/b/1.png": "b", "val/Z/1.png": "Z"}, None,
    ),
    "a class one folder too deep": (
        TWO | {"val/val/cat/1.png": "cat", "val/val/dog/1.png": "dog"}, ["val"],
    ),
}  # fmt: skip


def colour_of(name):
    return tuple(unicodedata.normalize("NFC", name).encode()[:3].ljust(3, b"~"))


@pytest.mark.parametrize("odd", ODD_SPLITS)
def test_an_odd_split_is_right_by_name_or_refused_with_the_difference(odd, tmp_path):
    """No label is ever shifted: the colour of an image says which class it was put in."""
    files, refused = ODD_SPLITS[odd]
    assert len(ODD_SPLITS) >= 20
    for path, name in files.items():
        file = tmp_path / "data" / path
        (file if not name else file.parent).mkdir(parents=True, exist_ok=True)
        if name:
            Image.new("RGB", (4, 4), colour_of(name)).save(file)
    root = tmp_path / "data"
    if refused is not None:
        message = refusal(root)
        assert all(part in message for part in refused), message
        return
    dataset = read_folder(root, "odd")
    visible = {path: name for path, name in files.items() if name and "/." not in path}
    assert len(dataset) == len(visible)
    shifted = [
        path
        for i, path in enumerate(dataset.paths)
        if colour_of(dataset.class_names[dataset.labels[i]])
        != tuple(np.asarray(dataset.image(i, 3))[0, 0].tolist())
    ]
    assert shifted == []
    assert set(dataset.class_names) == {unicodedata.normalize("NFC", n) for n in visible.values()}


@pytest.mark.parametrize("stray", ["preview.png", "sub.JPG"])
def test_a_stray_image_makes_no_class_of_a_split(image_files, stray):
    root = image_files(*(f"{s}/{c}/1.png" for s in ("train", "val") for c in ("cat", "dog")))
    for split in ("train", "val"):
        (root / split / stray).write_bytes(b"x")
    with pytest.raises(DataError, match="has the name of a split and contains folders and images"):
        read_folder(root, "pets")


def test_hidden_files_beside_class_folders_are_passed_over(image_files):
    root = image_files(*(f"{s}/{c}/1.png" for s in ("train", "val") for c in ("cat", "dog")))
    (root / "train" / "._1.jpg").write_bytes(b"x")
    assert read_folder(root, "pets").class_names == ("cat", "dog")


@pytest.mark.parametrize("name", ["a\nb.png", "\x1b[2J.png", "\udcff.png", "deep\n/1.png"])
def test_a_file_that_cannot_be_named_is_a_bad_file(image_files, name):
    root = image_files("cat/1.png", "dog/1.png", f"cat/{name}")
    dataset = read_folder(root, "data")
    shown = next(path for path in dataset.paths if "\\" in path)
    assert shown.isprintable()
    assert shown.encode()
    index = dataset.paths.index(shown)
    with pytest.raises(UnreadableImageError, match="in the name; rename it"):
        dataset.image(index, 3)
    found = check(dataset)
    assert list(found.bad) == [index]
    assert "rename it" in found.bad[index]
    kept = dataset.subset(np.flatnonzero(np.arange(len(dataset)) != index))
    assert all(kept.image(i, 3).size for i in range(len(kept)))


def test_a_class_that_cannot_be_named_is_refused(image_files):
    with pytest.raises(DataError, match=r"cat\\n2': control characters .* rename it"):
        read_folder(image_files("cat\n2/1.png", "dog/1.png"), "data")
