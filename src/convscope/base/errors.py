"""Errors that a user can cause and fix. Any other exception is a bug and shows a traceback."""

from collections.abc import Sequence


class ConvscopeError(Exception):
    """Invalid input. The message says what was given, what is allowed and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


class UnreadableImageError(ConvscopeError):
    """A file that is damaged or not an image in a supported format.

    Attributes:
        path: the file.
        reason: why it cannot be read. A worker process passes on only the message of an exception;
            then `path` is the whole message and `reason` is empty.
    """

    def __init__(self, path: str, reason: str = "") -> None:
        super().__init__(f"{path}: {reason}" if reason else path)
        self.path = path
        self.reason = reason


class DataError(ConvscopeError):
    """A data set that cannot be used: it is missing, empty, has one class or unreadable files."""


class WeightsError(ConvscopeError):
    """Weights that are damaged or do not match the network."""


class CaptureError(ConvscopeError):
    """A module that cannot be captured as a graph. The message names the line and a remedy."""


class TrainingError(ConvscopeError):
    """Training that cannot continue, for example because the loss is NaN or infinite."""


def listing(items: Sequence[str], limit: int = 10) -> str:
    """The first `limit` of `items`, one per line, and the number of the rest.

    >>> print(listing(["a", "b", "c"], limit=2))
      a
      b
      ... and 1 more
    """
    lines = [f"  {item}" for item in items[:limit]]
    if len(items) > limit:
        lines.append(f"  ... and {len(items) - limit:,} more")
    return "\n".join(lines)
