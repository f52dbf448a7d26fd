"""Transfer learning: which weights are copied, which stay, and which are frozen."""

import pytest
import torch

from convscope import build_model
from convscope.base.errors import ConvscopeError, WeightsError
from convscope.nets.catalog import build_module
from convscope.training.transfer import freeze, transfer_weights

SMALL = {"widths": [4, 4, 8], "head": [6]}
SHAPE = (1, 16, 16)


def network(num_classes=3, seed=1, **options):
    torch.manual_seed(seed)
    return build_module(
        "vgg-small", num_classes=num_classes, input_shape=SHAPE, **{**SMALL, **options}
    )


def source(names=("a", "b", "c"), **options):
    model = build_model(
        "vgg-small", num_classes=None if names is None else len(names), input_shape=SHAPE, seed=0,
        **{**SMALL, **options},
    )  # fmt: skip
    return type(model)(model.name, model.module, model.preprocess, names)


def same(first, second, key):
    return torch.equal(first.state_dict()[key], second.state_dict()[key])


def test_the_same_classes_take_everything():
    theirs, module = source(), network()
    taken = transfer_weights(module, theirs, ("a", "b", "c"))
    assert taken.new == taken.unused == ()
    assert taken.classes == ("a", "b", "c")
    assert all(same(module, theirs.module, key) for key in module.state_dict())


def test_rows_of_the_last_layer_go_by_class_name():
    theirs, module = source(), network(num_classes=4)
    taken = transfer_weights(module, theirs, ("c", "x", "a", "y"))
    assert taken.classes == ("c", "a")
    head = module.classifier[-1]
    for place, row in ((0, 2), (2, 0)):
        assert torch.equal(head.weight[place], theirs.module.classifier[-1].weight[row])
        assert torch.equal(head.bias[place], theirs.module.classifier[-1].bias[row])
    for place in (1, 3):
        assert not head.weight[place].any()
    assert set(taken.new) == {"classifier.3.weight", "classifier.3.bias"} == set(taken.unused)
    assert same(module, theirs.module, "features.0.weight")


def test_classes_in_another_order_are_not_shifted():
    theirs, module = source(), network()
    transfer_weights(module, theirs, ("b", "c", "a"))
    rows = [theirs.module.classifier[-1].weight[i] for i in (1, 2, 0)]
    assert torch.equal(module.classifier[-1].weight, torch.stack(rows))


def test_a_trunk_fits_below_any_head():
    theirs, module = source(names=None), network(head=[])
    taken = transfer_weights(module, theirs, ("a", "b", "c"))
    assert taken.new == ("classifier.0.weight", "classifier.0.bias")
    assert taken.unused == taken.classes == ()


def test_what_does_not_fit_below_the_dense_layers_is_all_listed():
    theirs, module = source(widths=[4, 6, 8]), network()
    with pytest.raises(WeightsError) as caught:
        transfer_weights(module, theirs, ("a", "b", "c"))
    message = str(caught.value)
    assert message.startswith("the weights of vgg-small do not match the network:\n")
    assert "features.7.weight: (6, 4, 3, 3) in the weights, (4, 4, 3, 3) in the network" in message
    assert "features.14.weight: (8, 6, 3, 3)" in message
    assert "features.0.weight" not in message


def test_networks_with_nothing_in_common_are_refused():
    mlp = build_model("mlp", num_classes=3, input_shape=SHAPE, hidden=[5], seed=0)
    with pytest.raises(WeightsError, match=r"features.0.weight: nothing in the weights"):
        transfer_weights(network(), mlp, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("names", "moving"),
    [
        (("features",), {"classifier.0", "classifier.3"}),
        (("all-but-last",), {"classifier.3"}),
        (("classifier", "features.0"), {"features.1", "features.7"}),
        ((), {"features.0", "features.1", "classifier.0", "classifier.3"}),
    ],
)
def test_frozen_modules_ask_for_no_gradient(names, moving):
    module = network()
    freeze(module, names)
    free = {name.rpartition(".")[0] for name, p in module.named_parameters() if p.requires_grad}
    assert moving <= free
    if names != ("classifier", "features.0"):
        everything = {name.rpartition(".")[0] for name, _ in module.named_parameters()}
        frozen = {n for n in everything if n.startswith("features")} if names else set()
        assert not free & frozen


def test_unknown_and_total_freezes_are_refused():
    with pytest.raises(
        ConvscopeError, match=r"no module 'feature'; choose one of features, avgpool"
    ):
        freeze(network(), ("feature",))
    with pytest.raises(ConvscopeError, match="nothing is left to train"):
        freeze(network(), ("features", "classifier"))
    trunk = network(num_classes=None)
    with pytest.raises(ConvscopeError, match="no dense layer"):
        freeze(trunk, ("all-but-last",))
