"""CSV manifests: their content, and errors with the line number."""

import numpy as np
import pytest

from convscope.base.errors import DataError
from convscope.data.catalog import open_dataset
from convscope.data.split import assign_splits, split_table
from convscope.images.files import SUFFIXES


@pytest.fixture
def opened(image_files):
    """A function: the data set of a table of this text, beside cat/1..3.png and dog/1..3.png."""
    root = image_files(*(f"{name}/{i}.png" for name in ("cat", "dog") for i in (1, 2, 3)))

    def read(text, name="labels.csv", encoding="utf-8"):
        (root / name).write_bytes(text.encode(encoding))
        return open_dataset(str(root / name))

    return read


def refusal(opened, text, **options):
    with pytest.raises(DataError) as caught:
        opened(text, **options)
    assert "labels.csv" in str(caught.value)
    return str(caught.value)


def test_paths_labels_and_splits_are_read(opened):
    dataset = opened(
        "split,path,label,note\ntrain,dog/1.png,dog,x\nval,cat/1.png,cat,\n"
        ",cat/2.png,cat,\nTEST,dog/2.png,dog,\nvalidation,dog/3.png,dog,\n"
    )
    assert dataset.name == "labels"
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [1, 0, 0, 1, 1]
    assert dataset.splits.tolist() == ["train", "val", "", "test", "val"]
    assert dataset.paths == ("dog/1.png", "cat/1.png", "cat/2.png", "dog/2.png", "dog/3.png")
    assert dataset.image(0, 3).shape == (6, 8, 3)
    assert dataset.ignored == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t", ", "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_marks_and_line_ends(opened, delimiter, encoding, end):
    lines = ["path,label", "cat/1.png,cat", "", "dog/1.png,dog"]
    text = end.join(line.replace(",", delimiter) for line in lines)
    assert opened(text, encoding=encoding).class_names == ("cat", "dog")


def test_the_delimiter_is_the_headers_not_the_labels(opened):
    dataset = opened("path;label\ncat/1.png;cat, tabby\ncat/2.png;cat, white\n")
    assert dataset.class_names == ("cat, tabby", "cat, white")


def test_labels_are_names_sorted_by_code_point(opened):
    dataset = opened("path,label\ncat/1.png,10\ncat/2.png,2\ncat/3.png,Z\ndog/1.png,a\n")
    assert dataset.class_names == ("10", "2", "Z", "a")


def test_labels_that_look_the_same_are_the_same(opened):
    dataset = opened("path,label\ncat/1.png,caf\u00e9\ncat/2.png, cafe\u0301 \ncat/3.png,tea\n")
    assert dataset.class_names == ("caf\u00e9", "tea")
    assert dataset.labels.tolist() == [0, 0, 1]


def test_absolute_paths_are_read(opened, tmp_path):
    path = tmp_path / "data" / "cat" / "1.png"
    dataset = opened(f"path,label\n{path},cat\ndog/1.png,dog\n")
    assert dataset.paths == (str(path), "dog/1.png")
    assert dataset.image(0, 1).shape == (6, 8, 1)


def test_the_split_table_of_a_run_is_a_manifest(opened, image_files, tmp_path):
    folder = open_dataset(str(tmp_path / "data"))
    splits = assign_splits(folder, 0, 0.2, 0.2).astype(object)
    splits[0] = "skipped"
    table = opened(split_table(folder, splits, ["0" * 64] * len(folder)))
    assert table.paths == folder.paths[1:]
    assert table.labels.tolist() == folder.labels[1:].tolist()
    assert table.splits.tolist() == splits[1:].tolist()
    assert table.ignored == 1


def test_every_wrong_row_is_listed_with_its_line(opened, tmp_path):
    (tmp_path / "data" / "notes.txt").write_text("x")
    message = refusal(
        opened,
        'path,label,split\ncat/1.png,cat,\n,cat,\ncat/2.png,,\n"cat/3.png","ca\nt",\n'
        "cat/9.png,cat,\n./cat/1.png,cat,\ndog/1.png,dog,holdout\nnotes.txt,dog,\ncat,dog,\n",
    )
    lines = message.splitlines()
    assert lines[0].endswith("labels.csv: 8 of 9 rows cannot be used:")
    assert lines[1:] == [
        "  line 3: no path",
        "  line 4: no label for cat/2.png",
        "  line 5: control characters in 'cat/3.png' or 'ca\\nt'",
        "  line 7: cat/9.png does not exist",
        "  line 8: ./cat/1.png is on line 2 already",
        "  line 9: unknown split 'holdout' (train, val, test or empty)",
        f"  line 10: notes.txt does not have the ending of an image ({', '.join(SUFFIXES)})",
        "  line 11: cat is not a file",
        "correct or remove them",
    ]


def test_missing_columns_are_named_beside_those_there(opened):
    message = refusal(opened, "file,class\ncat/1.png,cat\n")
    assert "no column path and no column label: it has file, class" in message
    assert "it is empty" in refusal(opened, "")
    assert "column path twice" in refusal(opened, "path,path,label\na,b,c\n")


def test_rows_that_do_not_fit_the_header_are_listed(opened):
    message = refusal(opened, "path,label\ncat/1.png,cat,tabby\ncat/2.png\ncat/3.png,cat\n")
    assert "line 2: 3 fields, the header has 2\n  line 3: 1 fields" in message


def test_files_that_are_not_tables_are_refused(opened):
    assert "lists no images" in refusal(opened, "path,label\n")
    assert "line 3: not UTF-8" in refusal(
        opened, "path,label\ncat/1.png,cat\ncat/2.png,caf\u00e9\n", encoding="latin-1"
    )
    assert "line 2: " in refusal(opened, 'path,label\n"cat/1.png,cat\ncat/2.png,cat\n')


def test_a_class_that_is_only_tested_is_refused(opened):
    message = refusal(
        opened, "path,label,split\ncat/1.png,cat,train\ncat/2.png,cat,val\ndog/1.png,dog,test\n"
    )
    assert "classes without training images: dog" in message


def test_links_to_nothing_and_endless_names_are_not_there(opened, tmp_path):
    (tmp_path / "data" / "gone.png").symlink_to("nowhere.png")
    message = refusal(opened, f"path,label\ngone.png,a\n{'x' * 5000}.png,b\ncat/1.png,a\n")
    assert "line 2: gone.png does not exist" in message
    assert "line 3: " in message


def test_a_large_table_is_read(opened, tmp_path):
    paths = [f"many/{i}.png" for i in range(2000)]
    (tmp_path / "data" / "many").mkdir()
    for path in paths:
        (tmp_path / "data" / path).touch()
    dataset = opened("path,label\n" + "".join(f"{p},{i % 7}\n" for i, p in enumerate(paths)))
    assert np.bincount(dataset.labels).tolist() == [286] * 5 + [285] * 2
