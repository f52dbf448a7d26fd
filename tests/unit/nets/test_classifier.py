"""A classifier does not change its module, and all of its methods give the same answers."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from convscope import Classifier, build_model
from convscope.base.errors import ConvscopeError, UnreadableImageError
from convscope.images.files import read_image


@pytest.fixture
def model():
    return build_model("vgg-small", num_classes=4, input_shape=(3, 32, 32), init="glorot", seed=0)


@pytest.fixture
def files(tmp_path):
    generator = np.random.default_rng(0)
    paths = []
    for index in range(7):
        pixels = generator.integers(0, 256, (40 + index, 50, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_logits_leave_the_mode_as_it_was(model):
    model.module.train()
    before = {name: value.clone() for name, value in model.module.state_dict().items()}
    model.logits(torch.rand(4, 3, 32, 32))
    assert model.module.training
    assert all(torch.equal(before[k], v) for k, v in model.module.state_dict().items())


def test_files_and_pixels_give_the_same_bits_at_one_batch_size(model, files):
    by_file = torch.stack([p.logits for p in model.predictions(files, batch_size=3)])
    images = [read_image(path, 3) for path in files]
    by_pixels = torch.cat(list(model.logits_of(images, batch_size=3)))
    assert torch.equal(by_file, by_pixels)


def test_batch_sizes_agree_within_a_hundred_thousandth(model, files):
    one = torch.stack([p.logits for p in model.predictions(files, batch_size=1)])
    all_at_once = torch.stack([p.logits for p in model.predictions(files, batch_size=64)])
    assert (one - all_at_once).abs().max() <= 1e-5 * one.abs().max()


def test_a_bad_file_is_a_row_and_the_others_are_answered(model, files, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_text("no image")
    rows = list(model.predictions([files[0], bad, tmp_path / "gone.png", files[1]], batch_size=2))
    assert [row.error is None for row in rows] == [True, False, False, True]
    assert "not an image" in rows[1].error
    assert "No such file" in rows[2].error
    with pytest.raises(UnreadableImageError, match=r"bad\.jpg"):
        model.predict([files[0], bad])


def test_predict_ranks_by_probability(model, files):
    ((first, second),) = model.predict(files[0], topk=2)
    logits = next(iter(model.predictions([files[0]]))).logits
    expected = torch.softmax(logits.double(), 0)
    assert first == (model.class_names[int(logits.argmax())], pytest.approx(float(expected.max())))
    assert second[1] <= first[1]


def test_any_module_can_be_a_classifier(model):
    own = Classifier("own", nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)),
                     model.preprocess, ("cat", "dog"))  # fmt: skip
    assert own.logits(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


def test_class_names_must_fit_the_module_and_differ(model):
    wrong = Classifier("own", model.module, model.preprocess, ("a", "b"))
    with pytest.raises(ConvscopeError, match=r"\(1, 4\); 2 class names need \(batch, 2\)"):
        wrong.logits(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ConvscopeError, match="must be unique"):
        Classifier("own", model.module, model.preprocess, ("a", "a"))
