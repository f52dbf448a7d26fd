"""Files that torchvision, timm and Keras wrote themselves: the run gives their logits."""

import os
import warnings

import numpy as np
import pytest
import torch

from convscope.runs.folder import load
from convscope.runs.imported import import_weights, write_imported


def distance(found, expected):
    """The largest difference as a share of the largest logit."""
    return float((found - expected).abs().max() / expected.abs().max())


def as_run(path, folder, model, **options):
    """The classifier after a round through a run folder."""
    imported = import_weights(path, model, **options)
    write_imported(folder, imported)
    return load(folder), imported


def with_statistics(module):
    """Batch norms that do something, and a first layer that tells colours apart."""
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
    return module.eval().to(memory_format=torch.channels_last)  # as a run's module: same kernels


@pytest.mark.slow
@pytest.mark.parametrize(("name", "today"), [("vgg11_bn", True), ("vgg11", False)])
def test_torchvision(torchvision_models, tmp_path, name, today):
    theirs = with_statistics(getattr(torchvision_models, name)(num_classes=7))
    path = tmp_path / "w.pth"
    torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=today)
    ours, imported = as_run(path, tmp_path / "run", name.replace("_", "-"))
    assert (imported.preprocessing, imported.assumed) == ("imagenet", True)
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected = theirs(images)
    assert distance(ours.logits(images), expected) <= 1e-6


@pytest.mark.slow
def test_timm(torchvision_models, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without huggingface_hub it says so
        import timm

    theirs = with_statistics(timm.create_model("vgg11", num_classes=7))
    path = tmp_path / "w.pth"
    torch.save({"state_dict": theirs.state_dict()}, path)
    ours, imported = as_run(path, tmp_path / "run", "vgg11")
    assert any("flattened" in note for note in imported.notes)
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected = theirs(images)
    assert distance(ours.logits(images), expected) <= 1e-5


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    before = {name: os.environ.get(name) for name in ("KERAS_BACKEND", "KERAS_HOME")}
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ["KERAS_HOME"] = str(tmp_path_factory.mktemp("keras"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    yield keras
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def saved(model, folder, ending):
    path = folder / f"model{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # .h5 is "legacy"
        (model.save_weights if ending == ".weights.h5" else model.save)(path)
    return path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
def test_keras(keras, tmp_path, ending):
    theirs = keras.applications.VGG16(
        weights=None, input_shape=(64, 64, 3), classes=10, classifier_activation=None
    )
    path = saved(theirs, tmp_path, ending)
    ours, imported = as_run(path, tmp_path / "run", "vgg16")
    assert (imported.preprocessing, imported.flipped) == ("caffe-bgr", True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    their_input = keras.applications.vgg16.preprocess_input(pixels.astype(np.float32))
    with torch.inference_mode():
        expected = torch.as_tensor(theirs(their_input).cpu().numpy())
    assert distance(ours.logits(ours.preprocess.normalise(pixels)), expected) <= 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".h5", ".weights.h5", ".keras"])
def test_keras_batch_norm_and_its_epsilon(keras, tmp_path, ending):
    layers = keras.layers
    parts = [layers.Input((32, 32, 3))]
    for width in (16, 32, 64):
        for _ in range(2):
            parts += [
                layers.Conv2D(width, 3, padding="same"),
                layers.BatchNormalization(
                    beta_initializer="random_normal", gamma_initializer="random_uniform",
                    moving_mean_initializer="random_normal",
                    moving_variance_initializer=keras.initializers.RandomUniform(0.01, 0.02),
                ),
                layers.ReLU(),
            ]  # fmt: skip
        parts.append(layers.MaxPooling2D())
    parts += [layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(128, "relu")]
    theirs = keras.Sequential([*parts, layers.Dense(5)])
    ours, _ = as_run(saved(theirs, tmp_path, ending), tmp_path / "run", "vgg-small",
                     preprocessing="unit")  # fmt: skip
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected = torch.as_tensor(theirs(images.permute(0, 2, 3, 1).numpy()).cpu().numpy())
    assert distance(ours.logits(images), expected) <= 1e-5
