"""Everything that keeps previews and code hosts in agreement, as one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from previewdrop.domain.errors import PreviewDropError
from previewdrop.pipeline.commands import Commands
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.pulls import PullRequests
from previewdrop.pipeline.reporter import Reporter
from previewdrop.pipeline.resync import Resync
from previewdrop.store.pulls import PullRow


class CodeHosts:
    """Webhooks, commands, resync and reports."""

    def __init__(self, shop: Workshop, operations: LiveOperations) -> None:
        self._shop = shop
        self._operations = operations
        self.reporter = Reporter(shop)
        changed = operations.changed
        self.pulls = PullRequests(shop, changed, self._concerned, self.reporter.soon)
        self._commands = Commands(shop, self.pulls, changed)
        self._resync = Resync(shop, self.pulls, self.reporter.soon)

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._commands.run(), name="commands")
                group.create_task(self._resync.run(), name="resync")
        finally:
            await self.pulls.close()
            await self.reporter.close()

    async def hear(self, kind: str, headers: Mapping[str, str], body: bytes) -> bool | None:
        """Takes a webhook of a host of this kind; False for one that was taken before.

        None for one that no host has signed. BadInput for a body of a wrong shape.
        """
        for stored, forge in await self._shop.hosts.all():
            if stored.kind == kind and forge.verified(headers, body):
                return await self.pulls.hear(stored.id, forge.parsed(headers, body))
        return None

    async def changed(self, preview_id: int | None) -> None:
        """A preview changed; None when changes may have been missed."""
        if preview_id is None:
            self.pulls.resync.set()
            return
        with suppress(PreviewDropError):  # what is lost here the resync reports
            await self.reporter.changed(preview_id)

    async def _concerned(self, pull: PullRow) -> bool:
        row = await self._shop.store.previews.of_pull(pull.project.id, pull.pull.number)
        return row is None or await self._operations.concerned(row, pull.pull.head)
