"""The errors that a user can cause and mend. Everything else is a bug and may show a traceback."""

from collections.abc import Sequence


class ConvscopeError(Exception):
    """A wrong input: the message says what was given, what is allowed and what to do.

    The command line prints the message alone and exits with code 2.
    """


class UnreadableImageError(ConvscopeError):
    """A file that is not an image we read, or is damaged. `path` and `reason` say which and why.

    A worker process sends on the message alone: that is then the path, without a reason.
    """

    def __init__(self, path: str, reason: str = "") -> None:
        super().__init__(f"{path}: {reason}" if reason else path)
        self.path = path
        self.reason = reason


class DataError(ConvscopeError):
    """A data set that cannot be used as it is: missing, empty, one class, or unreadable files."""


class WeightsError(ConvscopeError):
    """Weights that are damaged or do not fit the network."""


class CaptureError(ConvscopeError):
    """A module that cannot be captured as a graph: the message names the line and the remedy."""


class TrainingError(ConvscopeError):
    """Training that cannot go on, for example because the loss is no longer a number."""


def listing(items: Sequence[str], limit: int = 10) -> str:
    """`items` one to a line, the first `limit` of them and how many more there are.

    >>> print(listing(["a", "b", "c"], limit=2))
      a
      b
      ... and 1 more
    """
    lines = [f"  {item}" for item in items[:limit]]
    if len(items) > limit:
        lines.append(f"  ... and {len(items) - limit:,} more")
    return "\n".join(lines)
