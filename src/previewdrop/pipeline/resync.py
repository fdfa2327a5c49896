"""What events missed: the open pull requests of every host are compared with what is known."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from previewdrop.domain.errors import PreviewDropError
from previewdrop.forge.base import Forge, Refused
from previewdrop.pipeline.branches import Branches
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.hosts import Place
from previewdrop.pipeline.pulls import PullRequests
from previewdrop.pipeline.settle import Settle, answered, now_at
from previewdrop.store.tables import Project

log = logging.getLogger(__name__)

EVERY = 300.0
WHOLE_EVERY = 12
"""Rounds. Names of repositories change seldom, and hosts lead from old ones to new ones."""

_COMMANDS_WAIT = timedelta(days=1)
_LISTED_WITHIN = timedelta(minutes=2)
"""By then a comment is in the lists of its host, whose clock is ours but for seconds."""

MISSING_FOR = 60.0
"""Seconds after which a repository that is still out of reach loses its previews."""

DELIVERIES_KEPT = 14
"""Days. GitHub repeats a webhook call by hand for three at the most."""


class Resync:
    """Runs at the start, every five minutes, and when a host hints at more than it told."""

    def __init__(
        self,
        shop: Workshop,
        pulls: PullRequests,
        settle: Settle,
        branches: Branches,
        report: Callable[[int, int], None],
    ) -> None:
        self._shop = shop
        self._pulls = pulls
        self._settle = settle
        self._branches = branches
        self._report = report
        self._rounds = 0
        self._missing: dict[int, float] = {}

    async def run(self) -> None:
        """Works until cancelled; what fails is logged and tried again next time."""
        while True:
            whole = self._pulls.resync.is_set() or self._rounds % WHOLE_EVERY == 0
            self._pulls.resync.clear()
            self._rounds += 1
            try:
                await self.once(whole=whole)
            except PreviewDropError as error:
                log.warning("resync: %s", error)
            except Exception:
                log.exception("the resync broke")
            try:
                async with asyncio.timeout(EVERY):
                    await self._pulls.resync.wait()
            except TimeoutError:
                continue

    async def once(self, *, whole: bool = True) -> None:
        """One round, of all hosts at the same time.

        `whole` asks for everything anew, else hosts are asked only whether lists changed.
        """
        await self._shop.store.pulls.forget_deliveries(DELIVERIES_KEPT)
        await self._tell_of_forgotten()
        hosts = await self._shop.hosts.all()
        await asyncio.gather(*(self._look_at(stored.id, forge, whole) for stored, forge in hosts))

    async def _look_at(self, forge_id: int, forge: Forge, whole: bool) -> None:
        """One host; what fails for one of its projects does not keep the others waiting."""
        try:
            if whole:
                await self._follow(forge_id, forge)
        except PreviewDropError as error:
            log.warning("resync of connection %s: %s", forge_id, error)
        for project in await self._shop.store.forges.projects(forge_id):
            try:
                await self._look(project, whole=whole)
            except PreviewDropError as error:
                log.warning("resync of %s: %s", project.name, error)

    async def tell(self) -> None:
        """Whatever is known is compared with what is wanted and was told, without the hosts."""
        await self._tell_of_forgotten()
        for stored, _ in await self._shop.hosts.all():
            for project in await self._shop.store.forges.projects(stored.id):
                await self._tell(project)

    async def _tell(self, project: Project) -> None:
        for row in await self._shop.store.pulls.unsettled(project.id):
            self._settle.soon(project.id, row.pull.number)
            self._report(project.id, row.pull.number)

    async def _tell_of_forgotten(self) -> None:
        for project_id, number in await self._shop.store.pulls.of_forgotten():
            self._report(project_id, number)

    async def _follow(self, forge_id: int, forge: Forge) -> None:
        """Learns the names that repositories have now, and who lets us in."""
        forges = self._shop.store.forges
        reached = {each.id: each for each in await forge.repositories()}
        for project in await forges.projects(forge_id):
            there = reached.get(project.repository or 0)
            if there is None:
                continue
            known = (project.repository_name, project.source, project.installation)
            if known != (there.name, there.url, there.installation):
                log.info("%s is %s now", project.name, there.name)
                await forges.link(project.id, forge_id, there.id, there.name, there.installation)
                await forges.renamed(forge_id, there.id, there.name, there.url)

    async def _look(self, project: Project, *, whole: bool) -> None:
        place = await self._shop.hosts.of(project)
        if place is None:
            return
        try:
            await self._compare(project, place, None if whole else project.pulls_mark)
        except Refused as refused:
            if not refused.missing:
                raise
            # Hosts say so also when they only think that they do not know us.
            now = time.monotonic()
            first = self._missing.get(project.id)
            if first is None:
                self._missing[project.id] = now
            elif now - first >= MISSING_FOR:
                log.warning("%s is out of reach: its previews are removed", project.name)
                await self._pulls.leave(project)
            return
        self._missing.pop(project.id, None)
        await self._tell(project)
        await self._listen(project, place)
        await self._branches.resync(project)

    async def _listen(self, project: Project, place: Place) -> None:
        """Takes commands that nobody told of; who asked a day ago has asked again or given up."""
        now = datetime.now(UTC)
        since = max(project.comments_read or now, now - _COMMANDS_WAIT)
        try:
            comments = await place.forge.comments_since(place.repository, since)
        except Refused as refused:
            log.warning("commands in %s: %s", project.name, refused)
            return
        for comment in sorted(comments, key=lambda each: each.at):
            await self._pulls.commented(project, comment)
        until = max(since, now - _LISTED_WITHIN)
        await self._shop.store.forges.read_comments(project.id, until)

    async def _compare(self, project: Project, place: Place, mark: str | None) -> None:
        store = self._shop.store
        before = datetime.now(UTC)
        page = await place.forge.open_pulls(place.repository, mark)
        if page.pulls is None:
            return
        listed = {pull.number for pull in page.pulls}
        doubtful = False
        for pull in page.pulls:
            doubtful = await store.pulls.take(project.id, answered(pull, before)) or doubtful
        for row in await store.pulls.open(project.id):
            if row.pull.number not in listed:
                await store.pulls.take(project.id, await now_at(place, row.pull))
                # It may just be decided of as it was before.
                self._settle.soon(project.id, row.pull.number)
        # Without a mark the next list comes whole, which settles what this one left in doubt.
        await store.forges.marked(project.id, None if doubtful else page.mark)
