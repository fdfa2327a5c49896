"""Previews in the store: what is wanted of them, and what they hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from previewdrop.domain.errors import Conflict, NotFound
from previewdrop.domain.naming import slug_for_number, slugs_for_branch
from previewdrop.domain.preview import DeploymentState, PreviewState
from previewdrop.store.database import CHANGES, StateDatabase
from previewdrop.store.tables import Ask, Deployment, Json, Preview, Project, Variable

FREE_NUMBER = text(
    "SELECT number FROM generate_series(1, :capacity) AS number"
    " WHERE number NOT IN (SELECT cache_number FROM previews WHERE cache_number IS NOT NULL)"
    " ORDER BY number LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A preview with its project and its newest deployment."""

    preview: Preview
    project: Project
    latest: Deployment | None

    @property
    def name(self) -> str:
        return f"{self.project.name}/{self.preview.slug}"

    @property
    def failed(self) -> bool:
        """Whether the newest deployment answered what is wanted by failing."""
        return _answered_by_failing(self.preview, self.latest)


class Previews:
    """Every method is one transaction; each change is told on CHANGES."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    async def want(
        self,
        project: str,
        branch: str,
        commit: str,
        number: int | None = None,
        *,
        again: bool = True,
        secrets: bool = True,
    ) -> Preview:
        """Records that a branch or pull request should be live at `commit`.

        Asking again for what is wanted already changes nothing, unless its last attempt failed:
        then it is tried again, but not with `again` false. Without `secrets` it gets none of the
        project's secret variables.
        """
        async with self._database.transaction() as session:
            owner = await session.scalar(
                select(Project).where(Project.name == project, Project.present).with_for_update()
            )
            if owner is None:
                raise NotFound(f"There is no project {project}.", "See `previewdrop project list`.")
            preview = await _find(session, owner.id, branch, number)
            if preview is None:
                preview = await _create(session, owner.id, branch, number)
                preview.commit = commit
            elif not preview.present or preview.state == PreviewState.REMOVED:
                await _begin_again(session, preview)
                preview.commit = commit
            elif (preview.commit, preview.secrets) != (commit, secrets) or (
                again and await _failed(session, preview)
            ):
                preview.generation += 1
                preview.commit = commit
            preview.secrets = secrets
            preview.branch = branch
            preview.pushed_at = func.now()
            await session.flush()
            await session.refresh(preview)
            await tell(session, preview.id)
        return preview

    async def existing(self, project: str, branch: str, number: int | None) -> PreviewRow | None:
        """The preview of a branch or pull request, unless it was removed."""
        mine = and_(Preview.branch == branch, Preview.number.is_(None))
        query = _rows().where(
            Project.name == project,
            Project.gone_at.is_(None),
            Preview.state != PreviewState.REMOVED,
            mine if number is None else Preview.number == number,
        )
        async with self._database.transaction() as session:
            found = (await session.execute(query)).first()
        return PreviewRow(*found) if found else None

    async def of_pull(self, project_id: int, number: int) -> PreviewRow | None:
        """The preview of a pull request in any state, also removed; None if it never had one."""
        query = _rows().where(Preview.project_id == project_id, Preview.number == number)
        async with self._database.transaction() as session:
            found = (await session.execute(query)).first()
        return PreviewRow(*found) if found else None

    async def of_branches(self, project_id: int) -> Sequence[PreviewRow]:
        """The previews of branches in any state, also removed."""
        query = _rows().where(Preview.project_id == project_id, Preview.number.is_(None))
        async with self._database.transaction() as session:
            return [PreviewRow(*row) for row in await session.execute(query)]

    async def ask_again(
        self, preview_id: int, *, fresh_database: bool = False, ask: int | None = None
    ) -> None:
        """Asks for a new deployment of the same commit, on a fresh database if wanted.

        With the id of the command that it obeys, in an `ask`, once and not again.
        """
        obeying = update(Ask).where(Ask.id == ask, Ask.obeyed.is_(None)).values(obeyed=True)
        async with self._database.transaction() as session:
            if ask is not None and await session.scalar(obeying.returning(Ask.id)) is None:
                return
            preview = await session.get_one(Preview, preview_id, with_for_update=True)
            preview.generation += 1
            if fresh_database:
                preview.reset_wanted = preview.generation
            await tell(session, preview_id)

    async def unwant(self, preview_id: int, *, forget: bool = False) -> None:
        """Records that a preview should be gone. With `forget` it may come back at that commit."""
        async with self._database.transaction() as session:
            preview = await session.get_one(Preview, preview_id, with_for_update=True)
            if preview.present:
                preview.present = False
                preview.generation += 1
            if forget:
                preview.commit = None
            await tell(session, preview_id)

    async def named(self, project: str, slug: str) -> PreviewRow:
        here = Project.name == project, Project.gone_at.is_(None)
        query = _rows().where(*here, Preview.slug == slug)
        async with self._database.transaction() as session:
            found = (await session.execute(query)).first()
        if found is None or found[0].state == PreviewState.REMOVED:
            raise NotFound(f"There is no preview {project}/{slug}.", "See `previewdrop list`.")
        return PreviewRow(*found)

    async def by_id(self, preview_id: int) -> PreviewRow:
        """A preview in any state, also removed."""
        async with self._database.transaction() as session:
            found = (await session.execute(_rows().where(Preview.id == preview_id))).first()
        if found is None:
            raise NotFound(f"There is no preview number {preview_id}.")
        return PreviewRow(*found)

    async def all(self, project: str | None = None) -> Sequence[PreviewRow]:
        """Previews that are not removed, by project and age."""
        query = _rows().where(Preview.state != PreviewState.REMOVED)
        if project is not None:
            query = query.where(Project.name == project, Project.gone_at.is_(None))
        query = query.order_by(Project.name, Preview.id)
        async with self._database.transaction() as session:
            return [PreviewRow(*row) for row in await session.execute(query)]

    async def lease_number(self, preview_id: int, capacity: int) -> int:
        """The number of the preview's Redis database: the one it has, or the lowest free one.

        Numbers go from 1 to `capacity`.
        """
        async with self._database.transaction() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock(7780)"))
            preview = await session.get_one(Preview, preview_id)
            if preview.cache_number is None:
                number = await session.scalar(FREE_NUMBER, {"capacity": capacity})
                if number is None:
                    raise Conflict(
                        f"All {capacity} Redis databases are leased.",
                        "Remove previews, or raise PREVIEWDROP_REDIS_DATABASES.",
                    )
                preview.cache_number = number
            return preview.cache_number or 0

    async def hold_database(self, preview_id: int, database: Json | None, reset_done: int) -> None:
        """Records the database that exists now, and up to which reset it is fresh."""
        await self._set(preview_id, database=database, reset_done=reset_done)

    async def wait(self, preview_id: int, reason: str | None) -> None:
        """Records what the preview waits for, in one sentence; None when it waits no longer."""
        await self._set(preview_id, waiting=reason)

    async def removed(self, preview_id: int) -> None:
        """Records that nothing is left of a preview that nobody wants.

        Its deployments, their logs and its own variables go with it.
        """
        async with self._database.transaction() as session:
            preview = await session.get_one(Preview, preview_id, with_for_update=True)
            preview.live = preview.cache_number = preview.database = preview.waiting = None
            preview.state = PreviewState.REMOVED if not preview.present else PreviewState.PENDING
            if not preview.present:
                await session.execute(delete(Deployment).where(Deployment.preview_id == preview_id))
                own = Variable.project_id == preview.project_id, Variable.preview == preview.slug
                await session.execute(delete(Variable).where(*own))
            await tell(session, preview_id)

    async def waiting(self, project_id: int) -> Sequence[int]:
        """Previews of a project that wait for room, oldest first."""
        query = (
            select(Preview.id)
            .where(Preview.project_id == project_id, Preview.waiting.is_not(None), Preview.present)
            .order_by(Preview.pushed_at)
        )
        async with self._database.transaction() as session:
            return list(await session.scalars(query))

    async def requested(self, at: dict[int, datetime]) -> None:
        """Records when each preview was last requested through the edge."""
        async with self._database.transaction() as session:
            for preview_id, moment in at.items():
                await session.execute(
                    update(Preview)
                    .where(Preview.id == preview_id)
                    .values(last_request_at=func.greatest(Preview.last_request_at, moment))
                )

    async def expired(self, after: timedelta) -> Sequence[int]:
        """Previews with neither a push nor a request for that long."""
        used = func.greatest(Preview.pushed_at, Preview.last_request_at)
        query = select(Preview.id).where(
            Preview.present, Preview.state != PreviewState.REMOVED, used < func.now() - after
        )
        async with self._database.transaction() as session:
            return list(await session.scalars(query))

    async def _set(self, preview_id: int, **values: object) -> None:
        async with self._database.transaction() as session:
            await session.execute(update(Preview).where(Preview.id == preview_id).values(**values))
            await tell(session, preview_id)


async def tell(session: AsyncSession, preview_id: int, deployment_id: int | None = None) -> None:
    """Tells CHANGES at the end of the transaction; with a deployment when its log has grown."""
    payload = json.dumps({"preview": preview_id, "deployment": deployment_id})
    await session.execute(select(func.pg_notify(CHANGES, payload)))


def _rows() -> Select[Preview, Project, Deployment]:
    newest = (
        select(func.max(Deployment.id))
        .where(Deployment.preview_id == Preview.id)
        .correlate(Preview)
        .scalar_subquery()
    )
    return (
        select(Preview, Project, Deployment)
        .join(Project, Project.id == Preview.project_id)
        .outerjoin(Deployment, Deployment.id == newest)
    )


async def _find(
    session: AsyncSession, project_id: int, branch: str, number: int | None
) -> Preview | None:
    query = select(Preview).where(Preview.project_id == project_id).with_for_update()
    if number is not None:
        return await session.scalar(query.where(Preview.number == number))
    return await session.scalar(query.where(Preview.branch == branch, Preview.number.is_(None)))


async def _create(
    session: AsyncSession, project_id: int, branch: str, number: int | None
) -> Preview:
    taken = set(await session.scalars(select(Preview.slug).where(Preview.project_id == project_id)))
    slugs = [slug_for_number(number)] if number is not None else slugs_for_branch(branch)
    free = [slug for slug in slugs if slug not in taken]
    if not free:
        raise Conflict(f"No name is free for the branch {branch!r}.", "Rename the branch.")
    preview = Preview(project_id=project_id, slug=free[0], branch=branch, number=number)
    session.add(preview)
    await session.flush()
    await session.refresh(preview)
    return preview


async def _begin_again(session: AsyncSession, preview: Preview) -> None:
    """A preview that was removed lives again under its old name."""
    preview.present = True
    preview.generation += 1
    if preview.state == PreviewState.REMOVED:
        preview.state = PreviewState.PENDING
        preview.created_at = func.now()
        preview.last_request_at = None


async def _failed(session: AsyncSession, preview: Preview) -> bool:
    newest = await session.scalar(
        select(Deployment)
        .where(Deployment.preview_id == preview.id)
        .order_by(Deployment.id.desc())
        .limit(1)
    )
    return _answered_by_failing(preview, newest)


def _answered_by_failing(preview: Preview, newest: Deployment | None) -> bool:
    return (
        newest is not None
        and newest.state == DeploymentState.FAILED
        and newest.generation >= preview.generation
    )
