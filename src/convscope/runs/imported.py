"""Import a weights file of another program into a run folder."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convscope.base.device import channels_last
from convscope.base.download import sha256_of_file
from convscope.base.errors import ConvscopeError, WeightsError
from convscope.base.storage import make_folder, write_json, write_text
from convscope.data.split import COLUMNS
from convscope.nets.catalog import NETWORKS, Shape, build_module, find
from convscope.nets.classifier import Classifier
from convscope.runs.checkpoint import save_checkpoint
from convscope.runs.environment import environment
from convscope.runs.folder import FORMAT
from convscope.training.events import Checkpoint
from convscope.training.recipe import ModelSpec
from convscope.training.state import Position, State
from convscope.weights.fitting import (
    Translation,
    WeightsMatch,
    check_match,
    layer_names,
    load_into,
    match_weights,
    translate,
)
from convscope.weights.preprocessing import (
    DEFAULT_PREPROCESSING,
    bgr_to_rgb,
    class_names_in,
    pixel_scaling,
    preprocess_of,
)
from convscope.weights.reading import open_weights
from convscope.weights.weights_file import WeightsFile, refusal


@dataclass(frozen=True)
class Imported:
    """A network with imported weights, and how they were read.

    Attributes:
        classifier: the network for RGB or grey images; without a head if `headless` was set.
        model: how the network is built.
        source: the file.
        sha256: of the file.
        format: of the file, a name for messages.
        preprocessing: a name of `weights.preprocessing.PREPROCESSINGS`.
        assumed: whether `preprocessing` was not given, but is the usual one of such files.
        size_assumed: whether the input size was computed from the file's first dense layer. It is
            the smallest possible size; larger ones may give feature maps of the same size.
        named: whether class names were given; otherwise the classes are numbered.
        flipped: whether the first convolution was converted from BGR to RGB.
        match: which tensors of file and network match.
        notes: other conversions, a sentence each.
    """

    classifier: Classifier
    model: ModelSpec
    source: Path
    sha256: str
    format: str
    preprocessing: str
    assumed: bool
    size_assumed: bool
    named: bool
    flipped: bool
    match: WeightsMatch
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """JSON-ready values: the content of `import.json`."""
        names = self.classifier.class_names
        return {
            "source": self.source.name,
            "sha256": self.sha256,
            "format": self.format,
            "model": self.model.model_dump(mode="json"),
            "headless": names is None,
            "input": [self.classifier.preprocess.channels, *self.classifier.preprocess.size],
            "size_assumed": self.size_assumed,
            "classes": None if names is None else len(names),
            "classes_named": self.named,
            "preprocessing": self.preprocessing,
            "preprocessing_assumed": self.assumed,
            "first_convolution_turned_to_rgb": self.flipped,
            "matched": list(self.match.matched),
            "missing": list(self.match.missing),
            "unexpected": list(self.match.unexpected),
            "notes": list(self.notes),
        }


def import_weights(
    path: Path,
    model: str,
    *,
    headless: bool = False,
    preprocessing: str | None = None,
    classes: Path | None = None,
    size: int | None = None,
    options: dict[str, Any] | None = None,
) -> Imported:
    """Reads a weights file into a network.

    The number of classes is that of the file's last dense layer. The input size is computed from
    the first one. Names, shapes and types are checked before any value is read.

    Args:
        path: the file. Its format is detected from its content.
        model: a name in the catalog, or the user's function as `package.module:function`.
        headless: whether to leave out the head; the file's dense layers are not used.
        preprocessing: a name of `weights.preprocessing.PREPROCESSINGS`; None takes the usual one
            for files of this kind.
        classes: a file of class names; None numbers the classes.
        size: rows and columns of the input. None computes it from the file's first dense layer, or
            takes the network's default.
        options: of the network, such as `head`.

    Raises:
        WeightsError: the file cannot be read or does not match. The message lists all mismatches.
        ConvscopeError: an unknown model, option or preprocessing, or wrong class names.
    """
    spec = ModelSpec(name=model, options=options or {})
    if preprocessing is not None:
        pixel_scaling(preprocessing)
    if headless and classes is not None:
        raise ConvscopeError("--classes needs a head, but --headless leaves it out; give only one")
    with open_weights(path) as weights_file:
        translation, shape, num_classes = _infer_shape(weights_file, spec, headless, size)
        usual = "minus-one-to-one" if shape[0] == 1 else DEFAULT_PREPROCESSING[translation.naming]
        chosen = preprocessing or usual
        scaling = pixel_scaling(chosen)
        preprocess = preprocess_of(scaling, shape)
        names = _class_names(classes, num_classes)
        module = _build(spec, num_classes, shape, on_meta=True)
        match = match_weights(translation, weights_file.declared, module)
        about = f"{model}{' without its head' if headless else ''}"
        check_match(match, translation, weights_file, about, headless=headless)
        module = _allocate(module, spec, num_classes, shape)
        load_into(module, translation, match, weights_file)
        if scaling.bgr:
            bgr_to_rgb(module)
        notes = (*weights_file.notes, *translation.notes)
        file_format = weights_file.format
    return Imported(
        classifier=Classifier(model, channels_last(module).eval(), preprocess, names),
        model=spec, source=path, sha256=_sha256(path), format=file_format, preprocessing=chosen,
        assumed=preprocessing is None,
        size_assumed=size is None and shape[1:] != find(spec.name).input_shape[1:],
        named=classes is not None, flipped=scaling.bgr, match=match, notes=notes,
    )  # fmt: skip


def _sha256(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error


def _class_names(path: Path | None, num_classes: int | None) -> tuple[str, ...] | None:
    if num_classes is None:
        return None
    return class_names_in(path, num_classes) if path else tuple(map(str, range(num_classes)))


def _infer_shape(
    weights_file: WeightsFile, spec: ModelSpec, headless: bool, size: int | None
) -> tuple[Translation, Shape, int | None]:
    """The translation of the file, and the input shape and number of classes that it implies."""
    default = find(spec.name).input_shape
    module = _build(spec, 1000, default, on_meta=True)
    translation = translate(weights_file, module)
    convolutions = layer_names(module, nn.Conv2d)
    first = translation.sources.get(f"{convolutions[0]}.weight") if convolutions else None
    channels = first.shape[1] if first is not None and len(first.shape) == 4 else default[0]
    if channels not in (1, 3):
        raise refusal(
            weights_file.path,
            f"its first convolution has {channels} input channels",
            "give weights of a network for grey or RGB images",
        )
    if headless:
        shape = (channels, size or default[1], size or default[2])
        trunk = _build(spec, None, shape, on_meta=True)
        return translate(weights_file, trunk), shape, None
    side = translation.maps_side(module)
    pools = sum(isinstance(part, nn.MaxPool2d | nn.AvgPool2d) for part in module.modules())
    known = side is not None and spec.name in NETWORKS and side << pools <= 4096
    rows, columns = (side << pools,) * 2 if side is not None and known else default[1:]
    if size is not None:
        rows = columns = size
    count = translation.num_classes(module)
    if not count or count > 1 << 20:  # a hostile file may claim any number
        count = 1000
    return translation, (channels, rows, columns), count


def _build(spec: ModelSpec, num_classes: int | None, shape: Shape, *, on_meta: bool) -> nn.Module:
    device = torch.device("meta" if on_meta and spec.name in NETWORKS else "cpu")
    with torch.random.fork_rng(devices=[]), device:
        return build_module(spec.name, num_classes=num_classes, input_shape=shape, **spec.options)


def _allocate(
    module: nn.Module, spec: ModelSpec, num_classes: int | None, shape: Shape
) -> nn.Module:
    """`module` with memory for its values. A user's network is built again, on the CPU."""
    if spec.name not in NETWORKS:
        return _build(spec, num_classes, shape, on_meta=False)
    module = module.to_empty(device="cpu")
    for buffer in module.buffers():
        buffer.zero_()
    return module


def write_imported(folder: Path, imported: Imported) -> None:
    """Writes a run folder, completely or not at all.

    Raises:
        ConvscopeError: `folder` is not empty, or cannot be written.
    """
    folder = folder.resolve()
    check_free(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        make_folder(temporary)
        _write(temporary, imported)
        temporary.replace(folder)
    except OSError as error:
        raise ConvscopeError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_free(folder: Path) -> None:
    """Checks that a new run can be written to `folder`.

    Raises:
        ConvscopeError: the folder is not empty, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConvscopeError(f"{folder} exists already; choose another --out")


def _write(folder: Path, imported: Imported) -> None:
    classifier = imported.classifier
    tensors = {f"module.{name}": value for name, value in classifier.module.state_dict().items()}
    checkpoint = Checkpoint(
        state=State(Position(), tensors), classifier=classifier, recipe=None,
        model=imported.model, best=True,
    )  # fmt: skip
    save_checkpoint(folder / "checkpoints" / "best.safetensors", checkpoint, weights_only=True)
    names = classifier.class_names
    write_json(folder / "classes.json", None if names is None else list(names))
    write_json(folder / "preprocess.json", classifier.preprocess.model_dump(mode="json"))
    write_json(folder / "environment.json", environment())
    write_json(folder / "import.json", imported.as_json())
    # The training images are unknown, so the table that `evaluate` compares with is empty.
    write_text(folder / "split.csv", ",".join(COLUMNS) + "\n")
    write_json(folder / "run.json", {"format": FORMAT, "status": "imported"})
