"""What a lens is: parameters, a result, the function between them, and what is drawn of it.

A lens declares one value, `LENS`, in `lenses/<lens>/lens.py`. Its command with options and
`--json`, its routes with their schema, and the files that it writes follow from that value. A lens
that needs a command or routes of its own names them. docs/adding-a-lens.md builds one.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, WithJsonSchema

from convscope.base.values import Value

if TYPE_CHECKING:
    import numpy as np

    from convscope.base.tensors import Pixels
    from convscope.explorer.subject import Subject
    from convscope.graph.trace import Trace

Needs = Literal["network", "image", "images", "run", "runs"]
CLASS = "class index"
# A class of the network: an index in Python and over HTTP, a name or an index on the command line.
ClassIndex = Annotated[int, CLASS]
# A number of a result that may be NaN or infinite: null in JSON, and NaN when it is read again.
AnyFloat = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}]}),
]


class Params(Value):
    """The parameters of a lens. Every field has a description; bounds are in its type."""


class Result(Value):
    """The result of a lens: its JSON file, `--json` and the answer of its route are this value.

    NaN and infinities become null in JSON; fields that may hold them are declared `AnyFloat`.
    """

    model_config = ConfigDict(json_schema_serialization_defaults_required=True, allow_inf_nan=True)


P = TypeVar("P", bound=Params)
R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image as it was decoded, with the name that it has in results."""

    name: str
    pixels: "Pixels"


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a lens computes from.

    Attributes:
        subject: the network with its graph, receptive fields, preprocessing and class names.
        images: as many as the lens needs.
        run: the folder that the network comes from; None for a network by name.
        trace: gives the recorded pass of the image; only for a lens that needs "image". Its
            argument names the layers whose values are needed; None records all. More layers than
            these may be recorded.
    """

    subject: "Subject"
    images: "tuple[InputImage, ...]"
    run: Path | None
    trace: "Callable[[Collection[str] | None], Trace]"


@dataclass(frozen=True, eq=False)
class Answer(Generic[R]):
    """What a lens computed.

    Attributes:
        result: goes to JSON.
        arrays: by name; float arrays that are too large for the JSON.
        value: what the result was made from, for pictures and text; None where these need no more
            than `result` and `arrays`.
        folder: where a study has stored itself; None where there is no study.
    """

    result: R
    arrays: "Mapping[str, np.ndarray]" = field(default_factory=dict)
    value: Any = None
    folder: Path | None = None


@dataclass(frozen=True)
class Table:
    """A table in a terminal: columns, rows of text, and the columns that are set flush left."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Collection[str] = ()


Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Lens(Generic[P, R]):
    """One way to look at a network.

    There are two sorts. An *answer* is computed on request (`needs` "network", "image" or
    "images"). A *study* takes one run or several over many images, stores itself in a folder, and
    goes on where it was stopped (`needs` "run" or "runs").

    Attributes:
        name: of the command, the address and the documentation page, such as "receptive-field".
        needs: what it looks at.
        params: the class of its parameters; None where its own command has options of its own.
        result: the class of its result.
        compute: an answer from `Inputs` and parameters.
        study: a study from run folders, parameters, a folder (None: the default one) and progress.
        lines: the text of an answer in the terminal.
        draw: its pictures by file name, as PNG.
        about: the text of the help after the catalog's line.
        command: a command of its own, as "package.module:function"; None derives it.
        routes: routes of its own, as "package.module:router"; None derives them from `compute`.
        stored: the newest study of this network in a run folder, for the explorer; None where
            there is none.
        page: whether the explorer's page has a view of this name.
    """

    name: str
    needs: Needs
    params: type[P] | None = None
    result: type[R] | None = None
    compute: Callable[[Inputs, P], Answer[R]] | None = None
    study: Callable[[Sequence[Path], P, Path | None, Progress], Answer[R]] | None = None
    lines: Callable[[Answer[R]], Iterable[str | Table]] | None = None
    draw: Callable[[Answer[R]], Iterable[tuple[str, bytes]]] | None = None
    about: str = ""
    command: str | None = None
    routes: str | None = None
    stored: "Callable[[Path, Subject], Any] | None" = None
    page: bool = False
