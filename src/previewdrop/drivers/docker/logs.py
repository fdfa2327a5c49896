"""What containers printed, from the Engine's bounded log files."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Mapping

from previewdrop.drivers.docker.engine import Engine
from previewdrop.drivers.docker.frames import framed
from previewdrop.drivers.output import LONGEST_LINE, plain


class Logs:
    """Reads containers' logs by the Engine's API."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def read(
        self, containers: Mapping[str, str], *, until: str | None = None
    ) -> AsyncIterator[tuple[str, str]]:
        """(process name, line), oldest first, of the containers by process name.

        With `until`, a process name, what is printed from now on follows, until that one ends.
        """
        if until is None:
            printed = [
                [(moment, name, line) async for moment, line in self._lines(one, follow=False)]
                for name, one in containers.items()
            ]
            for _, name, line in heapq.merge(*printed):
                yield name, line
        elif until in containers:
            async for each in self._follow(containers, until):
                yield each

    async def _follow(
        self, containers: Mapping[str, str], until: str
    ) -> AsyncIterator[tuple[str, str]]:
        queue: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue(1000)

        async def copy(name: str, container: str) -> None:
            try:
                async for _, line in self._lines(container, follow=True):
                    await queue.put((name, line))
            finally:
                if name == until:
                    await queue.put(None)

        copying = [asyncio.ensure_future(copy(*each)) for each in containers.items()]
        try:
            while (each := await queue.get()) is not None:
                yield each
        finally:
            for task in copying:
                task.cancel()
            await asyncio.gather(*copying, return_exceptions=True)

    async def _lines(self, container: str, *, follow: bool) -> AsyncIterator[tuple[str, str]]:
        """(time, line): each begins with a time of RFC 3339 in a fixed width, then a space."""
        query = {"stdout": True, "stderr": True, "timestamps": True, "follow": follow}
        path = f"/containers/{container}/logs"
        async with self._engine.stream("GET", path, query=query) as answer:
            async for _, payload in framed(answer.aiter_raw()):
                for raw in payload.rstrip(b"\n").split(b"\n"):
                    moment, _, line = raw.partition(b" ")
                    yield moment.decode(errors="replace"), plain(line)[:LONGEST_LINE]
