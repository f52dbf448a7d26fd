"""What the browser tests explore: a small network with every kind of layer, and images for it."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from convscope.contract.files import as_json
from convscope.data.dataset import Dataset
from convscope.graph.graph_of import graph_of
from convscope.images.preprocess import Preprocess
from convscope.lenses.atlas.files import Atlas
from convscope.lenses.atlas.make import make_atlas
from convscope.lenses.shift.compute import shift_tables
from convscope.lenses.shift.files import result_of
from convscope.lenses.shift.files import write_study as write_shift_study
from convscope.lenses.shift.statistics import share_of
from convscope.lenses.shift.study import Example, Fit, RunShift, ShiftStudy
from convscope.nets.classifier import Classifier

# As nasty as a folder's name may be; the page must show it, not run it.
CLASSES = (
    "coat",
    "<img src=x onerror=alert(1)>",
    "naïve & “quoted”",
    "l" + "o" * 60 + "ng",
    "zebra",
)
SIDE = 16


class Explored(nn.Module):
    """Convolution, norm, pools of all sorts, an add, a concatenation, and a head with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.block = nn.Conv2d(6, 6, 3, padding=1)
        self.strided = nn.Conv2d(6, 8, 3, stride=2, groups=2)
        self.narrow = nn.Conv2d(6, 4, 1)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc1 = nn.Linear(48, 12)
        self.dropout = nn.Dropout(0.5)
        self.fc2 = nn.Linear(12, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(self.block(x) + x)
        y = F.adaptive_max_pool2d(torch.sigmoid(self.strided(x)), 3)
        z = F.avg_pool2d(self.narrow(x), 3, 2)
        x = torch.cat([y, z], 1)
        x = self.dropout(F.relu(self.fc1(torch.flatten(self.pool(x), 1))))
        return self.fc2(x)


def classifier() -> Classifier:
    """The network with seeded random weights and batch-norm statistics, in eval mode."""
    torch.manual_seed(4)
    module = Explored()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, 0, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.3)
    nn.init.normal_(module.fc2.weight, 0, 1.2)
    preprocess = Preprocess(
        size=(SIDE, SIDE), channels=3, resize=SIDE, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3)
    )
    return Classifier("explored", module.eval(), preprocess, CLASSES)


def write_atlas(run: Path, classifier: Classifier, dataset: Dataset) -> Atlas:
    """What the channels of some layers look for in all images, as in a run's folder."""
    layers = ["stem.0", "stem.3", "block", "narrow"]
    return make_atlas(run / "atlas" / "all", classifier, dataset, "all", layers, projected=6)


def dense() -> Classifier:
    """A network without convolutions that sees the same pixels and knows the same classes."""
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 8), nn.ReLU(), nn.Linear(8, len(CLASSES))
    )
    return Classifier("dense", module.eval(), classifier().preprocess, CLASSES)


def write_study(run: Path, classifiers: dict[str, Classifier], dataset: Dataset) -> list[dict]:
    """What `convscope shift` stores, of all images and without layers: its JSON."""
    preprocess = classifier().preprocess
    images = [dataset.image(i, preprocess.channels) for i in range(len(dataset))]
    tables = shift_tables(list(classifiers.values()), images, dataset.labels, max_shift=2)
    runs = []
    for (name, one), table in zip(classifiers.items(), tables, strict=True):
        right = table.predicted[:, 2, 2] == dataset.labels
        parameters = sum(p.numel() for p in one.module.parameters())
        fit = Fit(graph_of(one).digest(), parameters, None, None, share_of(right), None, None)
        runs.append(RunShift(name, one.name, table, (), fit, 0))
    example = Example(0, dataset.paths[0], CLASSES[dataset.labels[0]], images[0])
    study = ShiftStudy(
        "images", "all", len(dataset), len(dataset), tuple(runs), (), example, CLASSES
    )
    result = result_of(study)
    write_shift_study(run / "shift" / "all-zero-2", study, result)
    return as_json(result)


def write_images(folder: Path, per_class: int = 6) -> None:
    """A class folder a class, with seeded images of 20 x 16 pixels."""
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[0:16, 0:20]
    for number, name in enumerate(CLASSES):
        # A folder name cannot hold a slash; the rest is what the classes are called.
        (folder / name).mkdir(parents=True)
        for place in range(per_class):
            wave = np.sin((rows * (number + 1) + columns * (place + 1)) / 4)[..., None]
            pixels = 128 + 80 * wave * random.uniform(0.3, 1, 3) + random.normal(0, 12, (16, 20, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / name / f"{place}.png")
