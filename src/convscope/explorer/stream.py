"""`/api/pass`: a pass as JSON lines with its progress; cancelled when the connection closes."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from convscope.explorer.encode import pass_of
from convscope.explorer.explorer import Explorer, PassRequest
from convscope.explorer.problem import StoppedError, refusal
from convscope.explorer.store import Pending
from convscope.explorer.wire import Pass, PassLine, Progress

_EVERY = 0.05  # seconds from one line of progress to the next


T = TypeVar("T")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the connection is closed.

    Raises:
        StoppedError: it was cancelled.
    """
    made = asyncio.create_task(work)
    closed = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait({made, closed}, return_when=asyncio.FIRST_COMPLETED)
        if not made.done():
            raise StoppedError
        return made.result()
    finally:
        closed.cancel()
        made.cancel()
        await asyncio.wait({made, closed})


class PassStream(Response):
    """Lines of progress, then the pass or an error."""

    media_type = "application/x-ndjson"

    def __init__(self, explorer: Explorer, requested: PassRequest) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._explorer = explorer
        self._requested = requested
        self._pending: Pending | None = None
        self.background: BackgroundTask | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Streams until the pass is done or the connection is closed."""
        made = asyncio.create_task(self._made())
        closed = asyncio.create_task(_disconnected(receive))
        try:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            reported = 0
            while not made.done() and not closed.done():
                await asyncio.wait(
                    {made, closed}, timeout=_EVERY, return_when=asyncio.FIRST_COMPLETED
                )
                if self._pending and not made.done() and self._pending.done > reported:
                    reported = self._pending.done
                    progress = Progress(done=reported, of=self._pending.of)
                    await self._line(send, PassLine(progress=progress))
            if made.done():
                await self._line(send, _last(made))
                await send({"type": "http.response.body", "body": b""})
                _raise_if_a_bug(made.exception())
        finally:
            closed.cancel()
            made.cancel()
            await asyncio.wait({made, closed})

    async def _made(self) -> Pass:
        explorer, requested = self._explorer, self._requested

        def begun(pending: Pending) -> None:
            self._pending = pending

        stored = await explorer.recorded(requested, begun)

        def encoded() -> Pass:
            trace = explorer.with_target(stored.trace, requested)
            picture = explorer.images.picture(requested.image)
            return pass_of(explorer.subject, trace, picture, requested.off)

        return await explorer.in_thread(encoded)

    async def _line(self, send: Send, line: PassLine) -> None:
        body = line.model_dump_json().encode() + b"\n"
        await send({"type": "http.response.body", "body": body, "more_body": True})


def _last(made: "asyncio.Task[Pass]") -> PassLine:
    error = made.exception()
    if error is None:
        return PassLine(result=made.result())
    return PassLine(error=refusal(error).error)


def _raise_if_a_bug(error: BaseException | None) -> None:
    if error is not None and refusal(error).status == 500:
        raise error


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
