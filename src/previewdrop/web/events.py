"""Changes as they happen: one LISTEN for the server, handed to everybody who follows."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from previewdrop.domain.errors import Unavailable
from previewdrop.store.database import StateDatabase

log = logging.getLogger(__name__)

_MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """A preview changed; with `deployment` when that deployment's log has grown."""

    preview: int
    deployment: int | None = None


class Changes:
    """Hands out changes. Whoever follows reads the state afresh: a change says only that it did."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database
        self._queues: set[asyncio.Queue[Change | None]] = set()

    async def run(self) -> None:
        """Listens until cancelled; followers are told to look again after each reconnection."""
        while True:
            try:
                async with self._database.listen() as payloads:
                    self.tell(None)
                    async for payload in payloads:
                        content = json.loads(payload)
                        self.tell(Change(content["preview"], content["deployment"]))
            except Unavailable as error:
                log.warning("events: %s", error.message)
            except Exception:
                log.exception("events broke")
            await asyncio.sleep(0.5)

    @contextmanager
    def follow(self) -> Generator[asyncio.Queue[Change | None]]:
        """A queue of changes from now on; None means that some may have been missed."""
        queue: asyncio.Queue[Change | None] = asyncio.Queue(_MOST_WAITING)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    def tell(self, change: Change | None) -> None:
        """Hands a change to everybody; one who has not taken the others has to look again."""
        for queue in self._queues:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(change)


async def gathered(
    queue: asyncio.Queue[Change | None],
) -> AsyncGenerator[list[Change | None]]:
    """Changes in the batches in which they came."""
    while True:
        batch = [await queue.get()]
        while not queue.empty():
            batch.append(queue.get_nowait())
        yield batch
