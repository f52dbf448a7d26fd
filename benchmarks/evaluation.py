"""Evaluation of JPEG files at 64 pixels: `predictions_of` beside a plain PyTorch loop.

The plain loop is what one writes by hand: Pillow decodes and resizes in two worker processes of a
`DataLoader`, which stay alive between the rounds; the same weights run channels-last in the same
batches of 64.
"""

from copy import deepcopy
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from benchmarks.jpegs import jpeg_folder, mean_bytes
from benchmarks.measure import Row, interleaved
from convscope.data.dataset import Dataset
from convscope.data.folder import read_folder
from convscope.evaluation.predictions import predictions_of
from convscope.nets.catalog import build_model
from convscope.nets.classifier import Classifier

_SIDE = 64


class _Files(TorchDataset[torch.Tensor]):
    """Image files, decoded, resized to a shorter side of 64 and cut by Pillow: HWC uint8."""

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = Image.open(self._paths[index]).convert("RGB")
        scale = _SIDE / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - _SIDE) // 2, (height - _SIDE) // 2
        return torch.from_numpy(np.array(image.crop((left, top, left + _SIDE, top + _SIDE))))


def measure(count: int, rounds: int) -> list[Row]:
    """One row, in images a second."""
    folder = jpeg_folder()
    dataset = read_folder(folder, "jpegs")
    indices = np.arange(count)
    classifier = build_model(
        "vgg-small", num_classes=len(dataset.class_names), input_shape=(3, _SIDE, _SIDE), seed=0
    )
    answers: dict[str, np.ndarray] = {}

    def ours() -> float:
        began = perf_counter()
        answers["ours"] = predictions_of(classifier, dataset, indices).logits
        return count / (perf_counter() - began)

    values = interleaved(
        {"ours": ours, "peer": _plain(classifier, dataset, indices, answers)}, rounds
    )
    same = float((answers["ours"].argmax(1) == answers["peer"].argmax(1)).mean())
    note = (
        f"{count:,} JPEGs of 500 x 375, {mean_bytes(folder) / 1000:.0f} kB each, from the page "
        f"cache; same top-1 class on {same:.1%} of them (the two resize with different code)"
    )
    row = Row(
        "evaluation from JPEG files, vgg-small at 64 x 64", values["ours"], values["peer"],
        "predictions_of", "PyTorch DataLoader (2 workers) with Pillow", "images/s", note=note,
        extra={"same_top1": same},
    )  # fmt: skip
    return [row]


def _plain(
    classifier: Classifier, dataset: Dataset, indices: np.ndarray, answers: dict[str, np.ndarray]
):
    module = deepcopy(classifier.module).to(memory_format=torch.channels_last).eval()
    root = jpeg_folder()
    files = _Files([str(root / dataset.paths[i]) for i in indices.tolist()])
    loader = DataLoader(files, batch_size=64, num_workers=2, persistent_workers=True)
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1) * 255
        for values in (classifier.preprocess.mean, classifier.preprocess.std)
    )

    def run() -> float:
        began, rows = perf_counter(), []
        with torch.inference_mode():
            for pixels in loader:
                images = pixels.permute(0, 3, 1, 2).float()  # channels-last already
                rows.append(module((images - mean) / std).numpy())
        answers["peer"] = np.concatenate(rows)
        return len(indices) / (perf_counter() - began)

    return run
