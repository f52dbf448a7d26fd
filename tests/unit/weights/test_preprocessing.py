"""Preprocessing by name, and files of class names."""

import json

import numpy as np
import pytest
import torch

from convscope.base.errors import ConvscopeError
from convscope.nets.catalog import build_module
from convscope.weights.preprocessing import (
    PREPROCESSINGS,
    bgr_to_rgb,
    class_names_in,
    pixel_scaling,
    preprocess_of,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)


def test_imagenet_is_torchvisions():
    found = preprocess_of(pixel_scaling("imagenet"), (3, 224, 224))
    assert (found.size, found.resize, found.fit) == ((224, 224), 256, "crop")
    expected = (PIXELS[0, 7, 9] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(found.normalise(PIXELS)[0, :, 7, 9], expected, rtol=1e-5)


def test_a_turned_convolution_sees_rgb_as_caffe_sees_bgr():
    trunk = build_module("vgg-small", num_classes=None, input_shape=(3, 224, 224)).eval()
    bgr = PIXELS[..., ::-1].astype(np.float32) - np.float32([103.939, 116.779, 123.68])
    with torch.inference_mode():
        expected = trunk(torch.from_numpy(np.ascontiguousarray(bgr.transpose(0, 3, 1, 2))))
        bgr_to_rgb(trunk)
        found = trunk(preprocess_of(PREPROCESSINGS["caffe-bgr"], (3, 224, 224)).normalise(PIXELS))
    assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize(("name", "low", "high"), [("unit", 0, 1), ("minus-one-to-one", -1, 1)])
def test_ranges(name, low, high):
    found = preprocess_of(PREPROCESSINGS[name], (1, 64, 64))
    ends = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1)
    assert found.normalise(ends).flatten().tolist() == [low, high]
    assert found.resize == 64


def test_the_error_for_an_unknown_preprocessing_lists_the_known_ones():
    with pytest.raises(ConvscopeError, match="imagenet, caffe-bgr, minus-one-to-one, unit"):
        pixel_scaling("caffe")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a\nb c\n", ("a", "b c")),
        ('["a", "b c"]', ("a", "b c")),
        (json.dumps({"0": ["n1", "tench"], "1": ["n2", "hen"]}), ("tench", "hen")),
        (json.dumps({"0": ["n1", "crane"], "1": ["n2", "crane"]}), ("crane n1", "crane n2")),
        (json.dumps({"1": "b", "0": "a"}), ("a", "b")),
    ],
)
def test_class_names(tmp_path, text, names):
    path = tmp_path / "classes"
    path.write_text(text)
    assert class_names_in(path, 2) == names


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\nb\nc\n", "has 3 names, but the weights have 2 classes"),
        ("a\na\n", "has 'a' more than once"),
        ("\nb\n", "an empty name"),
        ('["a", 3]', "is not a list of classes"),
        ('{"0": "a", "2": "b"}', "is not a list of classes"),
        ("[" * 100_000, "is not a list of classes"),
        ("{", "is not a list of classes"),
    ],
)
def test_wrong_class_names_are_refused(tmp_path, text, reason):
    path = tmp_path / "classes"
    path.write_text(text)
    with pytest.raises(ConvscopeError, match=reason) as caught:
        class_names_in(path, 2)
    assert str(path) in str(caught.value)
