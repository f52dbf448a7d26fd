"""Looking inside: capture, trace and ledger beside the plain network.

Memory is measured in processes of their own: how far the largest resident size rose above what
there was before, after the network had run once. Linux only.
"""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn

from benchmarks.measure import Row, command_seconds, interleaved
from convscope import arithmetic, capture, trace
from convscope.nets.catalog import build_module

_MEMORY = """
import re, sys, torch
from convscope import capture, trace
from convscope.nets.catalog import build_module
def mebibytes(what):
    return int(re.search(what + ":\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
torch.manual_seed(0)
module = build_module("vgg16", num_classes=1000, input_shape=(3, 224, 224), init="he").eval()
images = torch.randn(1, 3, 224, 224)
graph = capture(module, images)
with torch.no_grad(): module(images)
before = mebibytes("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
kept = {"all": None, "one": ["classifier.0"]}
if sys.argv[1] == "plain":
    with torch.no_grad(): module(images)
elif sys.argv[1] == "gradients": trace(graph, images, torch.tensor([0]))
else: trace(graph, images, keep=kept[sys.argv[1]])
print(mebibytes("VmHWM") - before)
"""


def measure(rounds: int) -> list[Row]:
    """Cold summary; trace and gradients on three networks; memory; one ledger."""
    rows = [_cold_summary(rounds)]
    for name, size, batch, repeats in (
        ("vgg16", (3, 224, 224), 1, 2),
        ("vgg16", (3, 224, 224), 8, 1),
        ("vgg-small", (1, 28, 28), 1, 200),
        ("vgg-small", (1, 28, 28), 64, 20),
    ):
        rows += _trace(name, size, batch, repeats, rounds)
    return [*rows, *_memory(), *_ledger(rounds)]


def _network(name: str, size: tuple[int, int, int]) -> nn.Module:
    torch.manual_seed(0)
    return build_module(name, num_classes=10, input_shape=size, init="he").eval()


def _seconds(work: Callable[[], object], repeats: int) -> float:
    began = perf_counter()
    for _ in range(repeats):
        work()
    return (perf_counter() - began) / repeats


def _trace(
    name: str, size: tuple[int, int, int], batch: int, repeats: int, rounds: int
) -> list[Row]:
    module = _network(name, size)
    images, targets = torch.randn(batch, *size), torch.zeros(batch, dtype=torch.long)
    graph = capture(module, images)

    def plain() -> Tensor:
        with torch.no_grad():
            return module(images)

    def backward() -> Tensor:
        pixels = images.clone().requires_grad_()
        logits = module(pixels)
        return torch.autograd.grad(logits[:, 0].sum(), pixels)[0]

    module.requires_grad_(False)  # as our gradients: none of the weights'
    assert torch.equal(trace(graph, images).logits, plain())
    values = interleaved(
        {
            "trace": lambda: _seconds(lambda: trace(graph, images), repeats),
            "plain": lambda: _seconds(plain, repeats),
            "gradients": lambda: _seconds(lambda: trace(graph, images, targets), repeats),
            "backward": lambda: _seconds(backward, repeats),
        },
        rounds,
    )
    what = f"{name} at {size[1]} x {size[2]}, batch {batch}"
    count = len(graph.nodes)
    return [
        Row(
            f"trace of all activations, {what}", values["trace"], values["plain"], "trace()",
            "the module's forward", "s", higher_is_better=False, note=f"{count} nodes",
        ),
        Row(
            f"trace of all activations and gradients, {what}", values["gradients"],
            values["backward"], "trace(targets=...)", "forward and backward to the images", "s",
            higher_is_better=False, note=f"{count} nodes",
        ),
    ]  # fmt: skip


def _cold_summary(rounds: int) -> Row:
    command = Path(sys.executable).with_name("convscope")

    values = interleaved(
        {
            "ours": lambda: command_seconds(str(command), "summary", "vgg16"),
            "peer": lambda: command_seconds(sys.executable, "-c", "import torch"),
        },
        max(2, rounds // 2),
    )
    return Row(
        "cold `convscope summary vgg16`", values["ours"], values["peer"], "convscope summary vgg16",
        "python -c 'import torch'", "s", higher_is_better=False,
        note="on the meta device: no weight is allocated",
    )  # fmt: skip


def _memory() -> list[Row]:
    def grown(what: str) -> float:
        done = subprocess.run(
            [sys.executable, "-c", _MEMORY, what], check=True, capture_output=True, text=True
        )
        return float(done.stdout)

    if not Path("/proc/self/clear_refs").exists():
        return []
    names = {
        "all": "trace of all activations",
        "one": "trace that keeps one layer",
        "gradients": "trace of all activations and gradients",
    }
    plain = grown("plain")
    return [
        Row(
            f"memory: {name}, vgg16 at 224 x 224, batch 1", [grown(what)], [plain], "trace()",
            "the module's forward", "MiB", higher_is_better=False,
            note="how far the largest resident size rose",
        )
        for what, name in names.items()
    ]  # fmt: skip


def _ledger(rounds: int) -> list[Row]:
    size = (3, 224, 224)
    images = torch.randn(1, *size)
    record = trace(capture(_network("vgg16", size), images), images)
    draw = random.Random(0)
    places = [
        (layer.node.name, tuple(draw.randrange(side) for side in layer.output.shape[1:]))
        for layer in draw.choices(record.layers, k=500)
    ]

    def ledgers() -> float:
        began = perf_counter()
        for name, index in places:
            assert arithmetic(record, name, index).agrees
        return (perf_counter() - began) / len(places) * 1000

    values = interleaved({"ours": ledgers}, rounds)
    return [
        Row(
            "one ledger, vgg16 at 224 x 224, the mean of 500 random places", values["ours"], [],
            "arithmetic()", "", "ms", higher_is_better=False, note="once traced; all agree",
        )
    ]  # fmt: skip
