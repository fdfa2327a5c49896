"""Commands in comments, kept until they are done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from previewdrop.domain.commands import Command, Verb
from previewdrop.store.database import StateDatabase
from previewdrop.store.tables import Ask, Json, PullRequest

_TO_READ = timedelta(minutes=1)


def asked_about(told: Json, at: datetime) -> str | None:
    """The commit that our comment asked somebody to approve at a time of the host's, if any.

    Whoever approves within a minute of the question may have read the commit before that.
    """
    head, since = told.get("head"), told.get("asked")
    return head if head and since and datetime.fromisoformat(since) + _TO_READ < at else None


class Asks:
    """Every method is one transaction."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    async def add(
        self,
        project_id: int,
        number: int,
        comment: int,
        author: str,
        at: datetime,
        command: Command,
    ) -> bool:
        """Keeps a command that was written `at` a time; False for a comment that was taken before.

        An approval is kept with the commit that our comment asked about then, as far as that is
        known now: later it may ask about another one.
        """
        query = select(PullRequest.told).where(
            PullRequest.project_id == project_id, PullRequest.number == number
        )
        async with self._database.transaction() as session:
            commit = command.commit
            if command.verb is Verb.APPROVE:
                shown = asked_about(await session.scalar(query) or {}, at)
                meant = shown is not None and command.approves(shown, shown)
                commit = shown if meant else commit
            row = insert(Ask).values(
                project_id=project_id,
                number=number,
                comment=comment,
                author=author,
                at=at,
                verb=command.verb.value,
                commit=commit,
                unknown=command.unknown,
            )
            new = row.on_conflict_do_nothing().returning(Ask.id)
            return await session.scalar(new) is not None

    async def waiting(self) -> Sequence[Ask]:
        """Those that are not done, oldest first."""
        async with self._database.transaction() as session:
            return (await session.scalars(select(Ask).where(~Ask.done).order_by(Ask.id))).all()

    async def obeyed(self, ask_id: int, obeyed: bool) -> None:
        """Keeps that a command was carried out, or cannot be: only its author is to be told."""
        async with self._database.transaction() as session:
            await session.execute(update(Ask).where(Ask.id == ask_id).values(obeyed=obeyed))

    async def done(self, ask_id: int) -> None:
        async with self._database.transaction() as session:
            await session.execute(update(Ask).where(Ask.id == ask_id).values(done=True))
