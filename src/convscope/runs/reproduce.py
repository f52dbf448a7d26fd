"""Compare two runs bit by bit: images, metrics, weights, optimiser and random generator."""

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from convscope.base.errors import ConvscopeError
from convscope.runs.checkpoint import load_checkpoint

# Columns of metrics.csv that are measured times, which differ in every run.
_TIMED = ("images_per_second", "waiting", "seconds")


@dataclass(frozen=True)
class Comparison:
    """The SHA-256 of one part of two runs."""

    part: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        """Whether both are bit-identical."""
        return self.first == self.second


def compare_runs(first: Path, second: Path) -> list[Comparison]:
    """Compares two finished runs, part by part.

    The parts are images and splits, metrics, weights, optimiser and random generator.

    Raises:
        ConvscopeError: a file of one of them is missing.
        WeightsError: a checkpoint is damaged.
    """
    digests, others = _digests(first), _digests(second)
    return [Comparison(part, digest, others.get(part, "")) for part, digest in digests.items()]


def _digests(run: Path) -> dict[str, str]:
    checkpoints = run / "checkpoints"
    last = load_checkpoint(checkpoints / "last.safetensors")
    best = load_checkpoint(checkpoints / "best.safetensors")
    groups = {
        "weights of the last epoch": "module.",
        "optimiser": "optimiser.",
        "random generator": "generator",
    }
    return {
        "images and splits": hashlib.sha256(_content(run / "split.csv")).hexdigest(),
        "figures of every epoch": _figures(run / "metrics.csv"),
        "weights of the best epoch": fingerprint(best.tensors),
        **{
            part: fingerprint({k: v for k, v in last.tensors.items() if k.startswith(prefix)})
            for part, prefix in groups.items()
        },
    }


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, types, shapes and values of tensors, independent of their order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _figures(path: Path) -> str:
    rows = csv.DictReader(io.StringIO(_content(path).decode(errors="replace")))
    kept = [[value for key, value in row.items() if key not in _TIMED] for row in rows]
    return hashlib.sha256(repr(kept).encode()).hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConvscopeError(f"cannot read {path}: {error.strerror or error}") from error
