"""A build against an Engine that answers as it is told: to the end, broken off, with nonsense."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from previewdrop.domain.errors import StageFailed, Unavailable
from previewdrop.domain.secret import REDACTED, Secret
from previewdrop.drivers.docker.buildkit import protobuf, steps
from previewdrop.drivers.docker.buildkit.build import Built, build
from previewdrop.drivers.docker.buildkit.limits import Bounds
from previewdrop.drivers.docker.buildkit.logins import Logins
from previewdrop.drivers.docker.buildkit.order import Order
from previewdrop.drivers.docker.engine import Engine
from recorded_builds import answers

ORDER = Order(("app:1", "app:2"))
IMAGE = "sha256:" + "ab" * 32
DONE = {"id": "moby.image.id", "aux": {"ID": IMAGE}}
NOBODY = Logins(Path("/nonexistent/config.json"))


class Script:
    """An Engine on a socket: `lines` are its answer to a build, `asked` what it was asked."""

    def __init__(self, *lines: object) -> None:
        self.lines = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.asked: list[str] = []
        self.body = b""
        self.ends = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            target = head.split(" ")[1]
            self.asked.append(target)
            path = urlsplit(target).path
            if path.endswith("/session"):
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
                await reader.read()
                break
            if path.endswith("/build"):
                self.body = await _chunked(reader)
                await self._tell(writer)
                break
            known = {"/version": {"ApiVersion": "1.41"}, "/v1.41/info": {"DockerRootDir": "/no"}}
            body = json.dumps(known.get(path)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        writer.close()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for line in self.lines:
            writer.write(b"%x\r\n%s\r\n" % (len(line.encode()) + 1, line.encode() + b"\n"))
        if self.ends:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


@asynccontextmanager
async def running(script: Script, folder: Path) -> AsyncIterator[Engine]:
    socket = str(folder / "engine.sock")
    async with await asyncio.start_unix_server(script.serve, socket):
        engine = Engine(socket)
        yield engine
        await engine.aclose()


async def context() -> AsyncIterator[bytes]:
    yield b"a tar "
    yield b"in pieces"


def trace(*logged: bytes) -> dict[str, str]:
    """A record of one step that prints."""
    step = protobuf.data(1, "a") + protobuf.data(3, "[2/2] RUN x") + protobuf.data(5, b"\x08\x01")
    said = protobuf.data(1, step)
    for text in logged:
        said += protobuf.data(3, protobuf.data(1, "a") + protobuf.data(4, text))
    return {"id": "moby.buildkit.trace", "aux": base64.b64encode(said).decode()}


async def run(script: Script, folder: Path, order: Order = ORDER) -> tuple[Built, list[str]]:
    log: list[str] = []
    async with running(script, folder) as engine:
        return await build(engine, order, context(), log.append, NOBODY), log


async def test_a_build_to_its_end(tmp_path: Path) -> None:
    script = Script(*answers("20.10")["ok"])
    built, log = await run(script, tmp_path)
    assert built.image.startswith("sha256:9e78fcb53915")
    assert (built.executed, built.cached) == (4, 0)
    assert len(log) == 8
    assert script.body == b"a tar in pieces"
    (asked,) = (urlsplit(one) for one in script.asked if one.startswith("/v1.41/build?"))
    assert parse_qs(asked.query)["t"] == ["app:1"]
    assert script.asked[-1] == f"/v1.41/images/{built.image}/tag?repo=app&tag=2"


async def test_every_line_is_redacted(tmp_path: Path) -> None:
    script = Script(trace(b"one hunter2", b" two\n", b"hunt", b"er2\n"), DONE)
    _, log = await run(script, tmp_path, Order((), secrets={"token": Secret("hunter2")}))
    assert log == ["[2/2] RUN x", f"  one {REDACTED} two", f"  {REDACTED}"]


async def test_what_failed_is_redacted(tmp_path: Path) -> None:
    script = Script(trace(b"hunter2\n"), {"error": "failed to solve: hunter2 is wrong"})
    with pytest.raises(StageFailed) as raised:
        await run(script, tmp_path, Order((), secrets={"token": Secret("hunter2")}))
    assert raised.value.message == f"The build failed: {REDACTED} is wrong."
    assert raised.value.log_tail == (REDACTED,)


async def test_an_answer_without_an_image_passes_by_itself(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="broke the build off"):
        await run(Script(trace(b"hi\n")), tmp_path)


async def test_an_answer_that_breaks_off_passes_by_itself(tmp_path: Path) -> None:
    script = Script(trace(b"hi\n"))
    script.ends = False
    with pytest.raises(Unavailable, match="did not answer"):
        await run(script, tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        {"id": "moby.buildkit.trace", "aux": "CgVhYg=="},
        {"id": "moby.buildkit.trace", "aux": 3},
    ],
)
async def test_nonsense_passes_by_itself(tmp_path: Path, line: object) -> None:
    with pytest.raises(Unavailable, match="no record"):
        await run(Script(line, DONE), tmp_path)


async def test_what_later_engines_may_add_is_passed_over(tmp_path: Path) -> None:
    script = Script({"stream": "Successfully tagged\n"}, {"id": "moby.new", "aux": [1]}, DONE)
    assert (await run(script, tmp_path))[0].image == IMAGE


async def test_bounds_that_cannot_be_set_are_said(tmp_path: Path) -> None:
    bounded = Order((), bounds=Bounds(memory=1 << 28))
    _, log = await run(Script(DONE), tmp_path, bounded)
    assert log == ["warning: RUN is not bounded, as the Engine's folder cannot be seen from here"]
    _, log = await run(Script(DONE), tmp_path)
    assert log == []


async def test_an_engine_tells_where_its_steps_are_once(tmp_path: Path) -> None:
    script = Script(DONE)
    async with running(script, tmp_path) as engine:
        assert await steps.folder_of(engine) is None
        assert await steps.folder_of(engine) is None
    assert script.asked.count("/v1.41/info") == 1
