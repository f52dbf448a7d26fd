"""Map a function over items in threads that work ahead of the caller."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from convscope.base.device import num_cpus

T = TypeVar("T")
R = TypeVar("R")


def prefetch_map(
    function: Callable[[T], R], items: Iterable[T], ahead: int, threads: int | None = None
) -> Iterator[R]:
    """Like `map(function, items)`, but threads prefetch up to `ahead` results.

    The results come in the order of the items. This pays off for functions that release Python's
    global interpreter lock, as decoding and resizing of images do.

    Args:
        function: called in a thread, once per item.
        items: read in the caller's thread.
        ahead: the largest number of results that are computed before the caller needs them.
        threads: None takes one per CPU that the process may use.
    """
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads or num_cpus()) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
