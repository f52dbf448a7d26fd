"""One checkpoint is one safetensors file that vouches for itself.

Weights, and for a state also optimiser and random generator, with everything needed to use them in
the header's metadata: position, model, preprocessing, class names. Beside them the SHA-256 of the
whole file (computed with zeros in its place): a file that is cut short or has one bit wrong is
refused. Any safetensors reader can open it.
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
class Stored:
    """What a checkpoint file holds.

    `recipe` stands in states to resume from; `class_names` is None for a trunk without a head.
    """

    tensors: dict[str, Tensor]
    position: Position
    recipe: Recipe | None
    model: ModelSpec
    preprocess: Preprocess
    class_names: tuple[str, ...] | None

    def state(self) -> State:
        """To resume training from."""
        return State(self.position, self.tensors)

    def classifier(self, where: str) -> Classifier:
        """The network with these weights.

        Raises:
            WeightsError: naming `where`, when they do not fit the network.
        """
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten at once
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
    """Stores a checkpoint at `path`, whole or not at all.

    Raises:
        ConvscopeError: naming `path`, when it cannot be written.
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
    place = _digest_place(content, _BLANK)
    digest = hashlib.sha256(content).hexdigest().encode()
    write_bytes(path, content[:place], digest, content[place + 64 :])


def load_checkpoint(path: Path) -> Stored:
    """Reads and checks the file that `save_checkpoint` wrote.

    Raises:
        ConvscopeError: the file is not there.
        WeightsError: it is damaged, or of another format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConvscopeError(f"cannot read {path}: {error.strerror or error}") from error
    about = _checked(content, path)
    if about.get("format") != FORMAT:
        raise WeightsError(
            f"{path} has format {about.get('format')}, this version of convscope reads {FORMAT}"
        )
    return Stored(
        tensors=safetensors.torch.load(content),
        position=Position.from_json(about["position"]),
        recipe=Recipe.parse(recipe, str(path)) if (recipe := about.get("recipe")) else None,
        model=ModelSpec.parse(about["model"], str(path)),
        preprocess=Preprocess.parse(about["preprocess"], str(path)),
        class_names=None if about["class_names"] is None else tuple(about["class_names"]),
    )


def _checked(content: bytes, path: Path) -> dict[str, Any]:
    damaged = WeightsError(
        f"{path} is damaged: its SHA-256 is not the stored one; use another checkpoint of the run"
    )
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        stored = header["__metadata__"][_KEY]
        view = memoryview(content)
        place = _digest_place(view, stored)
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        raise damaged from None
    found = hashlib.sha256(view[:place])
    found.update(_BLANK.encode())
    found.update(view[place + 64 :])
    if found.hexdigest() != stored:
        raise damaged
    return json.loads(header["__metadata__"]["convscope"])


def _digest_place(content: memoryview, digest: str) -> int:
    """Where the digest stands in the header; what it belongs to is written right before it."""
    header = bytes(content[: 8 + int.from_bytes(content[:8], "little")])
    place = header.index(f'"{_KEY}":"{digest}"'.encode()) + len(_KEY) + 4
    if len(digest) != 64:
        raise ValueError("not a SHA-256")
    return place
