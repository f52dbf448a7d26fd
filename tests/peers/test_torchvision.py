"""torchvision's VGG: the same names, shapes, weights from one seed, and logits."""

import pytest
import torch

from convscope import build_model


@pytest.fixture
def vgg(torchvision_models):
    return torchvision_models.vgg


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
@pytest.mark.parametrize("norm", ["", "_bn"])
def test_names_and_shapes_are_torchvisions(vgg, depth, norm):
    with torch.device("meta"):
        theirs = getattr(vgg, f"vgg{depth}{norm}")(init_weights=False).state_dict()
        ours = build_model(f"vgg{depth}{norm.replace('_', '-')}").module.state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    assert list(ours) == list(theirs)


@pytest.mark.slow
def test_one_seed_gives_torchvisions_weights_and_logits(vgg):
    torch.manual_seed(7)
    theirs = vgg.vgg11_bn().eval()
    ours = build_model("vgg11-bn", seed=7)
    expected = theirs.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in ours.module.state_dict().items())
    torch.manual_seed(7)
    drawn_globally = build_model("vgg11-bn", seed=None).module.state_dict()
    assert torch.equal(drawn_globally["classifier.6.weight"], expected["classifier.6.weight"])
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        reference = theirs(images)
    assert torch.equal(ours.logits(images), reference)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [13, 16])
def test_logits_with_the_same_state_dict(vgg, depth):
    theirs = getattr(vgg, f"vgg{depth}")().eval()
    ours = build_model(f"vgg{depth}", seed=0)
    ours.module.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        reference = theirs(images)
    assert torch.equal(ours.logits(images), reference)
