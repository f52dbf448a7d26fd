"""The second way to a trace: a copy without in-place operations, and torch's own hooks."""

import copy

import torch
from torch import nn

import zoo


def without_in_place(module):
    """A copy whose activations leave their inputs alone."""
    twin = copy.deepcopy(module)
    for part in twin.modules():
        if getattr(part, "inplace", False):
            part.inplace = False
    return twin


class OutOfPlaceResidual(zoo.Residual):
    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.shortcut is None else self.shortcut(x)))


def twin_of(name):
    """The network of the family without in-place operations, as hooks need it."""
    twin = without_in_place(zoo.network(name))
    for part in twin.modules():
        if isinstance(part, zoo.Residual):
            part.__class__ = OutOfPlaceResidual
    return twin


def hooked(twin, images, masks=None, targets=None):
    """(outputs, gradients) of every call of every leaf, and of the images, by torch's hooks."""
    outputs, calls = {}, {}

    def remember(path):
        def hook(module, given, output):
            calls[path] = calls.get(path, 0) + 1
            name = path if calls[path] == 1 else f"{path}#{calls[path]}"
            if masks and name in masks:
                output = output * masks[name]
            outputs[name] = output
            return output

        return hook

    handles = [
        part.register_forward_hook(remember(path))
        for path, part in twin.named_modules()
        if not any(part.children()) and path
    ]
    images = images.clone().requires_grad_()
    given = images * masks["input"] if masks and "input" in masks else images * 1
    logits = twin(given)
    for handle in handles:
        handle.remove()
    outputs["input"] = given
    if targets is None:
        return logits, outputs, {}
    before = logits
    if getattr(twin, "head", None) is not None and isinstance(twin.head[-1], nn.Softmax):
        before = outputs["head.1"]
    chosen = before.gather(1, targets[:, None]).sum()
    found = torch.autograd.grad(chosen, list(outputs.values()), allow_unused=True)
    return logits, outputs, dict(zip(outputs, found, strict=True))
