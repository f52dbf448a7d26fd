"""Whether two runs came to the same numbers, to the last bit."""

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

# Columns of metrics.csv that tell of the clock.
_TIMED = ("images_per_second", "waiting", "seconds")


@dataclass(frozen=True)
class Compared:
    """One part of a run beside the same part of another: the SHA-256 of both."""

    part: str
    first: str
    second: str

    @property
    def same(self) -> bool:
        """Whether every bit is the same."""
        return self.first == self.second


def compared(first: Path, second: Path) -> list[Compared]:
    """Two finished runs, part by part: images and splits, figures, weights, optimiser, generator.

    Raises:
        ConvscopeError: a file of one of them is missing.
        WeightsError: a checkpoint is damaged.
    """
    prints = [_fingerprints(run) for run in (first, second)]
    return [Compared(part, digest, prints[1].get(part, "")) for part, digest in prints[0].items()]


def _fingerprints(run: Path) -> dict[str, str]:
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
    """SHA-256 of the names, types, shapes and values of tensors, whatever their order."""
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
