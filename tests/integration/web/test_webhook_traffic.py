"""Webhooks over a real connection: as large as they may be, larger, and never finished."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from previewdrop.bootstrap.server import Api
from previewdrop.web.github.bodies import LARGE_AT_ONCE

from .hooks import MIB, headers, send, server

__all__ = ["server"]

TOO_LARGE = b" " * (30 * MIB)


@pytest.fixture
async def github(server: FastAPI) -> AsyncGenerator[httpx2.AsyncClient]:
    """GitHub, of a server as it really runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listening = asyncio.Event()
        api = Api(server, listening.set)
        serving = asyncio.create_task(api.serve([listener]))
        await listening.wait()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx2.AsyncClient(base_url=address, trust_env=False, timeout=30) as client:
            yield client
        api.should_exit = True
        await serving


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for begun in range(0, len(body), MIB):
        yield body[begun : begun + MIB]


@pytest.mark.parametrize(("signed", "status"), [(True, 413), (False, 401)])
@pytest.mark.parametrize("declared", [True, False])
async def test_too_much_is_refused(
    github: httpx2.AsyncClient, signed: bool, status: int, declared: bool
) -> None:
    told = headers("ping", b"") if signed else {}
    content = TOO_LARGE if declared else in_chunks(TOO_LARGE)
    answer = await github.post("/webhooks/github", content=content, headers=told)
    assert answer.status_code == status
    assert (await send(github, "ping", {})).status_code == 202


async def test_as_much_as_github_sends_is_taken(github: httpx2.AsyncClient) -> None:
    payload = {"zen": "x" * (24 * MIB)}
    answers = await asyncio.gather(
        *(send(github, "ping", payload, f"d-{number}") for number in range(3))
    )
    assert [each.json() for each in answers] == [{"new": True}] * 3


async def test_bodies_that_never_end_keep_no_small_one_waiting(
    github: httpx2.AsyncClient, server: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    address = github.base_url
    body = json.dumps({"zen": "x" * MIB}).encode()
    told = headers("ping", body) | {"Host": "here", "Content-Length": str(len(body) + 1)}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    begun = []
    for _ in range(2 * LARGE_AT_ONCE):
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(f"POST /webhooks/github HTTP/1.1\r\n{head}\r\n".encode() + body)
        begun.append(writer)
    async with asyncio.timeout(10):
        while not server.state.bodies._large.locked():  # noqa: ASYNC110 - others make it hold
            await asyncio.sleep(0.01)
    assert (await send(github, "ping", {})).json() == {"new": True}
    for writer in begun:
        writer.transport.abort()
    # Those who left make room.
    assert (await send(github, "ping", {"zen": "x" * MIB}, "d-2")).json() == {"new": True}
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]
