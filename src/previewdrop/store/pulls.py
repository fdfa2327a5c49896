"""Pull requests in the store: what hosts told of them, and what people said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, delete, false, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from previewdrop.domain.errors import NotFound
from previewdrop.domain.pull import Pull, newer, undecided
from previewdrop.domain.pulls import Expiry, Mark
from previewdrop.domain.reasons import Reason
from previewdrop.store.database import StateDatabase
from previewdrop.store.tables import Ask, Delivered, Json, Preview, Project, PullRequest

_PULL = TypeAdapter(Pull)
_MARK = TypeAdapter(Mark)
_EXPIRY = TypeAdapter(Expiry)
_REASON = TypeAdapter(Reason)


@dataclass(frozen=True, slots=True)
class PullRow:
    """A pull request of a project, as far as it is known."""

    row: PullRequest
    project: Project

    @property
    def pull(self) -> Pull:
        return _PULL.validate_python(self.row.snapshot)

    @property
    def marks(self) -> tuple[Mark, ...]:
        return tuple(_MARK.validate_python(each) for each in self.row.marks)

    @property
    def expired(self) -> Expiry | None:
        return _EXPIRY.validate_python(self.row.expired) if self.row.expired else None

    @property
    def message(self) -> str | None:
        """That of the head commit, if it is known."""
        return self._known["text"] if self._known else None

    @property
    def concerned(self) -> bool:
        """Whether the head commit changes what the preview is made of, as far as is known."""
        return self._known is None or bool(self._known["concerned"])

    @property
    def reason(self) -> Reason | None:
        """Why the head commit is not previewed."""
        return _REASON.validate_python(self.row.reason) if self.row.reason else None

    @property
    def told(self) -> tuple[object, ...]:
        """Everything that decides what is wanted."""
        row = self.row
        return row.snapshot, row.marks, row.message, row.expired, self.project.settings

    @property
    def _known(self) -> Json | None:
        known = self.row.message
        return known if known and known["commit"] == self.row.snapshot["head"] else None


class Pulls:
    """Every method is one transaction."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    async def was_delivered(self, forge_id: int, delivery: str) -> bool:
        """Whether a connection took a webhook call before."""
        async with self._database.transaction() as session:
            return await session.get(Delivered, (forge_id, delivery)) is not None

    async def delivered(self, forge_id: int, delivery: str) -> None:
        """Records that a connection took a webhook call."""
        row = insert(Delivered).values(forge_id=forge_id, id=delivery).on_conflict_do_nothing()
        async with self._database.transaction() as session:
            await session.execute(row)

    async def heard(
        self, forge_id: int, delivery: str, told: Sequence[tuple[int, Pull]]
    ) -> Sequence[tuple[int, int, bool]] | None:
        """Takes a webhook call that tells of pull requests of repositories; all of it or nothing.

        None for one that was taken before; else project, number and whether the host must be
        asked, as `take` says. One transaction: it has to be answered at once.
        """
        taken: list[tuple[int, int, bool]] = []
        new = insert(Delivered).values(forge_id=forge_id, id=delivery).on_conflict_do_nothing()
        async with self._database.transaction() as session:
            if (await session.scalar(new.returning(Delivered.id))) is None:
                return None
            for repository, pull in told:
                on = Project.forge_id == forge_id, Project.repository == repository
                query = select(Project.id).where(*on, Project.present).order_by(Project.id)
                for project_id in (await session.scalars(query)).all():
                    doubtful = await _take(session, project_id, pull)
                    taken.append((project_id, pull.number, doubtful))
        return taken

    async def take(self, project_id: int, pull: Pull) -> bool:
        """Keeps the newer of what was known and what is told now.

        True if nobody but the host knows which that is. NotFound for a project that was removed.
        """
        async with self._database.transaction() as session:
            if await session.get(Project, project_id) is None:
                raise NotFound("The project of this pull request was removed.")
            return await _take(session, project_id, pull)

    async def say(self, project_id: int, number: int, mark: Mark) -> PullRow | None:
        """Adds what somebody said; None for a pull request that is not known."""

        def change(row: PullRequest) -> None:
            said = _MARK.dump_python(mark, mode="json")
            if said not in row.marks:
                row.marks = [*row.marks, said]

        return await self._change(project_id, number, change)

    async def know(
        self, project_id: int, number: int, commit: str, message: str, concerned: bool
    ) -> PullRow | None:
        """Keeps a commit's message, and whether it changes what the preview is made of."""

        def change(row: PullRequest) -> None:
            row.message = {"commit": commit, "text": message, "concerned": concerned}

        return await self._change(project_id, number, change)

    async def expire(self, project_id: int, number: int, at: datetime) -> None:
        """Keeps that the preview was removed because nobody used it."""

        def change(row: PullRequest) -> None:
            expiry = Expiry(at, row.snapshot["head"])
            row.expired = _EXPIRY.dump_python(expiry, mode="json")

        await self._change(project_id, number, change)

    async def used_again(self, project_id: int, number: int, since: Expiry) -> None:
        """Forgets an expiry, unless the preview expired once more."""

        def change(row: PullRequest) -> None:
            if row.expired == _EXPIRY.dump_python(since, mode="json"):
                row.expired = None

        await self._change(project_id, number, change)

    async def reasoned(self, project_id: int, number: int, reason: Reason | None) -> None:
        """Keeps why the head commit is not previewed."""
        told = _REASON.dump_python(reason, mode="json") if reason else None
        await self.note(project_id, number, reason=told)

    async def note(self, project_id: int, number: int, **values: Any) -> None:
        """Sets `reason`, `comment`, `environment` or `told`."""

        def change(row: PullRequest) -> None:
            for name, value in values.items():
                setattr(row, name, value)

        await self._change(project_id, number, change)

    async def lost(self, project_id: int, number: int, comment: int) -> bool:
        """Forgets our comment, which is no more; False for one that is not ours."""
        ours = (
            PullRequest.project_id == project_id,
            PullRequest.number == number,
            PullRequest.comment == comment,
        )
        gone = update(PullRequest).where(*ours).values(comment=None)
        async with self._database.transaction() as session:
            return await session.scalar(gone.returning(PullRequest.number)) is not None

    async def of(self, project_id: int, number: int) -> PullRow | None:
        query = _rows().where(PullRequest.project_id == project_id, PullRequest.number == number)
        async with self._database.transaction() as session:
            found = (await session.execute(query)).first()
        return PullRow(*found) if found else None

    async def open(self, project_id: int) -> Sequence[PullRow]:
        """Those that are open as far as we know."""
        query = _rows().where(PullRequest.project_id == project_id, PullRequest.open)
        async with self._database.transaction() as session:
            return [PullRow(*each) for each in await session.execute(query)]

    async def unsettled(self, project_id: int) -> Sequence[PullRow]:
        """Those that are open, and closed ones with a preview or a report that is not over."""
        there = select(Preview.id).where(
            Preview.project_id == PullRequest.project_id,
            Preview.number == PullRequest.number,
            Preview.state != "removed",
        )
        query = _rows().where(
            PullRequest.project_id == project_id,
            PullRequest.open | there.exists() | (_told_of() & ~_over()),
        )
        async with self._database.transaction() as session:
            return [PullRow(*each) for each in await session.execute(query)]

    async def of_forgotten(self) -> Sequence[tuple[int, int]]:
        """Project and number of those of unwanted projects whose end is to be told."""
        query = select(PullRequest.project_id, PullRequest.number).join(Project)
        query = query.where(~Project.present, Project.forge_id.is_not(None), untold())
        async with self._database.transaction() as session:
            return [(project_id, number) for project_id, number in await session.execute(query)]

    async def told_by_another(self, pull: PullRow) -> bool:
        """Whether the end of one that had its name is to be told at the same place before."""
        query = (
            select(PullRequest.number)
            .join(Project)
            .where(
                Project.name == pull.project.name,
                Project.repository == pull.project.repository,
                Project.gone_at.is_not(None),
                PullRequest.number == pull.row.number,
                untold(),
            )
        )
        async with self._database.transaction() as session:
            return await session.scalar(query) is not None

    async def forget_deliveries(self, days: int) -> None:
        """Hosts repeat calls for a few days at the most; commands that are done go with them."""
        since = func.now() - text(f"interval '{int(days)} days'")
        async with self._database.transaction() as session:
            await session.execute(delete(Delivered).where(Delivered.at < since))
            await session.execute(delete(Ask).where(Ask.done, Ask.at < since))

    async def _change(
        self,
        project_id: int,
        number: int,
        change: Callable[[PullRequest], None],
    ) -> PullRow | None:
        async with self._database.transaction() as session:
            query = _rows().where(
                PullRequest.project_id == project_id, PullRequest.number == number
            )
            found = (await session.execute(query.with_for_update(of=PullRequest))).first()
            if found is None:
                return None
            change(found[0])
            found[0].updated_at = func.now()
            await session.flush()
            await session.refresh(found[0])
            return PullRow(*found)


def untold() -> ColumnElement[bool]:
    """Whether a host was told, or may have been told, of a pull request, but not yet the end."""
    shown = select(Preview.id).where(
        Preview.project_id == PullRequest.project_id, Preview.number == PullRequest.number
    )
    return (_told_of() | shown.exists()) & ~_over()


def _told_of() -> ColumnElement[bool]:
    return PullRequest.told != {}


def _over() -> ColumnElement[bool]:
    return func.coalesce(PullRequest.told["over"].as_boolean(), false())


def _rows() -> Any:
    return select(PullRequest, Project).join(Project, Project.id == PullRequest.project_id)


async def _take(session: AsyncSession, project_id: int, pull: Pull) -> bool:
    snapshot = _PULL.dump_python(pull, mode="json")
    values = {"project_id": project_id, "number": pull.number, "snapshot": snapshot}
    first = insert(PullRequest).values(**values, open=pull.open).on_conflict_do_nothing()
    mine = PullRequest.project_id == project_id, PullRequest.number == pull.number
    query = select(PullRequest.snapshot).where(*mine).with_for_update()
    found = await session.scalar(query)
    if found is None:
        if (await session.scalar(first.returning(PullRequest.number))) is not None:
            return False
        found = await session.scalar(query)
    known = _PULL.validate_python(found)
    if (kept := newer(known, pull)) is not known:
        changed = update(PullRequest).where(*mine)
        await session.execute(
            changed.values(snapshot=snapshot, open=kept.open, updated_at=func.now())
        )
    return undecided(known, pull)
