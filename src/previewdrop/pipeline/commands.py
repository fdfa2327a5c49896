"""Commands in comments: done if their author may push to the repository, and answered."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from previewdrop.domain.commands import Command, Verb
from previewdrop.domain.errors import PreviewDropError, Unavailable
from previewdrop.domain.pulls import Mark, Show
from previewdrop.forge.base import Refused
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.hosts import Place
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.settle import Settle, answered, decided
from previewdrop.report.answers import answer_mark, approval_text, help_text, logs_text
from previewdrop.store.previews import PreviewRow
from previewdrop.store.pulls import PullRow
from previewdrop.store.tables import Ask, Project

log = logging.getLogger(__name__)

_TRY_AGAIN = 10.0
_LINES = 120


class Commands:
    """Works on commands one after the other; one that cannot be done now is tried again.

    `asked` is set when there is a new one.
    """

    def __init__(
        self, shop: Workshop, asked: asyncio.Event, settle: Settle, operations: LiveOperations
    ) -> None:
        self._shop = shop
        self._asked = asked
        self._settle = settle
        self._operations = operations

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            self._asked.clear()
            again = None if await self.once() else _TRY_AGAIN
            try:
                async with asyncio.timeout(again):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def once(self) -> bool:
        """Does what waits; False if something has to be tried again."""
        try:
            hosts: dict[int | None, list[tuple[Ask, Project]]] = {}
            for ask in await self._shop.store.asks.waiting():
                project = await self._shop.store.projects.by_id(ask.project_id)
                hosts.setdefault(project.forge_id, []).append((ask, project))
            # One host that is away must not keep the commands on others waiting.
            done = await asyncio.gather(*map(self._in_turn, hosts.values()))
        except PreviewDropError as error:
            log.warning("commands: %s", error)
            return False
        except Exception:
            log.exception("commands broke")
            return False
        return all(done)

    async def _in_turn(self, asks: list[tuple[Ask, Project]]) -> bool:
        """Those of one host; none waits for another one to succeed."""
        return all([await self._guarded(*each) for each in asks])

    async def _guarded(self, ask: Ask, project: Project) -> bool:
        """False for what has to be tried again."""
        try:
            await self._do(ask, project)
        except Unavailable as error:
            log.warning("command of %s: %s", ask.author, error)
            return False
        except PreviewDropError as error:
            log.warning("command of %s: %s", ask.author, error)
        except Exception:
            log.exception("command of %s broke", ask.author)
        await self._shop.store.asks.done(ask.id)
        return True

    async def _do(self, ask: Ask, project: Project) -> None:
        place = await self._shop.hosts.of(project)
        if place is None:
            return
        obeyed = await self._carry_out(ask, place) if ask.obeyed is None else ask.obeyed
        try:
            await place.forge.react(place.repository, ask.comment, "+1" if obeyed else "confused")
        except Refused as refused:
            log.info("command of %s: %s", ask.author, refused)

    async def _carry_out(self, ask: Ask, place: Place) -> bool:
        """Whether it could be done, which is kept: what fails from now on repeats nothing."""
        may = await place.forge.may_write(place.repository, ask.author)
        obeyed = False
        # Nothing is asked for others, nor answered in words: anybody could make us do it.
        if may and (pull := await self._pull(ask, place)) is not None:
            command = Command(Verb(ask.verb), ask.commit, ask.unknown)
            obeyed = await self._obey(command, ask, pull, place)
        await self._shop.store.asks.obeyed(ask.id, obeyed)
        return obeyed

    async def _pull(self, ask: Ask, place: Place) -> PullRow | None:
        """The pull request of a comment, of which nobody may have told us yet; None if none is.

        An approval is of what its author sees there now, which may be newer than what we know.
        """
        pulls = self._shop.store.pulls
        known = await pulls.of(ask.project_id, ask.number)
        if known is not None and ask.verb != Verb.APPROVE:
            return known
        before = datetime.now(UTC)
        now = await place.forge.pull(place.repository, ask.number)
        if now is None:
            return None
        doubtful = await pulls.take(ask.project_id, answered(now, before))
        self._settle.told(ask.project_id, ask.number, doubtful)
        return await pulls.of(ask.project_id, ask.number)

    async def _obey(self, command: Command, ask: Ask, pull: PullRow, place: Place) -> bool:
        """False for what cannot be done."""
        match command.verb:
            case Verb.HELP:
                await self._say(ask, pull, place, help_text(command.unknown))
                return command.unknown is None
            case Verb.LOGS:
                await self._say(ask, pull, place, await self._logs(pull))
                return True
            case Verb.RESET_DB:
                return await self._again(await self._row(pull), ask, fresh=True)
            case Verb.APPROVE if not command.approves(pull.pull.head, None):
                # What it was of was settled when it was written, see Asks.
                await self._say(ask, pull, place, approval_text(pull.pull.head))
                return False
            case _:
                return await self._mark(command.verb, ask, pull)

    async def _mark(self, verb: Verb, ask: Ask, pull: PullRow) -> bool:
        """Counts until the next one does; as of when it was written, so that order is kept."""
        project, number = pull.project.id, pull.pull.number
        said = await self._shop.store.pulls.say(project, number, Mark(ask.at, verb, pull.pull.head))
        self._settle.soon(project, number)
        if said is None or verb is Verb.STOP:
            return said is not None
        row = await self._row(pull)
        decision = decided(said, row)
        if not isinstance(decision, Show):
            return False
        failed = row is not None and row.failed and row.preview.commit == decision.commit
        if failed or verb is Verb.REDEPLOY:
            await self._again(row, ask, fresh=False)
        return True

    async def _again(self, row: PreviewRow | None, ask: Ask, *, fresh: bool) -> bool:
        """A new deployment of what is wanted; False if nothing is."""
        if row is None or not row.preview.present:
            return False
        previews = self._shop.store.previews
        await previews.ask_again(row.preview.id, fresh_database=fresh, ask=ask.id)
        await self._operations.changed(row.preview.id)
        return True

    async def _logs(self, pull: PullRow) -> str:
        row = await self._row(pull)
        name = f"{pull.project.name}/pr-{pull.pull.number}"
        if row is None or row.latest is None:
            return logs_text(name, [])
        chunks = await self._shop.store.deployments.log(row.latest.id)
        lines = [f"{stage} | {line}" for chunk in chunks for stage, line in chunk.lines]
        return logs_text(name, [("Deployment", lines), ("App", await self._printed(row))])

    async def _printed(self, row: PreviewRow) -> list[str]:
        """The end of what the live processes printed."""
        try:
            source = self._operations.logs(row, follow=False)
            return [f"{process} | {line}" async for process, line in source][-_LINES:]
        except PreviewDropError:
            return []

    async def _row(self, pull: PullRow) -> PreviewRow | None:
        return await self._shop.store.previews.of_pull(pull.project.id, pull.pull.number)

    async def _say(self, ask: Ask, pull: PullRow, place: Place, text: str) -> None:
        mark = answer_mark(pull.project.name, ask.comment)
        await place.forge.comment(place.repository, ask.number, mark, text, None)
