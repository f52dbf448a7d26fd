"""Small networks of every family, hand-written, with random weights and batch-norm statistics."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convscope.nets.catalog import build_module

SIDE = 32


class Residual(nn.Module):
    """Two convolutions and a shortcut, the activation reused and in place, as in ResNet."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = None
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.shortcut is None else self.shortcut(x)
        return self.relu(y)


class ResNetLike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential(Residual(8, 8), Residual(8, 16, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.pool(self.stem(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Mixed(nn.Module):
    """Four branches side by side, as in Inception; functional activations."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inputs, 4, 1)
        self.three = nn.Sequential(nn.Conv2d(inputs, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 1, 1))
        self.wide = nn.Conv2d(inputs, 4, (1, 7), padding=(0, 3))
        self.tall = nn.Conv2d(4, 4, (7, 1), padding=(3, 0))
        self.pooled = nn.Conv2d(inputs, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        branches = [
            F.relu(self.one(x)),
            F.relu(self.three(x)),
            F.relu(self.tall(F.relu(self.wide(x)))),
            F.relu(self.pooled(F.avg_pool2d(x, 3, 1, 1))),
        ]
        return torch.cat(branches, 1)


class InceptionLike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2)
        self.mixed1 = Mixed(8)
        self.reduce = nn.Conv2d(17, 12, 3, 2)
        self.mixed2 = Mixed(29)
        self.fc = nn.Linear(17, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mixed1(F.relu(self.stem(x)))
        x = torch.cat([self.reduce(x), F.max_pool2d(x, 3, 2)], 1)
        return self.fc(self.mixed2(x).mean((2, 3)))


class DenseNetLike(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8 + 4 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(8 + 4 * i, 4, 3, padding=1) for i in range(3))
        self.transition = nn.Sequential(nn.Conv2d(20, 10, 1), nn.AvgPool2d(2, 2))
        self.norm = nn.BatchNorm2d(10)
        self.classifier = nn.Linear(10, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        x = F.relu(self.norm(self.transition(torch.cat(features, 1))))
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class Depthwise(nn.Module):
    """Inverted residual with squeeze and excitation, as in MobileNet v3; dilated and strided."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Sequential(nn.Conv2d(3, 12, 1, bias=False), nn.BatchNorm2d(12))
        self.depthwise = nn.Conv2d(12, 12, 3, 2, padding=2, dilation=2, groups=12)
        self.squeeze = nn.Conv2d(12, 6, 1)
        self.excite = nn.Conv2d(6, 12, 1)
        self.grouped = nn.Conv2d(12, 8, 3, padding="same", groups=4)
        self.head = nn.Sequential(nn.Linear(8, 16), nn.Hardswish(), nn.Dropout(0.2))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.depthwise(F.hardswish(self.expand(x))))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = F.silu(self.grouped(x * gate))
        return self.fc(self.head(x.mean([2, 3])))


class Functional(nn.Module):
    """Branches, scaled sums, channels split and joined, a loop, in-place calls."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.ParameterList(
            [nn.Parameter(torch.randn(8, 3, 3, 3) / 5), nn.Parameter(torch.randn(8, 8, 3, 3) / 8)]
        )
        self.scale = nn.Parameter(torch.full((8, 1, 1), 0.5))
        self.act = nn.LeakyReLU(0.1, inplace=True)
        self.fc = nn.Linear(8 * 8 * 8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x * 2 - 0.5, self.kernels[0], padding=1)
        x = self.act(F.local_response_norm(x, 5, alpha=1e-2))
        left, right = x.chunk(2, 1)
        x = torch.cat([right.tanh(), left], 1)
        for _ in range(2):
            x = self.act(F.conv2d(x, self.kernels[1], padding=1).add_(x, alpha=0.5))
        x = F.pad(x * self.scale, (1, 2, 0, 1), mode="reflect")
        x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True) / 3
        x = F.adaptive_max_pool2d(x, (12, 10)) + F.adaptive_avg_pool2d(x, (12, 10))
        x = F.avg_pool2d(x, 2, 1, 1, count_include_pad=False)[:, :, 2:10, 1:9]
        return self.fc(x.reshape(x.shape[0], -1))


class Activations(nn.Module):
    """One after the other all activation functions that are known by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.acts = nn.Sequential(
            nn.GELU(), nn.ELU(), nn.SELU(), nn.CELU(0.7), nn.Mish(), nn.Softplus(), nn.Hardtanh(),
            nn.GELU(approximate="tanh"), nn.Sigmoid(), nn.Hardsigmoid(), nn.Tanh(), nn.ReLU6(),
            nn.SiLU(), nn.Hardswish(), nn.LeakyReLU(0.2), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(6 * 30 * 30, 10), nn.Softmax(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.acts(self.conv(x)))


def _vgg(name: str, **options: object) -> Callable[[], nn.Module]:
    return lambda: build_module(
        name, num_classes=10, input_shape=(3, SIDE, SIDE), init="he", **options
    )


_NARROW = {"widths": (4, 6, 8, 8, 8), "head": (16, 16)}
FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "vgg": _vgg("vgg16", **_NARROW),
    "vgg-bn": _vgg("vgg11-bn", **_NARROW),
    "vgg-lrn": _vgg("vgg11-lrn", **_NARROW),
    "mlp": _vgg("mlp", hidden=(16, 16)),
    "resnet": ResNetLike,
    "inception": InceptionLike,
    "densenet": DenseNetLike,
    "depthwise": Depthwise,
    "functional": Functional,
    "activations": Activations,
}


def network(name: str, seed: int = 0) -> nn.Module:
    """A network of the family in eval mode, (batch, 3, 32, 32) to 10 classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = FAMILIES[name]()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias)
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    return module.eval()


def images(count: int = 2, seed: int = 0, side: int = SIDE) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
