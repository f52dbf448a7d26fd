"""The files of an answer: pictures, arrays, and last the JSON, which marks it as complete."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from convscope.base.errors import ConvscopeError
from convscope.base.storage import make_folder, read_json, write_bytes, write_json
from convscope.contract.lens import Answer, Lens, Params
from convscope.drawing.arrays import npz

P = TypeVar("P", bound=Params)
R = TypeVar("R")


def as_json(result: BaseModel) -> Any:
    """A result as JSON values; numbers that are not finite are null."""
    return json.loads(result.model_dump_json())


def write_answer(
    folder: Path, lens: Lens[Any, Any], answer: Answer[Any], pictures: Iterable[tuple[str, bytes]]
) -> list[str]:
    """Writes an answer into `folder`; returns the names of its files, pictures first.

    Raises:
        ConvscopeError: naming the file that could not be written.
    """
    make_folder(folder)
    names = []
    for name, content in pictures:
        write_bytes(folder / name, content)
        names.append(name)
    if answer.arrays:
        write_bytes(folder / f"{lens.name}.npz", npz(dict(answer.arrays)))
        names.append(f"{lens.name}.npz")
    write_json(folder / f"{lens.name}.json", as_json(answer.result))
    return [*names, f"{lens.name}.json"]


def read_answer(folder: Path, lens: Lens[P, R]) -> Answer[R]:
    """The answer that `write_answer` stored: its result and arrays.

    Raises:
        ConvscopeError: there is none, or a file is damaged.
    """
    assert lens.result is not None
    kind: Any = lens.result
    where = folder / f"{lens.name}.json"
    result = kind.parse(read_json(where), str(where))
    arrays, path = {}, folder / f"{lens.name}.npz"
    if path.exists():
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored}
        except (OSError, ValueError) as error:
            raise ConvscopeError(f"{path} is damaged ({error}); compute it again") from None
    return Answer(result, arrays)
