"""Recorded passes in memory, up to a number of bytes; each is computed once.

Used from one event loop; the passes themselves run in a worker thread, one at a time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from convscope.explorer.problem import StoppedError
from convscope.graph.program import Watch
from convscope.graph.trace import Trace

MAX_BYTES = 1_000_000_000

Make = Callable[[Watch], Trace]


@dataclass(frozen=True, eq=False)
class StoredPass:
    """A recorded pass, and its size in memory."""

    trace: Trace
    bytes: int


@dataclass(eq=False)
class Pending:
    """A pass that is being computed: its progress, and how many requests wait for it."""

    task: "asyncio.Task[StoredPass]" = field(init=False)
    done: int = 0
    of: int = 0
    waiting: int = 0
    cancelled: bool = False

    def watch(self, done: int, of: int) -> None:
        """Called in the worker thread before each step."""
        if self.cancelled:
            raise StoppedError
        self.done, self.of = done, of


class Store:
    """The latest passes by key; the least recently used are removed first.

    `bytes` never exceeds `max_bytes`, unless a single pass does.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._stored: OrderedDict[object, StoredPass] = OrderedDict()
        self._pending: dict[object, Pending] = {}
        self._turn: anyio.CapacityLimiter | None = None
        self.closed = False

    @property
    def turn(self) -> anyio.CapacityLimiter:
        """Lets one pass run at a time, since each uses all processors."""
        if self._turn is None:  # belongs to the event loop that first uses it
            self._turn = anyio.CapacityLimiter(1)
        return self._turn

    async def get(
        self, key: object, make: Make, begun: Callable[[Pending], None] | None = None
    ) -> StoredPass:
        """The pass of `key`; `make` computes it unless it is stored or being computed.

        A cancelled caller stops waiting; when no caller is left, the pass is stopped.

        Args:
            key: what the pass depends on.
            make: computes it in a worker thread; calls its argument before each step.
            begun: called with the pending pass, whose progress can be followed.
        """
        self.go_on()
        if key in self._stored:
            self._stored.move_to_end(key)
            return self._stored[key]
        pending = self._pending.get(key)
        if pending is None or pending.cancelled:
            pending = self._pending[key] = Pending()
            pending.task = asyncio.create_task(self._make(key, pending, make))
            pending.task.add_done_callback(_retrieved)
        if begun:
            begun(pending)
        pending.waiting += 1
        try:
            return await asyncio.shield(pending.task)
        finally:
            pending.waiting -= 1
            if not pending.waiting:
                pending.cancelled = True  # has no effect on one that is done

    def go_on(self, *_: int) -> None:
        """Called in the worker thread, by work that stops when the server stops.

        Raises:
            StoppedError: the store is closed.
        """
        if self.closed:
            raise StoppedError

    def close(self) -> None:
        """Stops the passes that are being computed."""
        self.closed = True
        for pending in list(self._pending.values()):
            pending.cancelled = True

    async def _make(self, key: object, pending: Pending, make: Make) -> StoredPass:
        try:
            stored = await anyio.to_thread.run_sync(lambda: _made(pending, make), limiter=self.turn)
            self._add(key, stored)
            return stored
        finally:
            if self._pending.get(key) is pending:
                del self._pending[key]

    def _add(self, key: object, stored: StoredPass) -> None:
        before = self._stored.pop(key, None)
        self.bytes += stored.bytes - (before.bytes if before else 0)
        self._stored[key] = stored
        while self.bytes > self.max_bytes and len(self._stored) > 1:
            self.bytes -= self._stored.popitem(last=False)[1].bytes


def _made(pending: Pending, make: Make) -> StoredPass:
    pending.watch(0, 0)
    trace = make(pending.watch)
    return StoredPass(trace, bytes_of(trace))


def _retrieved(task: "asyncio.Task[StoredPass]") -> None:
    """Retrieves the exception, so that asyncio does not warn if no caller waits for it."""
    if not task.cancelled():
        task.exception()


def bytes_of(trace: Trace) -> int:
    """The bytes of a trace's tensors; memory that several records share is counted once."""
    tensors = [trace.images, trace.logits, *(record.output for record in trace.layers)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())
