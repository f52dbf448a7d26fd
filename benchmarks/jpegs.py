"""JPEG files to measure with: made once, from seeded noise, kept in the system's temporary folder.

The noise has seven octaves with amplitudes that fall as in photographs, so that the files have the
size and the decoding time of photographs of 500 x 375 pixels.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from convscope.base.device import num_cpus

CLASSES = 10
DISTINCT = 2_000
_VERSION = 1
_WIDTH, _HEIGHT, _QUALITY = 500, 375, 88
# Rows and columns of each octave's noise, and its amplitude in grey levels.
_OCTAVES = ((3, 4, 60), (6, 8, 45), (12, 16, 30), (24, 32, 22), (47, 63, 16), (94, 125, 12))
_FINE = 5


def jpeg_folder(count: int = DISTINCT) -> Path:
    """A folder with `count` JPEGs in ten class folders; made where it is not there yet.

    From the 2,001st on they are hard links to the first 2,000, under other names.
    """
    root = Path(tempfile.gettempdir()) / f"convscope-benchmarks-{os.getuid()}"
    distinct = _made(root / f"jpeg-{min(count, DISTINCT)}-v{_VERSION}", min(count, DISTINCT), _draw)
    if count <= DISTINCT:
        return distinct
    sources = sorted(distinct.glob("*/*.jpg"), key=lambda path: path.name)

    def link(index: int, path: Path) -> None:
        os.link(sources[index % len(sources)], path)

    return _made(root / f"jpeg-{count}-v{_VERSION}", count, link)


def mean_bytes(folder: Path) -> float:
    """The mean size of the files."""
    return float(np.mean([path.stat().st_size for path in folder.glob("*/*.jpg")]))


def _made(folder: Path, count: int, make: Callable[[int, Path], None]) -> Path:
    if folder.is_dir():
        return folder
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    for label in range(CLASSES):
        (part / str(label)).mkdir(parents=True)
    with ThreadPoolExecutor(num_cpus()) as pool:
        paths = (part / str(index % CLASSES) / f"{index:06d}.jpg" for index in range(count))
        for _ in pool.map(make, range(count), paths):
            pass
    try:
        part.rename(folder)
    except OSError:  # another run was faster
        shutil.rmtree(part)
    return folder


def _draw(index: int, path: Path) -> None:
    generator = np.random.default_rng([_VERSION, index])
    pixels = np.full((_HEIGHT, _WIDTH, 3), 128, np.float32)
    for rows, columns, amplitude in _OCTAVES:
        noise = generator.normal(0, 40, (rows, columns, 3)) + 128
        coarse = Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8), "RGB")
        layer = coarse.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
        pixels += (np.asarray(layer, np.float32) - 128) * (amplitude / 40)
    pixels += generator.normal(0, _FINE, (_HEIGHT, _WIDTH, 1)).astype(np.float32)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")
    image.save(path, quality=_QUALITY)
