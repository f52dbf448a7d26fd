"""A refused request: a status and a message without paths or stack traces."""

from convscope.base.errors import ConvscopeError, UnreadableImageError


class RefusedError(Exception):
    """A request that is refused with a `Problem`."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class StoppedError(Exception):
    """A pass was stopped because no request waits for it, or because the server stops."""


def refusal(error: BaseException) -> RefusedError:
    """The response to an exception; the path of an unreadable file is omitted."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, UnreadableImageError):
        return RefusedError(422, f"the image cannot be read: {error.reason or 'unknown reason'}")
    if isinstance(error, StoppedError):
        return RefusedError(503, "convscope was stopped")
    if isinstance(error, ConvscopeError):
        return RefusedError(422, str(error))
    return RefusedError(500, "something went wrong in convscope; its terminal says what")


def printable(name: str) -> str:
    """A file name as text; bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode()
