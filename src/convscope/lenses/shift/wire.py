"""What goes over the wire for the shift laboratory: what networks say of an image that is moved."""

from convscope.explorer.wire import Wire


class Said(Wire):
    """What one network says of the moved image, and of the same image where it stands.

    `followed` is the class whose probability is given: the label, or, where there is none, the
    class that this network says of the unmoved image.
    """

    run: str
    predicted: int
    probability: float
    unmoved: int
    followed: int
    share: float
    share_unmoved: float
    probabilities: list[float]


class Moved(Wire):
    """An image moved `dx` pixels to the right and `dy` down, to every network at once."""

    dx: int
    dy: int
    border: str
    labelled: bool
    said: list[Said]


class ShiftMap(Wire):
    """What one network says of an image at many places.

    Entry [i][j] is that of dy = -reach + i * step, dx = -reach + j * step. `same` is the share of
    places with the class of the unmoved image.
    """

    run: str
    reach: int
    step: int
    border: str
    followed: int
    unmoved: int
    probability: list[list[float]]
    predicted: list[list[int]]
    same: float


class Share(Wire):
    """A share of 1, and its 95 % interval."""

    value: float
    low: float
    high: float


class StudyRun(Wire):
    """A run in a shift study over many images; `accuracy_grid` as in `ShiftMap`, step 1."""

    run: str
    network: str
    data: str
    split: str
    images: int
    border: str
    reach: int
    accuracy: float
    accuracy_grid: list[list[float]]
    consistency: Share
    accuracy_shifted: Share
    one_pixel_changed: Share
    parameters: int
    gap: Share | None


class Laboratory(Wire):
    """What can be compared: the networks' titles; a study, or the command that makes one."""

    runs: list[str]
    borders: dict[str, str]
    furthest: int
    study: list[StudyRun]
    command: str | None
