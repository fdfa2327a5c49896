"""Work that is asked for by key, done one at a time for each, and again while there is news."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from previewdrop.domain.errors import PreviewDropError, Unavailable

log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LONGEST_BURST = 15.0

T = TypeVar("T", int, str)


class Errands(Generic[T]):
    """Does the `work` of every key it is asked for, at once the first time.

    Keys are a project's id and a pull request's number or a branch. The work returns in how many
    seconds to look again, None for not before it is asked for.

    What is asked for within `quiet` seconds of that waits until nobody has asked for so long, so
    that a burst is two times. What is Unavailable is tried again, ever later, or when there is
    news; no sooner than it asks for, unless it is `urgent`: that is work which may turn out to need
    nobody when there is news. What else fails is logged and done when it is asked for next.
    """

    def __init__(
        self,
        what: str,
        work: Callable[[int, T], Awaitable[float | None]],
        *,
        quiet: float = 0.0,
        urgent: bool = False,
    ) -> None:
        self._what = what
        self._work = work
        self._quiet = quiet
        self._urgent = urgent
        self._news: dict[tuple[int, T], asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def soon(self, project_id: int, subject: T) -> None:
        """There may be something to do for this key."""
        key = (project_id, subject)
        if self._closed:
            return
        if key in self._news:
            self._news[key].set()
            return
        news = self._news[key] = asyncio.Event()
        task = asyncio.create_task(self._run(key, news), name=f"{self._what} {key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: tuple[int, T], news: asyncio.Event) -> None:
        pause = _FIRST_PAUSE
        try:
            while True:
                news.clear()
                try:
                    again = await self._work(*key)
                    pause = _FIRST_PAUSE
                except Unavailable as error:
                    log.warning("%s of %s: %s It is tried again.", self._what, key[1], error)
                    again, pause = pause, min(pause * 2, _LONGEST_PAUSE)
                    if self._urgent:
                        again += error.seconds or 0
                    else:
                        await asyncio.sleep(error.seconds or 0)
                except PreviewDropError as error:
                    again = None
                    log.warning("%s of %s: %s", self._what, key[1], error)
                except Exception:
                    again = None
                    log.exception("%s of %s broke", self._what, key[1])
                if await _either(news, self._quiet if again is None else again):
                    await self._calm(news)
                elif again is None:
                    return
        finally:
            # Nothing is awaited since the news were looked at: what comes now begins anew.
            del self._news[key]

    async def _calm(self, news: asyncio.Event) -> None:
        """Returns when no more news comes for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_BURST):
                while await _either(news, self._quiet):
                    news.clear()


async def _either(news: asyncio.Event, seconds: float) -> bool:
    """Returns when there is news, or after so many seconds; whether there was any."""
    if not news.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await news.wait()
    return news.is_set()
