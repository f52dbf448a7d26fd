"""A refused request: a status and a message without paths or stack traces."""

from convscope.base.errors import ConvscopeError, UnreadableImageError


class RefusedError(Exception):
    """A request that is answered with a `Problem`."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class StoppedError(Exception):
    """A pass that was ended because nobody waits for it, or because the server stops."""


def refusal(error: BaseException) -> RefusedError:
    """How an error of the core is answered: an unreadable file's path is left out."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, UnreadableImageError):
        return RefusedError(422, f"the image cannot be read: {error.reason or 'unknown reason'}")
    if isinstance(error, StoppedError):
        return RefusedError(503, "convscope was stopped")
    if isinstance(error, ConvscopeError):
        return RefusedError(422, str(error))
    return RefusedError(500, "something went wrong in convscope; its terminal says what")


def shown(name: str) -> str:
    """A name from the disk as text: bytes that are no UTF-8 are written out."""
    return name.encode("utf-8", "backslashreplace").decode()
