"""Bodies of calls that anybody can make: what is held of them, and for how long."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Iterable

import pytest
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import Message

from previewdrop.web.github import bodies
from previewdrop.web.github.bodies import LARGE_AT_ONCE, MOST, SMALL, Bodies

CHUNK = 64 * 1024


class Sender:
    """Sends what is put into it; `read` is how many chunks of that were taken."""

    def __init__(self, chunks: Iterable[bytes] = (), *, ended: bool = True) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        for chunk in chunks:
            self.put("http.request", body=chunk, more_body=True)
        if ended:
            self.put("http.request", body=b"", more_body=False)

    def put(self, kind: str, **more: object) -> None:
        self._messages.put_nowait({"type": kind, **more})

    @property
    def request(self) -> Request:
        return Request({"type": "http", "headers": []}, self._messages.get)


def sender(size: int) -> Sender:
    return Sender(bytes(min(CHUNK, size - begun)) for begun in range(0, size, CHUNK))


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, MOST])
async def test_a_body_comes_whole(size: int) -> None:
    async with Bodies().of(sender(size).request) as body:
        assert body == bytes(size)


async def test_one_that_is_too_large_is_refused() -> None:
    with pytest.raises(HTTPException) as refused:
        async with Bodies().of(sender(MOST + 1).request):
            pass
    assert refused.value.status_code == 413


async def test_large_ones_wait_for_each_other_and_small_ones_do_not() -> None:
    held = Bodies()
    inside, let_go = 0, asyncio.Event()
    full = asyncio.Event()

    async def take(size: int) -> None:
        nonlocal inside
        async with held.of(sender(size).request):
            inside += 1
            if inside == LARGE_AT_ONCE:
                full.set()
            await let_go.wait()

    async with asyncio.TaskGroup() as group:
        large = [group.create_task(take(2 * SMALL)) for _ in range(3 * LARGE_AT_ONCE)]
        await full.wait()
        async with held.of(sender(SMALL).request) as body:
            assert len(body) == SMALL
        assert inside == LARGE_AT_ONCE
        let_go.set()
    assert inside == len(large)


async def test_one_that_does_not_come_gives_its_place_away(monkeypatch: pytest.MonkeyPatch) -> None:
    held, large = Bodies(), [bytes(SMALL + 1)]
    with monkeypatch.context() as hurried:
        hurried.setattr(bodies, "PATIENCE", 0.01)
        for _ in range(LARGE_AT_ONCE):
            with pytest.raises(HTTPException) as refused:
                async with held.of(Sender(large, ended=False).request):
                    pass
            assert refused.value.status_code == 408
    async with held.of(Sender(large).request) as body:
        assert [body] == large


async def test_one_that_ends_early_is_refused() -> None:
    leaving = Sender([b"{"], ended=False)
    leaving.put("http.disconnect")
    with pytest.raises(HTTPException) as refused:
        async with Bodies().of(leaving.request):
            pass
    assert refused.value.status_code == 400


async def test_a_body_is_held_once() -> None:
    coming = sender(MOST)
    tracemalloc.start()
    try:
        async with Bodies().of(coming.request):
            _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.5 * MOST
