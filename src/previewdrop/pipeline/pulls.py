"""Pull requests drive previews: what hosts tell is kept, and what is wanted is written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from previewdrop.config.pull_rules import pull_rules
from previewdrop.domain.commands import command_in
from previewdrop.domain.errors import BadInput, PreviewDropError, Unavailable
from previewdrop.domain.globs import touches
from previewdrop.domain.pulls import Keep, Nothing, Show, Wanted, wanted
from previewdrop.domain.reasons import Reason, unwatched
from previewdrop.forge.events import (
    BranchDeleted,
    BranchPushed,
    Commented,
    Delivery,
    Event,
    InstallationJoined,
    InstallationLeft,
    PullChanged,
    RepositoryJoined,
    RepositoryLeft,
    RepositoryMoved,
)
from previewdrop.pipeline.deploying import Workshop
from previewdrop.store.pulls import PullRow
from previewdrop.store.tables import Project

log = logging.getLogger(__name__)

Changed = Callable[[int], Awaitable[None]]
"""Something is wanted of a preview now: its reconciliation is asked for."""

Concerned = Callable[[PullRow], Awaitable[bool]]


class PullRequests:
    """Takes what hosts tell, in any order and any number of times.

    Taking writes down what was told, and no more. What is wanted then is settled beside it, one
    pull request at a time, after a commit's message and the paths that it touches were read; the
    resync does it again if that is lost.
    """

    def __init__(
        self,
        shop: Workshop,
        changed: Changed,
        concerned: Concerned,
        report: Callable[[int, int], None],
    ) -> None:
        self._shop = shop
        self._changed = changed
        self._concerned = concerned
        self._report = report
        self._looking: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.asked = asyncio.Event()
        """Set when somebody wrote a command."""
        self.resync = asyncio.Event()
        """Set when there may be more to know than was told."""

    async def hear(self, forge_id: int, delivery: Delivery) -> bool:
        """Takes a webhook call; False for one that was taken before."""
        pulls = self._shop.store.pulls
        if await pulls.was_delivered(delivery.id):
            return False
        for event in delivery.events:
            await self._take(forge_id, event)
        await pulls.delivered(delivery.id)
        return True

    async def close(self) -> None:
        tasks = list(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def soon(self, project_id: int, number: int) -> None:
        """What is wanted of a pull request is written down beside the caller."""
        key = (project_id, number)
        if key in self._looking:
            return
        task = asyncio.create_task(self._settle(project_id, number), name=f"pull request {number}")
        self._looking[key] = task
        task.add_done_callback(lambda _: self._looking.pop(key, None))

    async def _settle(self, project_id: int, number: int) -> None:
        """Writes down what is wanted, until nothing new was told meanwhile."""
        pulls, done = self._shop.store.pulls, None
        try:
            while (row := await pulls.of(project_id, number)) is not None and row.told != done:
                decision = _decided(row)
                if _unread(row, decision):
                    await self._read(row)
                    continue
                await self._write(row, decision)
                done = row.told
        except Unavailable as error:
            log.warning("pull request %s: %s The resync tries again.", number, error)
        except PreviewDropError as error:
            log.warning("pull request %s: %s", number, error)
        except Exception:
            log.exception("settling pull request %s broke", number)

    async def _write(self, row: PullRow, decision: Wanted) -> None:
        store, pull, project = self._shop.store, row.pull, row.project
        preview_id = None
        reason: Reason | None = None
        match decision:
            case Show(commit, secrets, pending):
                preview = await store.previews.want(
                    project.name, pull.branch, commit, pull.number, again=False, secrets=secrets
                )
                preview_id, reason = preview.id, pending
            case Nothing(why):
                reason = why
                there = await store.previews.existing(project.name, pull.branch, pull.number)
                if there is not None:
                    await store.previews.unwant(there.preview.id)
                    preview_id = there.preview.id
            case Keep(why):
                reason = why
        if reason != row.reason:
            await store.pulls.reasoned(project.id, pull.number, reason)
        if preview_id is not None:
            await self._changed(preview_id)
        self._report(project.id, pull.number)

    async def _read(self, row: PullRow) -> None:
        """The head's message and whether it concerns the preview, from the mirror."""
        shop, project, head = self._shop, row.project, row.pull.head
        message, concerned = "", True
        try:
            login = await shop.hosts.login(project)
            await shop.checkouts.fetch(project.source, commit=head, credentials=login)
            message = (await shop.checkouts.commit(project.source, head)).message
            concerned = await self._concerned(row)
        except BadInput as error:
            log.info("the commit %s cannot be read: %s", head, error)
        await shop.store.pulls.know(project.id, row.pull.number, head, message, concerned)

    async def _take(self, forge_id: int, event: Event) -> None:
        store = self._shop.store
        if isinstance(event, InstallationLeft | InstallationJoined):
            for project in await store.forges.projects(forge_id):
                if project.installation == event.installation:
                    await self._installed(project, isinstance(event, InstallationJoined))
            return
        for project in await store.forges.projects(forge_id, event.repository.id):
            match event:
                case PullChanged(pull=pull):
                    await store.pulls.take(project.id, pull)
                    self.soon(project.id, pull.number)
                case BranchPushed():
                    await self._pushed(project, event)
                case BranchDeleted(branch=branch):
                    await self._deleted(project, branch)
                case Commented():
                    await self._commented(project, event)
                case RepositoryMoved(repository):
                    await store.forges.renamed(
                        forge_id, repository.id, repository.name, repository.url
                    )
                case RepositoryLeft():
                    await self._leave(project)
                case RepositoryJoined():
                    self.resync.set()

    async def _pushed(self, project: Project, event: BranchPushed) -> None:
        rules = pull_rules(project.settings)
        if not (rules.branches and touches(rules.branches, [event.branch])):
            return
        preview = await self._shop.store.previews.want(
            project.name, event.branch, event.commit, again=False
        )
        await self._changed(preview.id)

    async def _deleted(self, project: Project, branch: str) -> None:
        previews = self._shop.store.previews
        there = await previews.existing(project.name, branch, None)
        if there is not None:
            await previews.unwant(there.preview.id)
            await self._changed(there.preview.id)

    async def _commented(self, project: Project, event: Commented) -> None:
        command = None if event.bot else command_in(event.body)
        if command is not None:
            asks = self._shop.store.asks
            await asks.add(project.id, event.number, event.comment, event.author, command)
            self.asked.set()

    async def _installed(self, project: Project, joined: bool) -> None:
        if joined:
            self.resync.set()
        else:
            await self._leave(project)

    async def _leave(self, project: Project) -> None:
        """Nothing of a repository can be fetched or told any more: its previews go."""
        for row in await self._shop.store.previews.all(project.name):
            await self._shop.store.previews.unwant(row.preview.id)
            await self._changed(row.preview.id)


def _unread(row: PullRow, decision: Wanted) -> bool:
    """Whether a commit is to be shown whose message was not read yet."""
    shown = isinstance(decision, Show) and decision.commit == row.pull.head
    return shown and row.message is None


def _decided(row: PullRow) -> Wanted:
    policy = pull_rules(row.project.settings).policy
    decision = wanted(row.pull, policy, row.marks, row.message, row.expired)
    if isinstance(decision, Show) and decision.commit == row.pull.head and not row.concerned:
        return Keep(unwatched(row.pull.head))
    return decision
