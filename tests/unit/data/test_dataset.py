"""Data sets: images by index, and classes matched by name."""

import numpy as np
import pytest

from convscope.base.errors import DataError, UnreadableImageError
from convscope.data.dataset import ArraySource, FileSource


def test_classes_are_matched_by_name(dataset):
    data = dataset([0, 1, 2, 0])
    aligned = data.aligned_to(["x", "c", "a", "b"])
    assert aligned.class_names == ("x", "c", "a", "b")
    assert aligned.labels.tolist() == [2, 3, 1, 2]
    before = [data.class_names[label] for label in data.labels]
    assert [aligned.class_names[label] for label in aligned.labels] == before
    assert (aligned.paths, aligned.source, aligned.name) == (data.paths, data.source, data.name)


def test_unknown_classes_are_listed(dataset):
    with pytest.raises(DataError, match="some has classes that the model does not know: b, c;"):
        dataset([0, 1, 2]).aligned_to(["a", "x"])


def test_images_of_an_array(dataset):
    data = dataset([0, 1], channels=1)
    assert len(data) == 2
    assert data.image(1, 1).shape == (10, 12, 1)
    np.testing.assert_array_equal(data.image(1, 3)[..., 2], data.source.images[1, ..., 0])
    assert data.source.content(1) == data.source.images[1].tobytes()


def test_the_content_of_an_array_does_not_depend_on_its_layout():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    turned = np.asfortranarray(images)
    assert ArraySource(turned).content(1) == ArraySource(images).content(1)


def test_images_of_files(image_files):
    root = image_files("a/1.png", "b/1.png")
    source = FileSource(root, ("a/1.png", "b/1.png"))
    content = source.content(1)
    assert content == (root / "b/1.png").read_bytes()
    assert source.decode(content, 1, 3).shape == (6, 8, 3)


def test_files_that_cannot_be_read_are_named(tmp_path):
    source = FileSource(tmp_path, ("a/1.png",))
    with pytest.raises(UnreadableImageError, match=rf"^{tmp_path}/a/1\.png: No such file"):
        source.content(0)
    with pytest.raises(UnreadableImageError, match=rf"^{tmp_path}/a/1\.png: not an image"):
        source.decode(b"text", 0, 3)
