"""Branches with previews of their own follow their repository, whatever told us of them."""

from __future__ import annotations

from logging import getLogger

from previewdrop.config.pull_rules import pull_rules
from previewdrop.domain.errors import BadSource
from previewdrop.domain.globs import touches
from previewdrop.domain.pulls import skips
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.errands import Errands
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.settle import QUIET
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Project

log = getLogger(__name__)

_REFS = "refs/"
"""A preview may be of any ref; only branches are listed."""


class Branches:
    """One branch at a time. What it is now counts, not what was told of it.

    A branch is gone when two say so: whoever tells of it, a list or a fetch.
    """

    def __init__(self, shop: Workshop, operations: LiveOperations) -> None:
        self._shop = shop
        self._operations = operations
        self._missing: set[tuple[int, str]] = set()
        self._compared: dict[tuple[int, str], str] = {}
        self._errands = Errands[str]("branch", self._follow, quiet=QUIET)
        self.close = self._errands.close

    def soon(self, project: Project, branch: str, *, deleted: bool = False) -> None:
        """A branch was pushed to, or deleted."""
        if deleted:
            self._missing.add((project.id, branch))
        self._errands.soon(project.id, branch)

    def forget(self, project: Project) -> None:
        """What was seen of its branches counts no more, so that they come back as they are."""
        for key in [key for key in self._compared if key[0] == project.id]:
            del self._compared[key]

    async def resync(self, project: Project) -> None:
        """Looks at the branches that moved, came or went, as the repository lists them.

        One whose preview was removed stays without until it moves.
        """
        rows = await self._shop.store.previews.of_branches(project.id)
        there = {row.preview.branch for row in rows if row.preview.present}
        if not there and not pull_rules(project.settings).branches:
            return
        checkouts, source = self._shop.checkouts, project.source
        tips = await self._shop.hosts.with_login(
            project, lambda login: checkouts.branches(source, credentials=login)
        )
        commits = {row.preview.branch: row.preview.commit for row in rows}
        for branch, tip in tips.items():
            key = (project.id, branch)
            self._missing.discard(key)
            seen = tip in (commits.get(branch), self._compared.get(key))
            if not seen and _ruled(project, branch):
                self.soon(project, branch)
        for branch in there - tips.keys():
            if (project.id, branch) in self._missing:
                self.soon(project, branch)
            elif not branch.startswith(_REFS):
                self._missing.add((project.id, branch))

    async def _follow(self, project_id: int, branch: str) -> None:
        key = (project_id, branch)
        # What is told from now on is for the next time.
        missing = key in self._missing
        self._missing.discard(key)
        try:
            await self._compare(project_id, branch, missing)
        except Exception:
            if missing:
                self._missing.add(key)
            raise

    async def _compare(self, project_id: int, branch: str, missing: bool) -> None:
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
            # It may be that nobody lets us in.
            log.info("branch %s: %s", branch, error)
            if row is not None and missing:
                await store.previews.unwant(row.preview.id, forget=True)
                self._compared.pop((project_id, branch), None)
                await self._operations.changed(row.preview.id)
            return
        if not _ruled(project, branch):
            return
        if not skips(tip.message):
            await self._want(project, branch, row, tip.sha)
        self._compared[project_id, branch] = tip.sha

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
