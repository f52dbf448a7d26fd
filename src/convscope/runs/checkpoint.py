"""Read and write checkpoints: one safetensors file each, with its own SHA-256.

The file has the weights and, to resume training, the states of optimiser and random generator. The
header's metadata has everything needed to use them: position, model, preprocessing, class names. It
also has the SHA-256 of the complete file, computed with zeros in place of the digest, so that a
truncated file or a wrong bit is detected. Any safetensors reader can open the file.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from convscope import __version__
from convscope.base.device import channels_last
from convscope.base.errors import ConvscopeError, WeightsError
from convscope.base.storage import write_bytes
from convscope.images.preprocess import Preprocess
from convscope.nets.catalog import build_module
from convscope.nets.classifier import Classifier
from convscope.training.events import Checkpoint
from convscope.training.recipe import ModelSpec, Recipe
from convscope.training.state import Position, State, load_weights

FORMAT = 1
_BLANK = "0" * 64
_KEY = "sha256"


@dataclass(frozen=True)
class StoredCheckpoint:
    """The content of a checkpoint file.

    Attributes:
        tensors: weights as `module.NAME`; in a complete state also `optimiser.*`, `generator*`.
        position: in the run.
        recipe: of the run; None in a file that has only weights.
        model: how to build the network.
        preprocess: of the network's input.
        class_names: in the order of the logits; None for a network without a head.
    """

    tensors: dict[str, Tensor]
    position: Position
    recipe: Recipe | None
    model: ModelSpec
    preprocess: Preprocess
    class_names: tuple[str, ...] | None

    def state(self) -> State:
        """The state from which training can be resumed."""
        return State(self.position, self.tensors)

    def classifier(self, where: str) -> Classifier:
        """The network with these weights, in eval mode.

        Raises:
            WeightsError: the weights do not match the network. The message names `where`.
        """
        with torch.random.fork_rng(devices=[]):  # the random weights are overwritten at once
            module = build_module(
                self.model.name,
                num_classes=None if self.class_names is None else len(self.class_names),
                input_shape=(self.preprocess.channels, *self.preprocess.size),
                **self.model.options,
            )
        load_weights(module, self.state().weights(), where)
        module = channels_last(module).eval()
        return Classifier(self.model.name, module, self.preprocess, self.class_names)


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, weights_only: bool) -> None:
    """Writes a checkpoint to `path` atomically.

    Args:
        path: of the file.
        checkpoint: the event.
        weights_only: leaves out optimiser, random generator and recipe.

    Raises:
        ConvscopeError: the file cannot be written. The message names it.
    """
    tensors, recipe = checkpoint.state.tensors, checkpoint.recipe
    if weights_only:
        tensors = {name: t for name, t in tensors.items() if name.startswith("module.")}
    about = {
        "format": FORMAT,
        "convscope": __version__,
        "position": checkpoint.state.position.as_json(),
        "recipe": None if weights_only or recipe is None else recipe.model_dump(mode="json"),
        "model": checkpoint.model.model_dump(mode="json"),
        "preprocess": checkpoint.classifier.preprocess.model_dump(mode="json"),
        "class_names": checkpoint.classifier.class_names,
    }
    metadata = {"convscope": json.dumps(about, allow_nan=False), _KEY: _BLANK}
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = memoryview(safetensors.torch.save(plain, metadata))
    offset = _digest_offset(content, _BLANK)
    digest = hashlib.sha256(content).hexdigest().encode()
    write_bytes(path, content[:offset], digest, content[offset + 64 :])


def load_checkpoint(path: Path) -> StoredCheckpoint:
    """Reads a file that `save_checkpoint` wrote, and verifies its SHA-256.

    Raises:
        ConvscopeError: the file does not exist or cannot be read.
        WeightsError: the file is damaged, or of another format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConvscopeError(f"cannot read {path}: {error.strerror or error}") from error
    about = _verified_metadata(content, path)
    if about.get("format") != FORMAT:
        raise WeightsError(
            f"{path} has format {about.get('format')}, but this version of convscope reads "
            f"{FORMAT}; use the version that wrote it"
        )
    return StoredCheckpoint(
        tensors=safetensors.torch.load(content),
        position=Position.from_json(about["position"]),
        recipe=Recipe.parse(recipe, str(path)) if (recipe := about.get("recipe")) else None,
        model=ModelSpec.parse(about["model"], str(path)),
        preprocess=Preprocess.parse(about["preprocess"], str(path)),
        class_names=None if about["class_names"] is None else tuple(about["class_names"]),
    )


def _verified_metadata(content: bytes, path: Path) -> dict[str, Any]:
    damaged = WeightsError(
        f"{path} is damaged: its SHA-256 is not the stored one; use another checkpoint of the run"
    )
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        stored = header["__metadata__"][_KEY]
        view = memoryview(content)
        offset = _digest_offset(view, stored)
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        raise damaged from None
    digest = hashlib.sha256(view[:offset])
    digest.update(_BLANK.encode())
    digest.update(view[offset + 64 :])
    if digest.hexdigest() != stored:
        raise damaged
    return json.loads(header["__metadata__"]["convscope"])


def _digest_offset(content: memoryview, digest: str) -> int:
    """The offset of the digest in the file; the key precedes it, so that it cannot be mistaken."""
    header = bytes(content[: 8 + int.from_bytes(content[:8], "little")])
    offset = header.index(f'"{_KEY}":"{digest}"'.encode()) + len(_KEY) + 4
    if len(digest) != 64:
        raise ValueError("not a SHA-256")
    return offset
