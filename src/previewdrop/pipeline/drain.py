"""Draining: a former deployment ends its running requests while the new one serves."""

from __future__ import annotations

import asyncio
import logging

from previewdrop.domain.errors import PreviewDropError
from previewdrop.pipeline.attempt import clear
from previewdrop.pipeline.deploying import Workshop
from previewdrop.store.tables import Deployment

log = logging.getLogger(__name__)


class Drains:
    """Drains that are under way in this process.

    If the process dies, the former deployment is found as left behind and cleared by the next one.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._tasks: dict[int, tuple[int, asyncio.Task[None]]] = {}

    def __contains__(self, deployment_id: int) -> bool:
        return deployment_id in self._tasks

    def of(self, preview_id: int) -> list[asyncio.Task[None]]:
        return [task for owner, task in self._tasks.values() if owner == preview_id]

    def begin(self, preview_id: int, deployment: Deployment) -> None:
        """Stops the deployment's processes with grace, then clears it away."""
        task = asyncio.create_task(self._drain(deployment), name=f"drain {deployment.id}")
        self._tasks[deployment.id] = (preview_id, task)
        task.add_done_callback(lambda _: self._tasks.pop(deployment.id, None))

    async def finish(self, preview_id: int) -> None:
        """Returns when nothing of the preview drains any more, without further grace."""
        tasks = self.of(preview_id)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        for owner in {owner for owner, _ in self._tasks.values()}:
            await self.finish(owner)

    async def _drain(self, deployment: Deployment) -> None:
        try:
            if deployment.handle is not None:
                grace = self._shop.settings.grace
                await self._shop.drivers.runtime.stop(deployment.handle, grace)
        except PreviewDropError as error:
            log.warning("deployment %s did not drain: %s", deployment.id, error)
        await clear(self._shop, deployment)
