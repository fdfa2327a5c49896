"""Deployments in the store: guarded steps from queued to ready, failed or cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select, update

from previewdrop.domain.database import Change
from previewdrop.domain.errors import NotFound
from previewdrop.domain.preview import DeploymentState, Failure, PreviewState, sources_of
from previewdrop.store.database import StateDatabase
from previewdrop.store.previews import tell
from previewdrop.store.tables import Deployment, Json, LogChunk, Preview, Project

UNFINISHED = (DeploymentState.QUEUED, DeploymentState.BUILDING, DeploymentState.DEPLOYING)


class Deployments:
    """Every method is one transaction; each change is told on CHANGES."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    async def begin(
        self, preview_id: int, commit: str, generation: int, job_id: int | None, limit: int
    ) -> Deployment | None:
        """A new deployment, or None when `limit` other previews of the project hold a place."""
        async with self._database.transaction() as session:
            preview = await session.get_one(Preview, preview_id)
            await session.get_one(Project, preview.project_id, with_for_update=True)
            others = select(func.count(Preview.id)).where(
                Preview.project_id == preview.project_id, Preview.id != preview_id, _holds_place()
            )
            if preview.live is None and (await session.scalar(others) or 0) >= limit:
                return None
            deployment = Deployment(
                preview_id=preview_id, commit=commit, generation=generation, job_id=job_id
            )
            session.add(deployment)
            preview.waiting = None
            await session.flush()
            await session.refresh(deployment)
            await tell(session, preview_id)
        return deployment

    async def places_taken(self, project_id: int, but: int) -> int:
        """How many previews of a project are live or being deployed, without the preview `but`."""
        query = select(func.count(Preview.id)).where(
            Preview.project_id == project_id, Preview.id != but, _holds_place()
        )
        async with self._database.transaction() as session:
            return await session.scalar(query) or 0

    async def of(self, preview_id: int) -> Sequence[Deployment]:
        """All deployments of a preview, newest first."""
        query = select(Deployment).where(Deployment.preview_id == preview_id)
        async with self._database.transaction() as session:
            return (await session.scalars(query.order_by(Deployment.id.desc()))).all()

    async def get(self, deployment_id: int) -> Deployment:
        """NotFound for one that was forgotten with its preview."""
        async with self._database.transaction() as session:
            if deployment := await session.get(Deployment, deployment_id):
                return deployment
        raise NotFound(f"There is no deployment {deployment_id}.")

    async def answered(self, preview_id: int) -> int:
        """The newest generation that a deployment brought to ready or failed; 0 if none."""
        query = select(func.max(Deployment.generation)).where(
            Deployment.preview_id == preview_id,
            Deployment.state.in_([DeploymentState.READY, DeploymentState.FAILED]),
        )
        async with self._database.transaction() as session:
            return await session.scalar(query) or 0

    async def left_behind(self, preview_id: int) -> Sequence[Deployment]:
        """Deployments that are unfinished, or ended and not live but still hold something."""
        query = (
            select(Deployment)
            .join(Preview, Preview.id == Deployment.preview_id)
            .where(
                Preview.id == preview_id,
                or_(
                    Deployment.state.in_(UNFINISHED),
                    and_(
                        Deployment.handle.is_not(None),
                        Deployment.id.is_distinct_from(Preview.live),
                    ),
                ),
            )
        )
        async with self._database.transaction() as session:
            return (await session.scalars(query)).all()

    async def under_way(self, preview_id: int) -> Sequence[Deployment]:
        """Unfinished deployments of a preview with the job that works on them."""
        query = select(Deployment).where(
            Deployment.preview_id == preview_id, Deployment.state.in_(UNFINISHED)
        )
        async with self._database.transaction() as session:
            return (await session.scalars(query)).all()

    async def holding(self) -> set[int]:
        """Ids of all deployments that are live or unfinished, of all previews."""
        live = select(Preview.live).where(Preview.live.is_not(None))
        unfinished = select(Deployment.id).where(Deployment.state.in_(UNFINISHED))
        async with self._database.transaction() as session:
            found = [*await session.scalars(live), *await session.scalars(unfinished)]
        return {number for number in found if number is not None}

    async def handles(self) -> dict[int, Json]:
        """The runtime's handle of each deployment that has one: live, begun, draining, left."""
        query = (
            select(Deployment.id, Deployment.handle)
            .where(Deployment.handle.is_not(None))
            .order_by(Deployment.id)
        )
        async with self._database.transaction() as session:
            return {row[0]: row[1] or {} for row in await session.execute(query)}

    async def artifacts(self, *, besides: int | None = None) -> set[str | None]:
        """Keys of the artifacts that live and unfinished deployments were built as.

        None is among them while one is not built yet. Those of the preview `besides` are left out.
        """
        key = Deployment.made["artifact"]["key"].astext
        held = Deployment.id.in_(await self.holding())
        others = Deployment.preview_id.is_distinct_from(besides)
        async with self._database.transaction() as session:
            return set(await session.scalars(select(key).where(held, others)))

    async def forget_old(self, keep: int) -> int:
        """Deletes all but the `keep` newest of each preview, with their logs; how many went.

        What is live, unfinished or still holds something stays however old it is.
        """
        newest_first = func.row_number().over(
            partition_by=Deployment.preview_id, order_by=Deployment.id.desc()
        )
        ranked = select(Deployment.id, newest_first.label("rank")).subquery()
        live = select(Preview.live).where(Preview.live.is_not(None))
        query = delete(Deployment).where(
            Deployment.id.in_(select(ranked.c.id).where(ranked.c.rank > keep)),
            Deployment.id.not_in(live),
            Deployment.state.not_in(UNFINISHED),
            Deployment.handle.is_(None),
        )
        async with self._database.transaction() as session:
            return len((await session.scalars(query.returning(Deployment.id))).all())

    async def advance(self, deployment_id: int, state: DeploymentState) -> bool:
        """Goes to `state` if that may follow; False if the deployment has ended meanwhile."""
        return await self._guarded(deployment_id, state)

    async def wanted(self, deployment_id: int) -> bool:
        """Whether the preview still wants what this deployment works for."""
        query = (
            select(Deployment.id)
            .join(Preview, Preview.id == Deployment.preview_id)
            .where(
                Deployment.id == deployment_id,
                Preview.present,
                Preview.generation == Deployment.generation,
            )
        )
        async with self._database.transaction() as session:
            return await session.scalar(query) is not None

    async def hold(self, deployment_id: int, handle: Json | None) -> None:
        """Keeps the runtime's handle, or forgets it once nothing is left."""
        await self._set(deployment_id, handle=handle)

    async def called(self, deployment_id: int, title: str) -> None:
        """Keeps the title of the commit."""
        await self._set(deployment_id, title=title)

    async def made(self, deployment_id: int, made: Json, recipe: bytes) -> None:
        """Keeps what the stages found and made, as JSON, and the encrypted recipe of its env."""
        await self._set(deployment_id, made=made, recipe=recipe)

    async def record(
        self,
        deployment_id: int,
        stages: list[Json],
        notes: list[str],
        lines: Sequence[tuple[str, str]],
    ) -> None:
        """Keeps the stages as they are now and appends lines to the log."""
        async with self._database.transaction() as session:
            preview_id = await session.scalar(
                update(Deployment)
                .where(Deployment.id == deployment_id)
                .values(stages=stages, notes=notes)
                .returning(Deployment.preview_id)
            )
            if preview_id is None:
                return
            if lines:
                chunk = [[stage, line] for stage, line in lines]
                session.add(LogChunk(deployment_id=deployment_id, lines=chunk))
            await tell(session, preview_id, deployment_id if lines else None)

    async def ready(self, deployment_id: int, database: Change | None = None) -> bool:
        """The deployment serves now; the preview's former one is no longer live."""
        change = asdict(database) if database else None
        live = {"live": deployment_id, "state": PreviewState.READY, "waiting": None}
        return await self._guarded(deployment_id, DeploymentState.READY, live, database=change)

    async def failed(self, deployment_id: int, failure: Failure) -> bool:
        """The deployment failed; a former one that is live goes on."""
        return await self._guarded(
            deployment_id,
            DeploymentState.FAILED,
            {"state": _failed_unless_live()},
            error=asdict(failure),
        )

    async def cancelled(self, deployment_id: int, reason: str) -> bool:
        """The deployment was superseded or interrupted."""
        failure = Failure(stage="", message=reason)
        return await self._guarded(deployment_id, DeploymentState.CANCELLED, error=asdict(failure))

    async def log(self, deployment_id: int, after: int = 0) -> Sequence[LogChunk]:
        """The chunks of a log that come after the chunk `after`."""
        query = (
            select(LogChunk)
            .where(LogChunk.deployment_id == deployment_id, LogChunk.id > after)
            .order_by(LogChunk.id)
        )
        async with self._database.transaction() as session:
            return (await session.scalars(query)).all()

    async def log_end(self, deployment_id: int) -> int:
        """The id of the newest chunk of a log; 0 if there is none."""
        query = select(func.max(LogChunk.id)).where(LogChunk.deployment_id == deployment_id)
        async with self._database.transaction() as session:
            return await session.scalar(query) or 0

    async def _guarded(
        self,
        deployment_id: int,
        state: DeploymentState,
        preview: dict[str, Any] | None = None,
        **values: Any,
    ) -> bool:
        if state.ended:
            values["finished_at"] = func.now()
        query = (
            update(Deployment)
            .where(Deployment.id == deployment_id, Deployment.state.in_(sources_of(state)))
            .values(state=state, **values)
            .returning(Deployment.preview_id)
        )
        async with self._database.transaction() as session:
            preview_id = await session.scalar(query)
            if preview_id is None:
                return False
            if preview:
                await session.execute(
                    update(Preview).where(Preview.id == preview_id).values(**preview)
                )
            await tell(session, preview_id)
        return True

    async def _set(self, deployment_id: int, **values: Any) -> None:
        query = update(Deployment).where(Deployment.id == deployment_id).values(**values)
        async with self._database.transaction() as session:
            await session.execute(query)


def _holds_place() -> ColumnElement[bool]:
    """A preview that is live, or has a deployment under way, takes one of its project's places."""
    under_way = exists().where(
        Deployment.preview_id == Preview.id, Deployment.state.in_(UNFINISHED)
    )
    return or_(Preview.live.is_not(None), under_way)


def _failed_unless_live() -> Any:
    return case(
        (Preview.live.is_not(None), PreviewState.READY.value), else_=PreviewState.FAILED.value
    )
