"""The models of the schema, from which the page's types are generated.

Places are (channel, row, column); sizes, strides and paddings (vertical, horizontal). Numbers that
are not finite are null. Names of images: `data-12` is image 12 of the data set, `file-3`
file 3 of the command line, `drop-0f3a...` a file that was dropped on the page.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A frozen model whose fields are all present in a response."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class Problem(Wire):
    """Why a request was refused, as a message for the user."""

    error: str


class Field(Wire):
    """A layer's receptive field away from the border, in pixels; `exact` as `ReceptiveField`."""

    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    exact: bool


class Layer(Wire):
    """A node of the graph. `stage` is "input", "block 1", ..., "head".

    `formula` says whether `number` can explain it; `kind` is a value of the closed enum `Kind`, and
    `family` is its group: "activation", "pool", "arithmetic", "rearrangement", else "".
    """

    name: str
    kind: str
    family: str
    operation: str
    stage: str
    inputs: list[str]
    shape: list[int]
    parameters: int
    multiply_adds: int
    field: Field | None
    formula: bool


class Stage(Wire):
    """Consecutive layers of one stage: the first's index in `Subject.layers`, and sums."""

    name: str
    first: int
    count: int
    parameters: int


class Split(Wire):
    """Images of the data set in one split; `name` is "" for files that were given or dropped."""

    name: str
    images: int


class Subject(Wire):
    """The network. `layers` are in the order in which they run, `input` first.

    `classes` is empty for a trunk; `first` is the image to begin with; `trained` False for a
    network by name.
    """

    title: str
    trained: bool
    input: tuple[int, int, int]
    classes: list[str]
    parameters: int
    multiply_adds: int
    logits: str
    output: str
    layers: list[Layer]
    stages: list[Stage]
    first: str | None
    upload_bytes: int


class Parameter(Wire):
    """A layer's weight or bias: its shape, and statistics of its values."""

    role: str
    name: str
    shape: list[int]
    count: int
    low: float | None
    high: float | None
    mean: float | None
    std: float | None


class LayerDetail(Wire):
    """Details of a layer: torch's settings, parameters, and what each row and column sees.

    `rows` has for each row of units (first pixel row, the one after the last), clipped at the
    border; the two are equal where only padding is seen; null without a receptive field.
    """

    layer: str
    settings: dict[str, Any]
    parameters: list[Parameter]
    rows: list[tuple[int, int]] | None
    columns: list[tuple[int, int]] | None


class Picture(Wire):
    """An image that can be opened. `label` is an index in `Subject.classes`, null where unknown."""

    image: str
    name: str
    split: str
    label: int | None


class Gallery(Wire):
    """Some images of `split`, or of one class of it; and the names of all splits."""

    splits: list[Split]
    split: str
    total: int
    offset: int
    pictures: list[Picture]


class Prediction(Wire):
    """The prediction for an image; `error` says why it cannot be read."""

    image: str
    predicted: int | None
    probability: float | None
    error: str | None


class Strong(Wire):
    """A channel, with its mean and maximum."""

    channel: int
    mean: float | None
    high: float | None


class LayerPass(Wire):
    """A layer's output: range, mean, how many maps are zero everywhere, the largest by mean."""

    layer: str
    low: float | None
    high: float | None
    mean: float | None
    dead: int
    strongest: list[Strong]


class Pass(Wire):
    """One pass of one image. `target` is the label, else the predicted class; null for a trunk.

    `off` lists the units that were switched off. `low` and `high` are the range of all layers.
    """

    image: str
    picture: Picture
    off: list[tuple[str, int]]
    target: int | None
    logits: list[float | None]
    probabilities: list[float | None]
    predicted: int | None
    cross_entropy: float | None
    low: float | None
    high: float | None
    layers: list[LayerPass]


class Progress(Wire):
    """The progress of a pass: the number of steps done, and of all steps."""

    done: int
    of: int


class PassLine(Wire):
    """A line of `/api/pass`: one field is not null; the last line is a result or an error."""

    progress: Progress | None = None
    result: Pass | None = None
    error: str | None = None


class LayerValues(Wire):
    """For each channel (or unit) of a layer, its mean, smallest and largest value.

    `dead` are those that are zero everywhere.
    """

    layer: str
    means: list[float | None]
    lows: list[float | None]
    highs: list[float | None]
    dead: list[int]


class Source(Wire):
    """Terms of one input node, as columns: term i has position `index[i]`, and so on."""

    node: str
    index: list[list[int]]
    weight: list[float | None]
    value: list[float | None]
    product: list[float | None]
    padding: list[bool]


class Rest(Wire):
    """The number and sum of the terms, or input channels, that are not listed.

    For a weighted sum, `sum` adds up their products; for softmax and cross-entropy, their weights,
    exp(value - largest); it is null for other kinds.
    """

    count: int
    sum: float | None


class Number(Wire):
    """How one activation is computed: a `Ledger`.

    A convolution has a `window` (channels, height, width), and its terms are in the order of the
    window. `first_channel` is the first input channel, `channel_sums` has the sum of each channel,
    `strongest` lists the channels with the largest sums, and `others` is the sum of the rest. Other
    kinds list at most `limit` terms, the largest products first; `rest` is the sum of the others,
    and `count` the number of all terms. Softmax and cross-entropy list the terms with the largest
    weights, and always the term of the class itself (of the target). A formula that is not a
    weighted sum, such as a quotient, keeps the order of its terms if all fit.
    """

    layer: str
    kind: str
    index: list[int]
    formula: str
    weighted: bool
    window: tuple[int, int, int] | None
    first_channel: int
    channel_sums: list[float | None]
    strongest: list[int]
    others: Rest
    count: int
    sources: list[Source]
    rest: Rest
    bias: float | None
    details: dict[str, float | None]
    sum: float | None
    value: float | None
    difference: float | None
    scale: float | None
    error: float | None
    agrees: bool
