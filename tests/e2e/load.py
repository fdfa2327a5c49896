"""Constant traffic on a preview's HTTPS URL, which knows of every request that failed."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from typing import Self
from urllib.parse import urlsplit

from e2e.server import Json, Server

_PAUSE = 0.005


class Load:
    """Clients that ask one thing after the other, some of them on a new connection each time.

    `answers` counts (status, commit); `failures` says what else came, on connections that the
    edge had not said it would close. It needs no server of ours but the edge.
    """

    def __init__(self, server: Server, preview: Json, clients: int = 3, newcomers: int = 1) -> None:
        self.answers: Counter[tuple[int, str]] = Counter()
        self.failures: list[str] = []
        self._url = urlsplit(str(preview["url"]))
        self._tls = ssl.create_default_context(cafile=str(server.home.ca_file))
        self._counts = clients, newcomers
        self._over = False
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        clients, newcomers = self._counts
        work = [*(self._ask(True) for _ in range(clients))]
        work += [self._ask(False) for _ in range(newcomers)]
        self._tasks = [asyncio.create_task(each) for each in work]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    @property
    def statuses(self) -> set[int]:
        return {status for status, _ in self.answers}

    @property
    def commits(self) -> set[str]:
        return {commit for _, commit in self.answers}

    async def goes_on(self, count: int = 40) -> None:
        """Returns when so many more requests have been answered, or one has failed."""
        wanted = self.answers.total() + count

        def enough() -> bool:
            return bool(self.failures) or self.answers.total() >= wanted

        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(enough), 60)

    async def _ask(self, again: bool) -> None:
        while not self._over:
            try:
                await self._visit(again)
            except (OSError, EOFError, ValueError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.1)

    async def _visit(self, again: bool) -> None:
        """Asks on one connection, once or (`again`) until the load is over."""
        host, port = str(self._url.hostname), self._url.port
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=self._tls, server_hostname=host
        )
        try:
            keeps = True
            while keeps and not self._over:
                writer.write(f"GET /health HTTP/1.1\r\nHost: {self._url.netloc}\r\n\r\n".encode())
                keeps = await self._answer(reader) and again
                await asyncio.sleep(_PAUSE)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bool:
        """Notes the answer; whether another may be asked for on the same connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in head)}
        status = int(head[0].split()[1])
        body = await reader.readexactly(int(headers["content-length"]))
        commit = json.loads(body)["commit"] if status == 200 else ""
        async with self._changed:
            self.answers[status, commit] += 1
            self._changed.notify_all()
        return headers.get("connection") != "close"
