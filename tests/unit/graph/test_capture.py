"""Capture: the graph of every family, its names, and the module left as it was."""

import copy
import threading

import pytest
import torch
from torch import nn

import zoo
from captures import (
    SMALL,
    Net,
    captured,
    check_values,
    check_wiring,
    conv,
    into_a_view,
    names,
    tied,
)
from convscope.base.errors import CaptureError, ConvscopeError
from convscope.graph.capture import capture
from convscope.graph.kinds import Kind
from convscope.nets.catalog import build_module

# The families.


@pytest.fixture(scope="module", autouse=True)
def _graphs(tmp_path_factory):
    """Nothing here comes from graphs that other tests have captured."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("CONVSCOPE_CACHE", str(cache))
        (cache / "graphs").mkdir()
        yield cache / "graphs"


@pytest.fixture(scope="module", params=list(zoo.FAMILIES))
def family(request):
    module = zoo.network(request.param)
    return module, capture(module, zoo.images(1))


def test_every_family_is_known_wired_and_bit_equal(family):
    module, graph = family
    assert Kind.OTHER not in {node.kind for node in graph.nodes}
    check_wiring(graph, module)
    check_values(graph, module, (3, 32, 32))


def test_parameters_of_every_family_are_the_modules_own(family):
    module, graph = family
    state = module.state_dict(keep_vars=True)
    for node in graph.nodes:
        for role, name in node.parameters.items():
            assert state[name] is graph.tensors[name]
            assert torch.equal(graph.parameter(node, role), state[name].detach())
    used = {name for node in graph.nodes for name in node.parameters.values()}
    assert used == {name for name in state if "num_batches" not in name}


def test_modules_of_known_types_have_their_kinds(family):
    module, graph = family
    expected = {
        nn.Conv2d: Kind.CONVOLUTION, nn.Linear: Kind.LINEAR, nn.BatchNorm2d: Kind.BATCH_NORM,
        nn.MaxPool2d: Kind.MAX_POOL, nn.AvgPool2d: Kind.AVERAGE_POOL, nn.ReLU: Kind.RELU,
        nn.LocalResponseNorm: Kind.LOCAL_RESPONSE_NORM, nn.Dropout: Kind.DROPOUT,
        nn.Flatten: Kind.FLATTEN, nn.Softmax: Kind.SOFTMAX, nn.LeakyReLU: Kind.LEAKY_RELU,
    }  # fmt: skip
    for path, part in module.named_modules():
        if type(part) in expected:
            assert graph[path].kind is expected[type(part)]


def test_names_and_kinds_of_a_residual_network():
    graph = capture(zoo.network("resnet"), zoo.images(1))
    assert [(node.name, str(node.kind)) for node in graph.nodes] == [
        ("input", "input"),
        ("stem.0", "convolution"),
        ("stem.1", "batch_norm"),
        ("stem.2", "relu"),
        ("pool", "max_pool"),
        ("blocks.0.conv1", "convolution"),
        ("blocks.0.bn1", "batch_norm"),
        ("blocks.0.relu", "relu"),
        ("blocks.0.conv2", "convolution"),
        ("blocks.0.bn2", "batch_norm"),
        ("blocks.0 add", "add"),
        ("blocks.0.relu#2", "relu"),
        ("blocks.1.conv1", "convolution"),
        ("blocks.1.bn1", "batch_norm"),
        ("blocks.1.relu", "relu"),
        ("blocks.1.conv2", "convolution"),
        ("blocks.1.bn2", "batch_norm"),
        ("blocks.1.shortcut.0", "convolution"),
        ("blocks.1.shortcut.1", "batch_norm"),
        ("blocks.1 add", "add"),
        ("blocks.1.relu#2", "relu"),
        ("avgpool", "adaptive_average_pool"),
        ("flatten", "flatten"),
        ("fc", "linear"),
    ]
    assert graph["blocks.0 add"].inputs == ("blocks.0.bn2", "pool")
    assert graph["blocks.1 add"].inputs == ("blocks.1.bn2", "blocks.1.shortcut.1")


def test_names_and_kinds_of_a_functional_network():
    graph = capture(zoo.network("functional"), zoo.images(1))
    found = [(node.name, str(node.kind)) for node in graph.nodes]
    assert found[:16] == [
        ("input", "input"),
        ("multiply", "multiply"),
        ("subtract", "subtract"),
        ("convolution", "convolution"),
        ("local_response_norm", "local_response_norm"),
        ("act", "leaky_relu"),
        ("slice", "slice"),
        ("slice#2", "slice"),
        ("tanh", "tanh"),
        ("concatenate", "concatenate"),
        ("convolution#2", "convolution"),
        ("add", "add"),
        ("act#2", "leaky_relu"),
        ("convolution#3", "convolution"),
        ("add#2", "add"),
        ("act#3", "leaky_relu"),
    ]
    assert [kind for _, kind in found[16:]] == [
        "multiply", "pad", "max_pool", "divide", "adaptive_max_pool", "adaptive_average_pool",
        "add", "average_pool", "slice", "slice", "flatten", "linear",
    ]  # fmt: skip
    assert graph["convolution#2"].parameters["weight"] == "kernels.1"
    assert graph["convolution#3"].parameters["weight"] == "kernels.1"
    assert graph["add"].settings["alpha"] == 0.5
    assert graph["concatenate"].inputs == ("tanh", "slice")
    norm = graph["local_response_norm"].settings
    assert norm == {"size": 5, "alpha": 1e-2, "beta": 0.75, "k": 1.0}


def test_vgg16_by_its_names_on_the_meta_device():
    with torch.device("meta"):
        module = build_module("vgg16", num_classes=1000, input_shape=(3, 224, 224))
    graph = capture(module, torch.zeros(1, 3, 224, 224))
    assert len(graph.nodes) == 41
    assert graph["features.28"].kind is Kind.CONVOLUTION
    assert graph["features.28"].output_shape == (512, 14, 14)
    assert graph["features.30"].kind is Kind.MAX_POOL
    assert graph.output == graph.logits == "classifier.6"
    assert graph["classifier.6"].output_shape == (1000,)
    assert graph["features.0"].settings["kernel_size"] == [3, 3]
    assert graph.device.type == "meta"


def test_a_network_on_meta_has_the_graph_of_the_real_one(family):
    module, graph = family
    shadow = capture(copy.deepcopy(module).to("meta"), torch.zeros(1, 3, 32, 32))
    facts = [(n.name, n.kind, n.inputs, n.output_shape, n.parameters) for n in graph.nodes]
    assert facts == [(n.name, n.kind, n.inputs, n.output_shape, n.parameters) for n in shadow.nodes]


def test_nested_blocks_that_are_called_twice():
    block = nn.Sequential(conv(3, 3, 3, padding=1), nn.Sequential(nn.ReLU(inplace=True)))
    graph = captured(Net(lambda n, x: n.block(n.block(x)), block=block))
    assert names(graph) == ["input", "block.0", "block.1.0", "block.0#2", "block.1.0#2"]
    assert graph["block.0#2"].parameters["weight"] == "block.0.weight"


def test_modules_in_a_dict_and_names_that_look_like_calls():
    parts = nn.ModuleDict({"relu": nn.ReLU(), "relu#2": nn.ReLU()})
    function = lambda n, x: n.d["relu#2"](n.d["relu"](n.d["relu"](x) - 1) - 1)  # noqa: E731
    graph = captured(Net(function, d=parts))
    assert len(set(names(graph))) == len(names(graph))
    assert names(graph)[1] == "d.relu"


def test_a_module_may_be_called_as_what_a_trace_appends():
    module = nn.Sequential()
    module.add_module("softmax", conv())
    module.add_module("input", nn.ReLU())
    assert names(captured(module)) == ["input", "softmax#2", "input#2"]


def test_tied_weights_have_both_their_names():
    graph = captured(tied())
    assert (
        graph.parameter(graph["0"], "weight").data_ptr()
        == graph.parameter(graph["2"], "weight").data_ptr()
    )


def test_changed_weights_show_in_the_next_trace():
    module = nn.Sequential(conv(), nn.ReLU())
    graph = captured(module)
    with torch.no_grad():
        module[0].weight.mul_(-1)
    check_values(graph, module)


def test_two_captures_have_equal_names_and_each_size_its_own():
    module = zoo.network("inception")
    first, second = (capture(module, zoo.images(count)) for count in (1, 5))
    facts = [[(n.name, n.kind, n.settings, n.inputs) for n in g.nodes] for g in (first, second)]
    assert facts[0] == facts[1]
    larger = capture(module, zoo.images(1, side=48))
    assert names(larger) == names(first)
    assert larger.input_shape == (3, 48, 48)
    assert larger["stem"].output_shape == (8, 23, 23)


def test_unknown_names_suggest_similar_ones():
    graph = capture(zoo.network("resnet"), zoo.images(1))
    with pytest.raises(ConvscopeError, match=r"no layer 'blocks.0.conv'; did you mean blocks"):
        graph["blocks.0.conv"]
    assert "blocks.0.conv1" in graph
    assert "blocks.0.conv" not in graph


# The module is left as it was.


def snapshot(module):
    return [
        (
            part.training, list(part._forward_hooks), list(part._forward_pre_hooks),
            list(part._backward_hooks), sorted(part.__dict__),
        )
        for part in module.modules()
    ] + [
        (name, p.data_ptr(), p._version, p.requires_grad, p.grad, p.clone().tolist())
        for name, p in [*module.named_parameters(), *module.named_buffers()]
    ]  # fmt: skip


def half_trained(module):
    """Some parts in training mode, one weight frozen, a gradient, a hook."""
    module.train()
    module.bn.eval()
    module.conv.weight.requires_grad_(False)
    module.conv.bias.grad = torch.ones(4)
    module.bn.register_forward_hook(lambda *_: None)
    return module


class Counting(nn.Module):
    """Changes a buffer as it runs; fails where it is asked to."""

    def __init__(self, failing=False):
        super().__init__()
        self.conv, self.bn, self.failing = conv(), nn.BatchNorm2d(4), failing
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        x = self.bn(self.conv(x))
        if self.failing:
            raise KeyError("nothing here")
        return x


@pytest.mark.parametrize("failing", [False, True])
def test_the_module_is_left_as_it_was(failing):
    module = half_trained(Counting(failing))
    before, seed = snapshot(module), torch.get_rng_state()
    example = torch.ones(1, *SMALL)
    if failing:
        with pytest.raises(CaptureError, match="nothing here"):
            capture(module, example)
    else:
        capture(module, example)
    assert snapshot(module) == before
    assert torch.equal(torch.get_rng_state(), seed)
    assert torch.equal(example, torch.ones(1, *SMALL))
    assert torch.is_grad_enabled()


def test_capture_is_free_of_the_callers_modes():
    module = Net(into_a_view, a=conv()).eval()
    with torch.no_grad():
        check_values(capture(module, torch.zeros(1, *SMALL)), module)
    with torch.inference_mode():
        graph = capture(module, torch.zeros(1, *SMALL))
    check_values(graph, module)


def test_captures_at_the_same_time_all_succeed():
    found, failed = {}, []

    def work(number):
        try:
            found[number] = names(capture(zoo.network("resnet", number), zoo.images(1)))
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len({tuple(each) for each in found.values()}) == 1
    assert len(found) == 4
