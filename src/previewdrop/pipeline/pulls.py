"""What code hosts tell is kept: in any order, any number of times."""

from __future__ import annotations

import asyncio

from previewdrop.domain.commands import command_in
from previewdrop.forge.events import (
    BranchDeleted,
    BranchPushed,
    CommentDeleted,
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
from previewdrop.pipeline.branches import Branches
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.settle import Changed, Settle, ended
from previewdrop.store.tables import Project


class PullRequests:
    """Taking writes down what was told, and no more.

    What is wanted then is settled beside it; the resync does it again if that is lost.
    """

    def __init__(
        self, shop: Workshop, settle: Settle, branches: Branches, changed: Changed
    ) -> None:
        self._shop = shop
        self._settle = settle
        self._branches = branches
        self._changed = changed
        self.asked = asyncio.Event()
        """Set when somebody wrote a command."""
        self.resync = asyncio.Event()
        """Set when there may be more to know than was told."""

    async def hear(self, forge_id: int, delivery: Delivery) -> bool:
        """Takes a webhook call to a connection; False for one that it took before."""
        pulls = self._shop.store.pulls
        told = [
            (event.repository.id, event.pull)
            for event in delivery.events
            if isinstance(event, PullChanged)
        ]
        if len(told) == len(delivery.events):
            taken = await pulls.heard(forge_id, delivery.id, told)
            for one in taken or ():
                self._settle.told(*one)
            return taken is not None
        if await pulls.was_delivered(forge_id, delivery.id):
            return False
        for event in delivery.events:
            await self._take(forge_id, event)
        await pulls.delivered(forge_id, delivery.id)
        return True

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
                    doubtful = await store.pulls.take(project.id, pull)
                    self._settle.told(project.id, pull.number, doubtful)
                case BranchPushed(branch=branch):
                    self._branches.soon(project, branch)
                case BranchDeleted(branch=branch):
                    self._branches.soon(project, branch, deleted=True)
                case Commented():
                    await self.commented(project, event)
                case CommentDeleted(number=number, comment=comment):
                    if await store.pulls.lost(project.id, number, comment):
                        self._settle.soon(project.id, number)
                case RepositoryMoved(repository):
                    await store.forges.renamed(
                        forge_id, repository.id, repository.name, repository.url
                    )
                case RepositoryLeft():
                    await self.leave(project)
                case RepositoryJoined():
                    self.resync.set()

    async def commented(self, project: Project, event: Commented) -> None:
        """Takes the command in a comment, if there is one, once."""
        command = None if event.bot else command_in(event.body)
        if command is None:
            return
        asks = self._shop.store.asks
        if await asks.add(project.id, event.number, event.comment, event.author, event.at, command):
            self.asked.set()

    async def _installed(self, project: Project, joined: bool) -> None:
        if joined:
            self.resync.set()
        else:
            await self.leave(project)

    async def leave(self, project: Project) -> None:
        """Nothing of a repository can be fetched or told any more: its previews go.

        If it comes back, its pull requests are listed again, and are open again then.
        """
        for row in await self._shop.store.pulls.open(project.id):
            await self._shop.store.pulls.take(project.id, ended(row.pull))
            self._settle.soon(project.id, row.pull.number)
        await self._shop.store.forges.marked(project.id, None)
        self._branches.forget(project)
        for row in await self._shop.store.previews.all(project.name):
            if row.preview.present:
                branch = row.preview.number is None
                await self._shop.store.previews.unwant(row.preview.id, forget=branch)
                await self._changed(row.preview.id)
