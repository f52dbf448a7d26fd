"""Which weights a deeper net gets from net A."""

import torch

from convscope.nets.catalog import build_module
from convscope.training.stages import start_from

SMALL = {"widths": (4, 6, 8, 8, 8), "head": (10, 10), "num_classes": 3, "input_shape": (3, 32, 32)}


def test_net_a_gives_its_first_four_convolutions_and_dense_layers():
    torch.manual_seed(0)
    net_a = build_module("vgg11", **SMALL)
    net_d = build_module("vgg16", **SMALL)
    before = {name: value.clone() for name, value in net_d.state_dict().items()}
    start_from("net-a", net_d, net_a)
    after, source = net_d.state_dict(), net_a.state_dict()
    # Layer numbers in torchvision's naming: A's conv 1..4 are features 0, 3, 6, 8.
    for theirs, ours in (("0", "0"), ("3", "5"), ("6", "10"), ("8", "12")):
        assert torch.equal(source[f"features.{theirs}.weight"], after[f"features.{ours}.weight"])
    for layer in ("0", "3", "6"):
        assert torch.equal(source[f"classifier.{layer}.bias"], after[f"classifier.{layer}.bias"])
    for layer in ("2", "7", "14", "17", "28"):
        assert torch.equal(before[f"features.{layer}.weight"], after[f"features.{layer}.weight"])


def test_batch_norm_goes_with_its_convolution():
    net_a = build_module("vgg11-bn", **SMALL)
    net_a.features[1].running_mean.fill_(7.0)
    net_d = build_module("vgg16-bn", **SMALL)
    start_from("net-a", net_d, net_a)
    assert (net_d.features[1].running_mean == 7).all()
