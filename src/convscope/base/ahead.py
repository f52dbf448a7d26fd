"""Work on what comes next while the caller is busy with what came before."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from convscope.base.device import num_cpus

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    function: Callable[[T], R], items: Iterable[T], ahead: int, threads: int | None = None
) -> Iterator[R]:
    """`map(function, items)` in order, by threads that run up to `ahead` items before the caller.

    For functions that leave Python's lock, as decoding and resizing images do.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads or num_cpus()) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
