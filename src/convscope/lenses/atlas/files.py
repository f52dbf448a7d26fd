"""A stored atlas, read layer by layer.

atlas.json            what it was made from, and how; written last: the other files are complete
images.csv            path, label, sha256 of every image; `images` are numbers of its rows
NN-LAYER.safetensors  one file per layer: ranking, crops and projections, as in `Layer`
pass.safetensors      while the atlas is made: the rankings over the images so far
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from convscope import __version__
from convscope.base.errors import ConvscopeError
from convscope.base.storage import (
    read_json,
    safe_name,
    sha256_of,
    write_bytes,
    write_json,
    write_text,
)
from convscope.data.dataset import Dataset
from convscope.graph.graph import Graph
from convscope.lenses.atlas.projections import Projections
from convscope.lenses.atlas.ranking import Ranking

FORMAT = 1
ABOUT, IMAGES, PASS = "atlas.json", "images.csv", "pass.safetensors"
_KEY = "convscope"
_COLUMNS = "path", "label", "sha256"
_RANKED = tuple(field.name for field in fields(Ranking) if field.name not in ("node", "count"))


@dataclass(frozen=True)
class About:
    """The inputs and settings of an atlas; two atlases with the same ones have the same content.

    Attributes:
        format: of the folder.
        weights: `Graph.digest` of the network.
        preprocess: the network's view of an image.
        data: the data set's name.
        split: of the data set.
        paths: SHA-256 of the images' paths and labels.
        class_names: empty without labels.
        layers: in the network's order.
        top: images per channel.
        projected: how many channels of each layer are projected; None: all.
        seed: of their draw.
    """

    format: int
    weights: str
    preprocess: dict[str, Any]
    data: str
    split: str
    paths: str
    class_names: list[str]
    layers: list[str]
    top: int
    projected: int | None
    seed: int

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "About":
        """From JSON; keys of other versions are ignored.

        Raises:
            KeyError, TypeError: a key is missing, or the JSON is not an object.
        """
        return cls(**{field.name: values[field.name] for field in fields(cls)})


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of an atlas.

    Attributes:
        ranking: the top images of its channels.
        crops: (channels, top, 4) what the units see of them, as in `crops_of`.
        exact: whether they see exactly that; else it is a bound.
        projections: of some of the channels, or all.
    """

    ranking: Ranking
    crops: np.ndarray
    exact: bool
    projections: Projections

    def projection(self, channel: int, rank: int) -> np.ndarray | None:
        """What activated a channel in one of its top images, cut to the crop, signed.

        (colours, height, width) float32, in units of the activation; None: it was not projected.
        """
        places = np.flatnonzero(self.projections.channels == channel)
        if not len(places):
            return None
        top, left, bottom, right = self.crops[channel, rank].tolist()
        shares = self.projections.shares[places[0], rank, :, : bottom - top, : right - left]
        return shares.astype(np.float32) * self.projections.scales[places[0], rank]


@dataclass(frozen=True, eq=False)
class Atlas:
    """A complete atlas: its folder, what it was made from, and its images."""

    folder: Path
    about: About
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    digests: tuple[str, ...]

    def layer(self, name: str) -> Layer:
        """A layer's ranking, crops and projections.

        Raises:
            ConvscopeError: the atlas does not have it, or its file is damaged.
        """
        if name not in self.about.layers:
            raise ConvscopeError(
                f"{self.folder} has no layer {name!r}; it has {', '.join(self.about.layers)}"
            )
        return _read_layer(layer_path(self.folder, self.about, name), name)

    def is_of(self, graph: Graph) -> bool:
        """Whether it was made with these weights."""
        return self.about.weights == graph.digest()

    def changed(self, dataset: Dataset) -> int:
        """How many of its images are missing from a data set, or have other content there."""
        place = {path: index for index, path in enumerate(dataset.paths)}
        return sum(
            path not in place or sha256_of(dataset.source.content(place[path])) != digest
            for path, digest in zip(self.paths, self.digests, strict=True)
        )


def read_atlas(folder: Path) -> Atlas:
    """The atlas in a folder.

    Raises:
        ConvscopeError: there is none, it was not finished, or it is damaged or of another format.
    """
    if not (folder / ABOUT).exists():
        what = "is not finished" if (folder / PASS).exists() else "holds no atlas"
        raise ConvscopeError(f"{folder} {what}; make it with: convscope atlas")
    values = read_json(folder / ABOUT)
    try:
        if values["format"] != FORMAT:
            raise ConvscopeError(
                f"{folder} has format {values['format']}, this version of convscope reads {FORMAT}"
            )
        about = About.parse(values)
        rows = list(csv.DictReader(io.StringIO((folder / IMAGES).read_text(encoding="utf-8"))))
        columns = [tuple(row[key] for row in rows) for key in _COLUMNS]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConvscopeError(
            f"{folder} is damaged ({error}); delete it and make it again"
        ) from None
    return Atlas(folder, about, *columns)


def write_about(
    folder: Path, about: About, dataset: Dataset, digests: Sequence[bytes]
) -> None:  # fmt: skip
    """Completes an atlas: writes the list of its images, then `atlas.json`."""
    names = about.class_names
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for path, label, digest in zip(dataset.paths, dataset.labels.tolist(), digests, strict=True):
        writer.writerow([path, names[label] if names else "", digest.hex()])
    write_text(folder / IMAGES, table.getvalue())
    write_json(folder / ABOUT, {**asdict(about), "convscope": __version__})


def layer_path(folder: Path, about: About, name: str) -> Path:
    """The file of a layer."""
    safe = safe_name(name)
    return folder / f"{about.layers.index(name):02d}-{safe}.safetensors"


def write_layer(path: Path, layer: Layer) -> None:
    """Writes a layer's file; a crash leaves no part of it."""
    found = layer.projections
    arrays = {
        **_arrays(layer.ranking), "crops": layer.crops, "channels": found.channels,
        "shares": found.shares, "scales": found.scales,
    }  # fmt: skip
    _write(path, arrays, {"count": layer.ranking.count, "exact": layer.exact})


def _read_layer(path: Path, name: str) -> Layer:
    arrays, about = _read(path)
    try:
        return Layer(
            _ranking(name, arrays, "", about["count"]),
            arrays["crops"],
            about["exact"],
            Projections(arrays["channels"], arrays["shares"], arrays["scales"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def write_pass(
    folder: Path, about: About, rankings: Mapping[str, Ranking], digests: Sequence[bytes]
) -> None:
    """Writes the rankings over the images so far, to continue from."""
    arrays = {"digests": np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)}
    for number, name in enumerate(about.layers):
        arrays |= _arrays(rankings[name], f"{number}.")
    _write(folder / PASS, arrays, asdict(about))


def read_pass(folder: Path, about: About) -> tuple[dict[str, Ranking], list[bytes]] | None:
    """The rankings and the digests of the images so far; None where they are of another atlas."""
    try:
        arrays, made = _read(folder / PASS)
        if About.parse(made) != about:
            return None
        digests = [row.tobytes() for row in arrays["digests"]]
        return {
            name: _ranking(name, arrays, f"{number}.", len(digests))
            for number, name in enumerate(about.layers)
        }, digests
    except (ConvscopeError, KeyError, TypeError, ValueError):
        return None  # truncated or of another version: the pass starts again


def _arrays(ranking: Ranking, prefix: str = "") -> dict[str, np.ndarray]:
    return {prefix + name: getattr(ranking, name) for name in _RANKED}


def _ranking(name: str, arrays: Mapping[str, np.ndarray], prefix: str, count: int) -> Ranking:
    return Ranking(node=name, count=count, **{key: arrays[prefix + key] for key in _RANKED})


def _write(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    # One entry: the order of several would change the bytes from file to file.
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(path, safetensors.numpy.save(plain, {_KEY: json.dumps(about)}))


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads(file.metadata()[_KEY])
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> ConvscopeError:
    return ConvscopeError(
        f"{path} is missing or damaged ({error}); delete {path.parent} and make it again with: "
        "convscope atlas"
    )
