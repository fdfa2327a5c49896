"""A gate on loopback: what runs in a preview says that it came, and waits until it may go on.

A connection lasts exactly as long as the process that made it, so the gate knows who is alive
without looking at the machine.
"""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
from dataclasses import dataclass, field
from typing import Self

from repositories import fixture

CLIENT = '''\
"""Waits at the gate: python gate.py PLACE"""

import os
import socket
import sys


def wait(place):
    with socket.create_connection(("127.0.0.1", {port})) as line:
        commit, name = os.environ["PREVIEW_COMMIT"], os.environ["PREVIEW_NAME"]
        line.sendall(f"{{place}} {{commit}} {{name}}\\n".encode())
        if not line.recv(1):
            sys.exit("the gate is gone")
    print("passed", place, flush=True)


if __name__ == "__main__":
    wait(sys.argv[1])
'''

START = """\
from contextlib import asynccontextmanager

import gate
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    gate.wait("{place}")
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health():
    return {{"status": "ok"}}
"""


WHEEL = "gated-1.0-py3-none-any.whl"


@dataclass
class Visit:
    """A process that came to a place. `ended` is set when the process is gone."""

    place: str
    commit: str
    preview: str
    began: float = field(default_factory=time.monotonic)
    passed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    until: float | None = None

    @property
    def alive(self) -> bool:
        return not self.ended.is_set()


class Gate:
    """Closed at every place until `open` is called for it."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self._open: set[str] = set()
        self._changed = asyncio.Condition()
        self._lines: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._receive, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for line in self._lines.values():
            line.close()
        await asyncio.gather(*self._lines)

    @property
    def files(self) -> dict[str, str]:
        """The file that the commands of a repository call: `python gate.py PLACE`."""
        return {"gate.py": CLIENT.format(port=self.port)}

    def requirements(self, place: str) -> dict[str, str]:
        """Dependencies of the healthy app and one more, whose download waits at `place`."""
        pinned = fixture("healthy")["requirements.txt"]
        assert isinstance(pinned, bytes)
        url = f"http://127.0.0.1:{self.port}/{place}/{WHEEL}"
        return {"requirements.txt": f"{pinned.decode().strip()}\ngated @ {url}\n"}

    def app(self, place: str) -> dict[str, str]:
        """An app that waits at `place` before it answers."""
        return {**self.files, "main.py": START.format(place=place)}

    def open(self, *places: str) -> None:
        """Lets on who waits there and who comes later."""
        self._open.update(places)
        for visit in self.visits:
            if visit.place in self._open:
                visit.passed.set()

    def at(self, place: str) -> list[Visit]:
        return [visit for visit in self.visits if visit.place == place]

    async def arrived(self, place: str, count: int = 1, timeout: float = 90) -> Visit:
        """The visit number `count` at a place, as soon as it is there."""
        async with self._changed:
            await asyncio.wait_for(
                self._changed.wait_for(lambda: len(self.at(place)) >= count), timeout
            )
        return self.at(place)[count - 1]

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines[task] = writer
        try:
            place, commit, preview = (await reader.readline()).decode().split()
            if preview.startswith("HTTP/"):
                await reader.readuntil(b"\r\n\r\n")
                visit, answer = Visit(commit.split("/")[1], "", ""), _download(place)
            else:
                visit, answer = Visit(place, commit, preview), b"\n"
            await self._note(visit)
            await self._serve(visit, answer, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()
            del self._lines[task]

    async def _serve(
        self,
        visit: Visit,
        answer: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        if visit.place in self._open:
            visit.passed.set()
        ending, passing = (asyncio.ensure_future(c) for c in (reader.read(1), visit.passed.wait()))
        try:
            await asyncio.wait({ending, passing}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                writer.write(answer)
                await writer.drain()
                if answer != b"\n":
                    return
            await asyncio.gather(ending, return_exceptions=True)
        finally:
            ending.cancel()
            passing.cancel()
            visit.until = time.monotonic()
            visit.ended.set()

    async def _note(self, visit: Visit) -> None:
        async with self._changed:
            self.visits.append(visit)
            self._changed.notify_all()


def _download(method: str) -> bytes:
    """The answer to a request for the wheel."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        wheel.writestr("gated.py", "")
        info = "gated-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: gated\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD", f"gated.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    body = buffer.getvalue()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    return head if method == "HEAD" else head + body
