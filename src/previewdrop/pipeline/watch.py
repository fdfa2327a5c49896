"""Watching over live deployments: when a process ends by itself, its preview is reconciled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable

from previewdrop.domain.errors import PreviewDropError
from previewdrop.domain.spec import Route
from previewdrop.drivers.base import Edge, Handle, Runtime

log = logging.getLogger(__name__)

NOWHERE = "127.0.0.1:1"
"""Where requests go while an app is down: no preview can listen there, as on the port it left."""

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 60.0
_FORGET_AFTER = 600.0


class Watch:
    """One task a live deployment. An app that ends again and again is started ever later."""

    def __init__(
        self, runtime: Runtime, edge: Edge, wake: Callable[[int], Awaitable[None]]
    ) -> None:
        self._runtime = runtime
        self._edge = edge
        self._wake = wake
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ends: dict[int, deque[float]] = {}

    def over(self, preview_id: int, deployment_id: int, handle: Handle, host: str) -> None:
        """Watches over a deployment from now on; once is enough."""
        if deployment_id not in self._tasks:
            self._begin(deployment_id, self._wait(preview_id, deployment_id, handle, host))

    def try_later(self, preview_id: int, deployment_id: int) -> None:
        """Reconciles the preview again after a while, longer each time."""
        self.forget(deployment_id)
        self._begin(deployment_id, self._later(preview_id, deployment_id))

    def forget(self, deployment_id: int | None) -> None:
        if deployment_id is not None and (task := self._tasks.pop(deployment_id, None)):
            task.cancel()

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def delay(self, deployment_id: int, now: float) -> float:
        """Seconds to wait after one more end at `now`: doubled for each within ten minutes."""
        ends = self._ends.setdefault(deployment_id, deque(maxlen=16))
        ends.append(now)
        recent = sum(1 for end in ends if now - end < _FORGET_AFTER)
        return min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** (recent - 1))

    def _begin(self, deployment_id: int, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks[deployment_id] = task

        def ended(done: asyncio.Future[None]) -> None:
            if self._tasks.get(deployment_id) is done:
                del self._tasks[deployment_id]

        task.add_done_callback(ended)

    async def _wait(self, preview_id: int, deployment_id: int, handle: Handle, host: str) -> None:
        process = await self._runtime.wait(handle)
        log.warning("the app of deployment %s ended: %s", deployment_id, process)
        try:
            route = await self._edge.observe(host)
            if route is not None and route.upstream == handle["upstream"]:
                await self._edge.ensure(Route(host, NOWHERE))
        except PreviewDropError as error:
            log.warning("%s is still routed to a port that is free now: %s", host, error)
        await self._later(preview_id, deployment_id)

    async def _later(self, preview_id: int, deployment_id: int) -> None:
        await asyncio.sleep(self.delay(deployment_id, time.monotonic()))
        await self._wake(preview_id)
