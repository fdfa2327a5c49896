"""Timers that only write desired state: expiry, drift, orphans, requests seen at the edge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from previewdrop.domain.errors import PreviewDropError
from previewdrop.pipeline.attempt import INTERRUPTED
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.reconcile import Reconciler, Wake

log = logging.getLogger(__name__)

EVERY = 30.0
ORPHANS_EVERY = 600.0
DEPLOYMENTS_KEPT = 20


class Sweep:
    """Finds what events missed. Running it twice, or late, changes nothing but time."""

    def __init__(self, shop: Workshop, reconciler: Reconciler, wake: Wake) -> None:
        self._shop = shop
        self._reconciler = reconciler
        self._wake = wake

    async def run(self) -> None:
        """Sweeps until cancelled; what fails is logged and tried again next time."""
        last_orphans = 0.0
        while True:
            await asyncio.sleep(EVERY)
            await _guarded(self.requests)
            await _guarded(self.expire)
            await _guarded(self.drift)
            await _guarded(self.forgotten)
            now = asyncio.get_running_loop().time()
            if now - last_orphans > ORPHANS_EVERY:
                last_orphans = now
                await _guarded(self.orphans)
                await _guarded(self.mirrors)
                await _guarded(self.history)

    async def first(self) -> None:
        """Clears what a server that died left behind; before any job runs.

        What cannot be cleared now does not keep the server from starting.
        """
        await _guarded(self.abandon)
        await _guarded(self.orphans)
        await _guarded(self.drift)

    async def drift(self) -> None:
        """Asks for every preview to be looked at: what is as it should be costs a few reads."""
        for row in await self._shop.store.previews.all():
            await self._wake(row.preview.id)

    async def forgotten(self) -> None:
        """Drops projects of which nothing is left, or whose host is told no more."""
        await self._shop.store.projects.drop_forgotten()

    async def expire(self) -> None:
        """Previews that nobody pushed to or requested for a long time are no longer wanted."""
        after = timedelta(days=self._shop.settings.expire_days)
        for preview_id in await self._shop.store.previews.expired(after):
            await self._expire(preview_id)
            await self._wake(preview_id)

    async def _expire(self, preview_id: int) -> None:
        """A pull request's preview comes back with its next push."""
        row = await self._shop.store.previews.by_id(preview_id)
        if row.preview.number is not None:
            now = datetime.now(UTC)
            await self._shop.store.pulls.expire(row.project.id, row.preview.number, now)
        await self._shop.store.previews.unwant(preview_id)

    async def requests(self) -> None:
        """Notes when each preview was last requested."""
        seen = await self._shop.drivers.edge.last_requests()
        rows = {self._shop.names(row).host: row for row in await self._shop.store.previews.all()}
        moments = {
            rows[host].preview.id: datetime.fromtimestamp(moment, UTC)
            for host, moment in seen.items()
            if host in rows
        }
        if moments:
            await self._shop.store.previews.requested(moments)

    async def abandon(self) -> None:
        """Cancels deployments that a server that died was working on; before any job runs."""
        for row in await self._shop.store.previews.all():
            for deployment in await self._shop.store.deployments.under_way(row.preview.id):
                await self._shop.store.deployments.cancelled(deployment.id, INTERRUPTED)

    async def orphans(self) -> None:
        """Removes what no preview owns: processes, databases, users, routes, folders.

        Only while nothing is being reconciled: what was just made would look ownerless.
        """
        async with self._reconciler.pause() as paused:
            if paused:
                await self._remove_orphans()

    async def mirrors(self) -> None:
        """Removes what was fetched of repositories that no project has any more."""
        sources = {project.source for project, _ in await self._shop.store.projects.all()}
        if removed := await self._shop.checkouts.sweep(sources):
            log.info("removed mirrors that no project needs: %s", ", ".join(removed))

    async def history(self) -> None:
        """Forgets the oldest deployments of each preview, with their logs."""
        if forgotten := await self._shop.store.deployments.forget_old(DEPLOYMENTS_KEPT):
            log.info("forgot %s old deployments", forgotten)

    async def _remove_orphans(self) -> None:
        store, drivers = self._shop.store, self._shop.drivers
        rows = await store.previews.all()
        holding = {*await store.deployments.holding(), *await store.deployments.handles()}
        artifacts = await store.deployments.artifacts()
        identifiers = {self._shop.names(row).identifier for row in rows}
        removed = [
            *await drivers.runtime.sweep(holding),
            *await drivers.edge.sweep({self._shop.names(row).host for row in rows}),
            *await drivers.database.sweep(identifiers),
            *await drivers.cache.sweep(identifiers),
            *await drivers.builder.sweep({key for key in artifacts if key}),
            *await self._shop.checkouts.sweep_exports([self._shop.folder(one) for one in holding]),
        ]
        if removed:
            log.warning("removed what no preview owns: %s", ", ".join(removed))


async def _guarded(step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except PreviewDropError as error:
        log.warning("sweep: %s", error)
    except Exception:
        log.exception("sweep broke")
