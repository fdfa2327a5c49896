"""A gate on loopback: what runs in a preview says that it came, and waits until it may go on.

A connection lasts exactly as long as the process that made it, so the gate knows who is alive
without looking at the machine.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Self

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
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._receive, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def files(self) -> dict[str, str]:
        """The file that the commands of a repository call: `python gate.py PLACE`."""
        return {"gate.py": CLIENT.format(port=self.port)}

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
        self._tasks.add(task)
        try:
            place, commit, preview = (await reader.readline()).decode().split()
            visit = Visit(place, commit, preview)
            await self._note(visit)
            await self._serve(visit, reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _serve(
        self, visit: Visit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if visit.place in self._open:
            visit.passed.set()
        ending, passing = (asyncio.ensure_future(c) for c in (reader.read(1), visit.passed.wait()))
        try:
            await asyncio.wait({ending, passing}, return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                writer.write(b"\n")
                await writer.drain()
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
