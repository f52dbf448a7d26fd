"""What goes over the wire for the cards of channels: what each looks for."""

from convscope.explorer.wire import Wire


class Winner(Wire):
    """An image that excites a channel most: which, where, how much, and what the unit sees.

    `image` names it where it can be opened; `crop` is top, left, bottom, right in pixels of the
    image as the network sees it. Of a projection `largest` is the largest magnitude and `full` the
    one from which on its colours are full, both in units of the activation; null: not projected.
    """

    rank: int
    path: str
    image: str | None
    label: str | None
    value: float
    position: tuple[int, int]
    crop: tuple[int, int, int, int]
    largest: float | None
    full: float | None


class ClassMean(Wire):
    """A class, and the mean over its images of the channel's largest activation in each."""

    name: str
    mean: float
    images: int


class Ranked(Wire):
    """A channel over all images of an atlas.

    `active` is the share of images that excite it; `mean` and `high` are of the largest activation
    in each image. `selectivity`, 0 to 1, is that for the class `best`; both null without classes.
    `exact` says whether crops are what the units see, or bounds.
    """

    data: str
    split: str
    images: int
    dead: bool
    active: float
    mean: float
    high: float
    selectivity: float | None
    best: str | None
    classes: list[ClassMean]
    exact: bool
    winners: list[Winner]


class Card(Wire):
    """What is known of a channel. Without `ranked`, `reason` says why and `layers` where there is.

    `command` makes an atlas, where one can be made.
    """

    layer: str
    channel: int
    ranked: Ranked | None
    reason: str | None
    command: str | None
    layers: list[str]


class Projected(Wire):
    """A unit in the image that is looked at, projected back to the pixels.

    `at` is its row and column, `strongest` those of the channel's largest activation; `crop`,
    `largest` and `full` as in `Winner`.
    """

    layer: str
    channel: int
    at: tuple[int, int]
    strongest: tuple[int, int]
    value: float | None
    crop: tuple[int, int, int, int]
    exact: bool
    largest: float
    full: float
