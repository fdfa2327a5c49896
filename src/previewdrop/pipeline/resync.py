"""What events missed: the open pull requests of every host are compared with what is known."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from previewdrop.domain.errors import PreviewDropError
from previewdrop.domain.pull import Pull
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.hosts import Place
from previewdrop.pipeline.pulls import PullRequests
from previewdrop.store.tables import Project

log = logging.getLogger(__name__)

EVERY = 300.0
DELIVERIES_KEPT = 14
"""Days. GitHub repeats a webhook call by hand for three at the most."""


class Resync:
    """Runs at the start, every five minutes, and when a host hints at more than it told."""

    def __init__(
        self, shop: Workshop, pulls: PullRequests, report: Callable[[int, int], None]
    ) -> None:
        self._shop = shop
        self._pulls = pulls
        self._report = report

    async def run(self) -> None:
        """Works until cancelled; what fails is logged and tried again next time."""
        while True:
            self._pulls.resync.clear()
            try:
                await self.once()
            except Exception:
                log.exception("the resync broke")
            try:
                async with asyncio.timeout(EVERY):
                    await self._pulls.resync.wait()
            except TimeoutError:
                continue

    async def once(self) -> None:
        await self._shop.store.pulls.forget_deliveries(DELIVERIES_KEPT)
        for stored, _ in await self._shop.hosts.all():
            for project in await self._shop.store.forges.projects(stored.id):
                try:
                    await self._compare(project)
                except PreviewDropError as error:
                    log.warning("resync of %s: %s", project.name, error)

    async def _compare(self, project: Project) -> None:
        place = await self._shop.hosts.of(project)
        if place is None:
            return
        store = self._shop.store
        page = await place.forge.open_pulls(place.repository, project.pulls_mark)
        if page.pulls is not None:
            listed = {pull.number for pull in page.pulls}
            for pull in page.pulls:
                await store.pulls.take(project.id, pull)
            for row in await store.pulls.open(project.id):
                if row.pull.number not in listed:
                    await store.pulls.take(project.id, await _ended(place, row.pull))
            await store.forges.marked(project.id, page.mark)
        for row in await store.pulls.unsettled(project.id):
            self._pulls.soon(project.id, row.pull.number)
            self._report(project.id, row.pull.number)


async def _ended(place: Place, known: Pull) -> Pull:
    """A pull request that is not listed as open: as it is now, or closed if it is no more."""
    now = await place.forge.pull(place.repository, known.number)
    return now or replace(known, open=False, seen=datetime.now(UTC))
