"""What cannot be captured: the message names the line and the remedy, and nothing else is said."""

import inspect
import logging

import pytest
import torch
from torch import nn

from captures import (
    SMALL,
    captured,
    conv,
)
from convscope.base.errors import CaptureError, ConvscopeError
from convscope.graph.capture import capture


class DependsOnValues(nn.Module):
    def forward(self, x):
        if x.sum() > 0:  # here
            return x * 2
        return x


class DependsOnItem(nn.Module):
    def forward(self, x):
        return x * (2 if x.mean().item() > 0 else 3)  # here


class ThroughNumpy(nn.Module):
    def forward(self, x):
        return x + torch.from_numpy(x.numpy())  # here


class ThroughLists(nn.Module):
    def forward(self, x):
        return x * max(x.flatten().tolist())  # here


class FixedByReshape(nn.Module):
    def forward(self, x):
        return x.flatten(1).reshape(2, -1)  # here


class FixedByLength(nn.Module):
    def forward(self, x):
        return x.view(len(x), -1)  # here


class FixedByCondition(nn.Module):
    def forward(self, x):
        if x.shape[0] == 2:  # here
            return x.relu()
        return x


class FixedByLoop(nn.Module):
    def forward(self, x):
        return torch.stack([image.relu() for image in x])  # here


class DoesNotFit(nn.Module):
    def forward(self, x):
        return x @ torch.ones(7, 7)  # here


class Raises(nn.Module):
    def forward(self, x):
        raise ValueError(f"no images of {x.shape[2]} rows")  # here


class WithoutGradient(nn.Module):
    def forward(self, x):
        with torch.no_grad():
            y = x * 2  # here
        return y + x


class Autocast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = conv()

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            y = self.conv(x)  # here
        return y.float()


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class NoTensor(nn.Module):
    def forward(self, x):
        return {"classes": 10}


class NoRows(nn.Module):
    def forward(self, x):
        return x.sum()


REFUSED = {
    DependsOnValues: "torch.where", DependsOnItem: "torch.where", ThroughNumpy: "own operations",
    ThroughLists: "one path", FixedByReshape: r"x.reshape\(-1", FixedByLength: r"not len\(x\)",
    FixedByCondition: "no condition depend", FixedByLoop: "x.shape", DoesNotFit: "eval mode",
    Raises: "no images of 8 rows", WithoutGradient: "Take the region out",
    Autocast: "Take the region out", TwoInputs: "one batch of images",
    NoTensor: "one row per image", NoRows: "one row per image",
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSED, ids=lambda module: module.__name__)
def test_what_cannot_be_captured_names_the_line_and_the_remedy(refused, capfd, caplog):
    with pytest.raises(CaptureError, match=REFUSED[refused]) as raised:
        capture(refused(), torch.zeros(1, *SMALL))
    message = str(raised.value)
    assert message.startswith(refused.__name__)
    lines, first = inspect.getsourcelines(refused)
    marked = [first + number for number, line in enumerate(lines) if line.endswith("# here\n")]
    for number in marked:
        assert f"{__file__}:{number}: " in message
    assert marked or ".py" not in message
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_failure_leaves_the_next_capture_and_torchs_log_alone():
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    before = (logger.level, logger.propagate, logger.disabled, list(logger.handlers))
    with pytest.raises(CaptureError):
        capture(FixedByLength(), torch.zeros(1, *SMALL))
    assert before == (logger.level, logger.propagate, logger.disabled, list(logger.handlers))
    captured(conv())


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 3, 8), (0, 3, 8, 8), (1, 3, 0, 8)])
def test_an_example_must_be_a_batch_of_images(shape):
    with pytest.raises(ConvscopeError, match=r"\(batch, channels, height, width\)"):
        inspect.unwrap(capture)(conv(), torch.zeros(shape))


def test_an_example_of_another_type_or_size_is_refused():
    with pytest.raises(CaptureError, match="size and type"):
        capture(conv().double(), torch.zeros(1, *SMALL))
    with pytest.raises(CaptureError, match="size and type"):
        capture(conv(), torch.zeros(1, 4, 8, 8))
