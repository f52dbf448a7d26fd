"""Graphs in the cache folder: equal to captured ones, and only where nothing else can matter."""

import json
import math

import pytest
import torch
from torch import nn

import convscope
from convscope.graph import capture as capturing
from convscope.graph.capture import capture
from convscope.graph.stored import graph_key, read_graph, write_graph
from convscope.nets.catalog import NETWORKS, build_module, find

IMAGES = torch.zeros(2, 3, 16, 16)


@pytest.fixture
def _graphs(tmp_path_factory):
    """No test finds a graph of another one."""
    return tmp_path_factory.mktemp("graphs")


def plain(**changes):
    settings = {"stride": 1, "padding": 1, **changes}
    return nn.Sequential(nn.Conv2d(3, 4, 3, **settings), nn.ReLU(), nn.Flatten())


def equal(one, other):
    names = ("nodes", "output", "steps", "num_constant_steps", "tensor_slots", "node_slots",
             "node_steps", "num_slots")  # fmt: skip
    assert one.tensors.keys() == other.tensors.keys()
    assert all(one.tensors[name] is other.tensors[name] for name in one.tensors)
    return all(getattr(one, name) == getattr(other, name) for name in names)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_of_the_catalog_comes_back_as_it_was_captured(name):
    shape = find(name).input_shape
    with torch.device("meta"):
        module = build_module(name, num_classes=10, input_shape=shape).eval()
    images = torch.empty((2, *shape), device="meta")
    key = graph_key(module, images)
    assert key is not None
    captured = capture(module, images)
    stored = read_graph(key, module)
    assert stored is not None
    assert equal(captured, stored)


def test_a_stored_graph_computes_the_same_bits():
    module = plain().eval()
    images = torch.randn(4, 3, 16, 16)
    capture(module, images)
    again = capture(module, images)
    assert torch.equal(convscope.trace(again, images).logits, module(images))


def test_it_is_read_and_not_captured_again(monkeypatch):
    module = plain()
    capture(module, IMAGES)
    monkeypatch.setattr("convscope.graph.export.exported", None)
    assert capture(module, IMAGES).nodes[1].name == "0"
    with pytest.raises(TypeError):
        capture(plain(stride=2), IMAGES)


@pytest.mark.parametrize(
    "changed",
    [
        plain(stride=2), plain(padding=0), plain(bias=False), plain(padding_mode="reflect"),
        plain().double(), plain().append(nn.ReLU()), nn.Sequential(*plain(), nn.Identity()),
        plain().requires_grad_(False), nn.Sequential(plain()),
    ],
)  # fmt: skip
def test_what_the_graph_depends_on_changes_its_key(changed):
    assert graph_key(changed, IMAGES) != graph_key(plain(), IMAGES)


def test_other_images_have_another_key():
    module = plain()
    others = [IMAGES[:, :, :8], IMAGES.double(), IMAGES.to("meta")]
    assert len({graph_key(module, images) for images in (IMAGES, *others)}) == 4


def test_the_values_of_weights_do_not_matter():
    torch.manual_seed(1)
    one = graph_key(plain(), IMAGES)
    torch.manual_seed(2)
    assert graph_key(plain().train(), IMAGES) == one


def test_shared_weights_are_told_apart():
    shared, own = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
    assert graph_key(nn.Sequential(shared, shared), IMAGES) != graph_key(
        nn.Sequential(shared, own), IMAGES
    )


class Own(nn.Module):
    def forward(self, x):
        return x.flatten(1)


class Patched(nn.ReLU):
    def forward(self, x):
        return -x


def hooked():
    module = plain()
    module[0].register_forward_hook(lambda *_: None)
    return module


def replaced():
    module = plain()
    module[1].forward = lambda x: -x
    return module


def with_a_tensor():
    module = plain()
    module[1].constant = torch.ones(1)
    return module


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(plain(), Own()), lambda: nn.Sequential(Patched()), hooked, replaced,
        with_a_tensor, lambda: nn.utils.parametrizations.weight_norm(plain()[0]),
        lambda: nn.MultiheadAttention(4, 2), lambda: torch.fx.symbolic_trace(plain()),
    ],
)  # fmt: skip
def test_what_may_do_anything_else_is_not_stored(make):
    assert graph_key(make(), IMAGES) is None


def test_autocast_and_global_hooks_are_not_stored():
    with torch.autocast("cpu", torch.bfloat16):
        assert graph_key(plain(), IMAGES) is None
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert graph_key(plain(), IMAGES) is None
    finally:
        handle.remove()


def files():
    return list((convscope.base.download.cache_folder() / "graphs").glob("*.json"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace("aten.relu.default", "aten.relu.nothing"),
        lambda text: text.replace("aten.relu.default", "operator.__import__"),
        lambda text: text.replace("aten.relu.default", "os.system"),
        lambda text: text.replace('"relu"', '"no kind"'),
    ],
)
def test_a_damaged_file_is_captured_again(damage):
    module = plain()
    captured = capture(module, IMAGES)
    (file,) = files()
    text = file.read_text()
    assert damage(text) != text
    file.write_text(damage(text))
    assert read_graph(file.stem, module) is None
    assert equal(capture(module, IMAGES), captured)
    assert file.read_text() == text


def test_a_folder_that_cannot_be_written_changes_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVSCOPE_CACHE", str(tmp_path / "file"))
    assert len(capture(plain(), IMAGES).nodes) == 4


def test_old_files_go(monkeypatch):
    monkeypatch.setattr("convscope.graph.stored._MOST_FILES", 2)
    for padding in range(4):
        capture(plain(padding=padding), IMAGES)
    assert len(files()) == 2


def test_numbers_that_json_has_no_word_for():
    module = nn.Sequential(nn.Hardtanh(-math.inf, 1.0))
    captured = capture(module, IMAGES)
    key = graph_key(module, IMAGES)
    write_graph(key, captured, module)
    assert equal(read_graph(key, module), captured)
    json.loads(files()[0].read_text())
    assert capturing.graph_key is graph_key
