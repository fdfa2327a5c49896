"""Everything that keeps previews and code hosts in agreement, as one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from previewdrop.domain.errors import PreviewDropError
from previewdrop.forge.base import Forge
from previewdrop.pipeline.branches import Branches
from previewdrop.pipeline.commands import Commands
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.outside import Outside
from previewdrop.pipeline.pulls import PullRequests
from previewdrop.pipeline.reporter import Answers, Reporter
from previewdrop.pipeline.resync import Resync
from previewdrop.pipeline.settle import Settle
from previewdrop.store.forges import StoredForge
from previewdrop.store.pulls import PullRow

_LONG = 1024 * 1024
"""Bytes. What is longer is not hashed where others wait for their answers."""


class CodeHosts:
    """Webhooks, commands, resync and reports. `answers` is how previews are seen from outside."""

    def __init__(
        self, shop: Workshop, operations: LiveOperations, answers: Answers | None = None
    ) -> None:
        self._shop = shop
        self._operations = operations
        outside = Outside(shop.settings.edge_host, shop.settings.edge_port)
        self.reporter = Reporter(shop, answers or outside.answers)
        changed = operations.changed
        self._settle = Settle(shop, changed, self._concerned, self.reporter.soon)
        self._branches = Branches(shop, operations)
        self.pulls = PullRequests(shop, self._settle, self._branches, changed)
        self._commands = Commands(shop, self.pulls.asked, self._settle, operations)
        self.resync = Resync(shop, self.pulls, self._settle, self._branches, self.reporter.soon)

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._commands.run(), name="commands")
                group.create_task(self.resync.run(), name="resync")
        finally:
            await self.close()

    async def close(self) -> None:
        """Ends what was begun beside those who asked for it."""
        await self._settle.close()
        await self._branches.close()
        await self.reporter.close()

    async def hear(self, kind: str, headers: Mapping[str, str], body: bytes) -> bool | None:
        """Takes a webhook of a host of this kind; False for one that was taken before.

        Each connection hears what is signed with a secret of its own, which several may share.
        None for one that no host has signed. BadInput for a body of a wrong shape.
        """
        hosts, call = self._shop.hosts, (kind, headers, body)
        signers = await _signers(await hosts.all(fresh=False), *call)
        signers = signers or await _signers(await hosts.missed(), *call)
        if not signers:
            return None
        new = [await self.pulls.hear(id, forge.parsed(headers, body)) for id, forge in signers]
        return any(new)

    async def changed(self, preview_id: int | None) -> None:
        """A preview changed; None when changes may have been missed."""
        with suppress(PreviewDropError):  # what is lost here the resync reports
            if preview_id is None:
                await self.resync.tell()
            else:
                await self._changed(preview_id)

    async def _changed(self, preview_id: int) -> None:
        """Its pull request is decided of and told of, if it has one: a mark may have come too."""
        row = await self._shop.store.previews.by_id(preview_id)
        if row.preview.number is not None and row.project.forge_id is not None:
            self._settle.soon(row.project.id, row.preview.number)
            self.reporter.soon(row.project.id, row.preview.number)

    async def _concerned(self, pull: PullRow) -> bool:
        row = await self._shop.store.previews.of_pull(pull.project.id, pull.pull.number)
        return row is None or await self._operations.concerned(row, pull.pull.head)


async def _signers(
    hosts: Sequence[tuple[StoredForge, Forge]], kind: str, headers: Mapping[str, str], body: bytes
) -> list[tuple[int, Forge]]:
    """Those of this kind that have signed a body, by the ids of their connections."""

    def found() -> list[tuple[int, Forge]]:
        return [
            (stored.id, forge)
            for stored, forge in hosts
            if stored.kind == kind and forge.verified(headers, body)
        ]

    return found() if len(body) < _LONG else await asyncio.to_thread(found)
