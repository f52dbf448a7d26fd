"""Small networks from functions, and what holds for every captured graph."""

import torch
import torch.nn.functional as F
from torch import nn

from convscope.graph.capture import capture
from convscope.graph.trace import trace

SMALL = (3, 8, 8)


class Net(nn.Module):
    """A network from a function of (itself, images) and its parts."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def conv(inputs=3, outputs=4, *args, **more):
    return nn.Conv2d(inputs, outputs, *(args or (3,)), **more)


def kinds(graph):
    return [str(node.kind) for node in graph.nodes]


def names(graph):
    return [node.name for node in graph.nodes]


def check_wiring(graph, module):
    """What holds for every graph."""
    assert names(graph)[0] == "input"
    assert len(set(names(graph))) == len(graph.nodes)
    before = {}
    for node in graph.nodes:
        assert [before[name] for name in node.inputs] == list(node.input_shapes)
        before[node.name] = node.output_shape
    assert graph.output in before
    assert graph.logits in before
    state = dict(module.named_parameters(remove_duplicate=False))
    state |= dict(module.named_buffers(remove_duplicate=False))
    for name, tensor in graph.tensors.items():
        assert name not in state or tensor is state[name]


def check_values(graph, module, shape=SMALL, dtype=torch.float32):
    """Bit-equal to the module for several batches, the module being given a copy to write into."""
    for count in (2, 1, 5):
        images = torch.randn(count, *shape, dtype=dtype)
        with torch.inference_mode():
            expected = module(images.clone())
        while not isinstance(expected, torch.Tensor):
            expected = next(iter(expected.values() if isinstance(expected, dict) else expected))
        record = trace(graph, images)[graph.output].output
        assert torch.equal(record, expected)


def captured(module, shape=SMALL, dtype=torch.float32):
    module = module.eval()
    graph = capture(module, torch.zeros(1, *shape, dtype=dtype))
    check_wiring(graph, module)
    check_values(graph, module, shape, dtype)
    return graph


def tied():
    module = nn.Sequential(conv(3, 3, 3, padding=1), nn.ReLU(), conv(3, 3, 3, padding=1))
    module[2].weight = module[0].weight
    return module


def into_a_view(net, x):
    y = net.a(x)
    y[:, :2].mul_(2)
    return F.relu(y)
