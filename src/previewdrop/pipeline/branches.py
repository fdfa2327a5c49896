"""Branches with previews of their own follow their repository, whatever told us of them."""

from __future__ import annotations

from logging import getLogger

from previewdrop.config.pull_rules import pull_rules
from previewdrop.domain.errors import BadSource, Unavailable
from previewdrop.domain.globs import touches
from previewdrop.domain.pulls import skips
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.errands import Errands
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.settle import QUIET
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Project

log = getLogger(__name__)


class Branches:
    """One branch at a time. What it is now counts, not what was told of it."""

    def __init__(self, shop: Workshop, operations: LiveOperations) -> None:
        self._shop = shop
        self._operations = operations
        self._deleted: set[tuple[int, str]] = set()
        self._errands = Errands[str]("branch", self._follow, quiet=QUIET)
        self.close = self._errands.close

    def soon(self, project: Project, branch: str, *, deleted: bool = False) -> None:
        """A branch was pushed to, or deleted."""
        if deleted:
            self._deleted.add((project.id, branch))
        self._errands.soon(project.id, branch)

    async def resync(self, project: Project) -> None:
        """Looks at every branch that has a preview by the rules."""
        for row in await self._shop.store.previews.all(project.name):
            if row.preview.number is None and _ruled(project, row.preview.branch):
                self.soon(project, row.preview.branch)

    async def _follow(self, project_id: int, branch: str) -> None:
        key = (project_id, branch)
        # What is told from now on is for the next time.
        deleted = key in self._deleted
        self._deleted.discard(key)
        try:
            await self._compare(project_id, branch, deleted)
        except Unavailable:
            if deleted:
                self._deleted.add(key)
            raise

    async def _compare(self, project_id: int, branch: str, deleted: bool) -> None:
        store = self._shop.store
        project = next((one for one, _ in await store.projects.all() if one.id == project_id), None)
        if project is None:
            return
        row = await store.previews.existing(project.name, branch, None)
        if row is None and not _ruled(project, branch):
            return
        checkouts, source = self._shop.checkouts, project.source
        try:
            tip = await self._shop.hosts.with_login(
                project, lambda login: checkouts.resolve(source, branch, credentials=login)
            )
        except BadSource as error:
            # It may be that nobody lets us in: a branch is gone when its host says so as well.
            log.info("branch %s: %s", branch, error)
            if row is not None and deleted:
                await store.previews.unwant(row.preview.id)
                await self._operations.changed(row.preview.id)
            return
        if _ruled(project, branch) and not skips(tip.message):
            await self._want(project, branch, row, tip.sha)

    async def _want(
        self, project: Project, branch: str, row: PreviewRow | None, commit: str
    ) -> None:
        there = row if row is not None and row.preview.present else None
        if there is not None and there.preview.commit == commit:
            return
        if there is not None and not await self._operations.concerned(there, commit):
            return
        want = self._shop.store.previews.want
        preview = await want(project.name, branch, commit, again=False)
        await self._operations.changed(preview.id)


def _ruled(project: Project, branch: str) -> bool:
    """Whether the rules give the branch a preview of its own."""
    globs = pull_rules(project.settings).branches
    return bool(globs) and touches(globs, [branch])
