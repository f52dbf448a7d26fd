"""Prefetching: the order, the limit, and where errors are raised."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from convscope.base import prefetch
from convscope.base.prefetch import prefetch_map


def test_results_come_in_order_whoever_is_first():
    released = threading.Event()

    def work(item):
        if item == 0:
            assert released.wait(10)
        elif item == 3:
            released.set()
        return item * item

    assert list(prefetch_map(work, range(20), ahead=5, threads=4)) == [i * i for i in range(20)]


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_items_are_taken_as_the_caller_goes_on(ahead):
    taken = []

    def items():
        for item in range(50):
            taken.append(item)
            yield item

    results = prefetch_map(lambda item: item, items(), ahead=ahead, threads=2)
    assert taken == []
    for done in range(1, 30):
        assert next(results) == done - 1
        assert len(taken) == done + ahead
    results.close()
    assert len(taken) == 29 + ahead


def test_results_are_computed_before_they_are_requested():
    third = threading.Event()

    def work(item):
        if item == 2:
            third.set()
        return item

    results = prefetch_map(work, range(10), ahead=3, threads=1)
    assert next(results) == 0
    assert third.wait(10)
    results.close()


def test_an_error_comes_out_in_its_place():
    def work(item):
        if item == 3:
            raise ValueError("the third")
        return item

    results = prefetch_map(work, range(10), ahead=6, threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_after_an_error_pending_items_are_not_started(monkeypatch):
    begun = []
    ending = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            ending.set()
            super().shutdown(wait, cancel_futures=cancel_futures)

    def work(item):
        begun.append(item)
        if item == 0:
            raise ValueError("the first")
        assert ending.wait(10)

    monkeypatch.setattr(prefetch, "ThreadPoolExecutor", Pool)
    with pytest.raises(ValueError, match="the first"):
        next(prefetch_map(work, range(100), ahead=50, threads=1))
    assert set(begun) <= {0, 1}


def test_an_error_of_the_items_comes_out():
    def items():
        yield 1
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(prefetch_map(lambda item: item, items(), ahead=0))


def test_no_items():
    assert list(prefetch_map(lambda item: item, [], ahead=3)) == []


def test_the_threads_end_with_the_caller():
    before = set(threading.enumerate())
    results = prefetch_map(lambda item: item, range(100), ahead=10, threads=3)
    next(results)
    begun = set(threading.enumerate()) - before
    assert begun
    results.close()
    assert not any(thread.is_alive() for thread in begun)
