"""Class folders, with and without split folders above them."""

import os
from pathlib import Path

import pytest

from convscope.base.errors import DataError
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
    assert (dataset.channels, dataset.mirrored, dataset.ignored) == (3, True, 0)
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


def test_without_a_training_split_there_are_only_classes(image_files):
    dataset = read_folder(image_files("val/a/1.png", "test/a/1.png"), "pets")
    assert dataset.class_names == ("test", "val")


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


def test_an_empty_class_in_a_split(image_files):
    root = image_files("train/cat/1.png", "train/dog/1.png", "val/cat/1.png")
    (root / "val" / "dog").mkdir()
    assert refusal(root).startswith(f"{root / 'val'} has classes without images")


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
    assert f"{root / split} has classes that {root / 'train'} has not: ant, cow;" in message


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
def test_two_folders_that_mean_one_split(image_files, one, other):
    root = image_files("training/a/1.png", f"{one}/a/1.png", f"{other}/a/1.png")
    message = refusal(root)
    assert "mean the same split; keep one of them" in message
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
