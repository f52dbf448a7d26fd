"""Passes are made once, bounded in memory, and end when nobody waits."""

import asyncio
import threading

import httpx
import pytest
import torch

import convscope
import explored
from convscope.explorer.problem import StoppedError
from convscope.explorer.store import Store, bytes_of
from convscope.explorer.subject import Subject
from convscope.graph.capture import capture
from convscope.graph.trace import trace


@pytest.fixture(scope="module")
def record():
    images = torch.zeros(1, 3, 16, 16)
    return trace(capture(explored.classifier().module, images), images)


def test_the_bytes_of_a_trace_are_those_of_its_tensors_each_once(record):
    shared = {"flatten", "dropout"}
    names = [r.node.name for r in record.layers if r.node.name not in shared]
    alone = sum(record[name].output.nbytes for name in names)
    # The input's record is the images; the logits are a layer's.
    assert bytes_of(record) == alone


def test_the_passes_that_are_kept_stay_within_the_bound(record):
    each = bytes_of(record)
    store, made = Store(max_bytes=int(3.5 * each)), []

    def making(key):
        return lambda watch: made.append(key) or _copied(record)

    async def many():
        for key in range(10):
            await store.get(key, making(key))
            assert store.bytes <= store.max_bytes
        for key in (9, 8, 7):
            await store.get(key, making(key))

    asyncio.run(many())
    assert made == list(range(10))
    assert store.bytes == 3 * each


def test_a_pass_larger_than_the_bound_is_kept_alone(record):
    store, made = Store(max_bytes=10), []

    async def two():
        for key in (1, 2, 2):
            await store.get(key, lambda watch: made.append(1) or _copied(record))

    asyncio.run(two())
    assert len(made) == 2
    assert store.bytes == bytes_of(record)


def test_two_that_ask_for_the_same_wait_for_one_pass(record):
    store, begun, go_on = Store(), [], threading.Event()

    def slow(watch):
        begun.append(1)
        assert go_on.wait(30)
        return record

    async def both():
        first = asyncio.create_task(store.get("key", slow))
        second = asyncio.create_task(store.get("key", slow))
        while not begun:
            await asyncio.sleep(0.001)
        go_on.set()
        return await asyncio.gather(first, second)

    first, second = asyncio.run(both())
    assert first is second
    assert len(begun) == 1


def test_a_pass_ends_when_the_last_one_stops_waiting_and_can_be_asked_for_again(record):
    store, begun, ended = Store(), threading.Event(), threading.Event()

    def endless(watch):
        begun.set()
        try:
            while True:
                watch(1, 2)
        except StoppedError:
            ended.set()
            raise

    async def run():
        first = asyncio.create_task(store.get("key", endless))
        second = asyncio.create_task(store.get("key", endless))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        first.cancel()
        await asyncio.wait({first})
        await asyncio.sleep(0.02)
        assert not ended.is_set()
        second.cancel()
        await asyncio.wait({second})
        again = await store.get("key", lambda watch: record)
        assert ended.is_set()  # one at a time
        return again

    assert asyncio.run(run()).trace is record


def test_an_error_reaches_all_who_wait_and_is_not_remembered(record):
    store = Store()

    def broken(watch):
        raise ValueError("once")

    async def run():
        results = await asyncio.gather(
            store.get("key", broken), store.get("key", broken), return_exceptions=True
        )
        assert [type(result) for result in results] == [ValueError, ValueError]
        return await store.get("key", lambda watch: record)

    assert asyncio.run(run()).trace is record


def test_a_pass_ends_when_the_page_that_asked_for_it_goes_away(client, running, monkeypatch):
    ended = threading.Event()

    def endless(self, image, off, watch):
        try:
            step = 0
            while True:
                step = min(step + 1, 39)
                watch(step, 40)
        except StoppedError:
            ended.set()
            raise

    with monkeypatch.context() as patched:
        patched.setattr(Subject, "run", endless)
        with client.stream("GET", "/api/pass?image=data-11") as response:
            line = next(response.iter_lines())
            assert '"of":40' in line
        assert ended.wait(30)
    assert client.get("/api/pass?image=data-11").text.count('"result":{') == 1


@pytest.mark.parametrize(
    "route", ["values?layer=fc1", "maps?layer=stem.0&channels=0", "number?layer=fc1&index=0",
              "parts?layer=stem.0&channel=0&inputs=0"],
)  # fmt: skip
def test_a_pass_that_a_number_needs_ends_with_the_page_too(client, monkeypatch, route):
    begun, ended = threading.Event(), threading.Event()

    def endless(self, image, off, watch):
        begun.set()
        try:
            while True:
                watch(1, 40)
        except StoppedError:
            ended.set()
            raise

    monkeypatch.setattr(Subject, "run", endless)
    with pytest.raises(httpx.ReadTimeout):
        client.get(f"/api/{route}&image=data-12", timeout=httpx.Timeout(30, read=0.5))
    assert begun.is_set()
    assert ended.wait(30)


@pytest.mark.parametrize(
    ("route", "method"),
    [("/api/pass?image=data-0", "run"), ("/api/predictions?images=data-0", "probabilities_of")],
)
def test_closing_the_server_ends_what_it_computes(running, monkeypatch, route, method):
    begun = threading.Event()

    def endless(self, *given):
        while True:
            begun.set()
            given[-1](1, 40)

    monkeypatch.setattr(Subject, method, endless)
    handle = convscope.explore(running.classifier, data=str(running.folder), browser=False)
    said = []

    def ask():
        with httpx.Client(follow_redirects=True, timeout=60) as client:
            client.get(handle.url)
            said.append(client.get(handle.url.split("/?")[0] + route).text)

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun.wait(30)
    assert handle.close()
    asking.join(30)
    assert "convscope was stopped" in said[0]


def test_memory_stays_within_the_bound_through_the_routes(running):
    each = bytes_of(running.trace(0))
    bound = 4 * each
    with (
        convscope.explore(
            running.classifier, data=str(running.folder), browser=False, max_bytes=bound
        ) as handle,
        httpx.Client(follow_redirects=True, timeout=60) as client,
    ):
        client.get(handle.url)
        origin = handle.url.split("/?")[0]
        store = handle._explorer.store
        for number in range(20):
            query = {"image": f"data-{number}", "layer": "fc1"}
            assert client.get(f"{origin}/api/values", params=query).status_code == 200
            assert store.bytes <= bound
        assert store.bytes > bound - 2 * each


def _copied(record):
    """The same trace in memory of its own."""
    return trace(record.graph, record.images)
