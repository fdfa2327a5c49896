"""Commands in comments: done if their author may push to the repository, and answered."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from previewdrop.domain.commands import Command, Verb
from previewdrop.domain.errors import PreviewDropError, Unavailable
from previewdrop.domain.pulls import MARKING, Mark
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.hosts import Place
from previewdrop.pipeline.pulls import Changed, PullRequests
from previewdrop.report.answers import answer_mark, approval_text, help_text, logs_text
from previewdrop.store.previews import PreviewRow
from previewdrop.store.pulls import PullRow
from previewdrop.store.tables import Ask

log = logging.getLogger(__name__)

_TRY_AGAIN = 10.0
_LINES = 200


class Commands:
    """Works on commands one after the other; one that cannot be done now is tried again."""

    def __init__(self, shop: Workshop, pulls: PullRequests, changed: Changed) -> None:
        self._shop = shop
        self._pulls = pulls
        self._changed = changed

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            self._pulls.asked.clear()
            later = False
            for ask in await self._shop.store.asks.waiting():
                later = not await self._guarded(ask) or later
            try:
                async with asyncio.timeout(_TRY_AGAIN if later else None):
                    await self._pulls.asked.wait()
            except TimeoutError:
                continue

    async def _guarded(self, ask: Ask) -> bool:
        """False for what has to be tried again."""
        try:
            await self._do(ask)
        except Unavailable as error:
            log.warning("command of %s: %s", ask.author, error)
            return False
        except PreviewDropError as error:
            log.warning("command of %s: %s", ask.author, error)
        except Exception:
            log.exception("command of %s broke", ask.author)
        await self._shop.store.asks.done(ask.id)
        return True

    async def _do(self, ask: Ask) -> None:
        pull = await self._shop.store.pulls.of(ask.project_id, ask.number)
        place = await self._shop.hosts.of(pull.project) if pull else None
        if pull is None or place is None:
            return
        if not await place.forge.may_write(place.repository, ask.author):
            # No answer in words: that would let anybody make us write comments.
            await place.forge.react(place.repository, ask.comment, "confused")
            return
        verb = Verb(ask.verb)
        command = Command(verb, ask.commit, ask.unknown)
        done = await self._obey(command, ask, pull, place)
        await place.forge.react(place.repository, ask.comment, "+1" if done else "confused")

    async def _obey(self, command: Command, ask: Ask, pull: PullRow, place: Place) -> bool:
        """False for what cannot be done so; whoever asked was told why."""
        if command.verb is Verb.HELP:
            return await self._say(ask, place, help_text(command.unknown))
        if command.verb is Verb.LOGS:
            return await self._say(ask, place, await self._logs(pull))
        if command.verb is Verb.APPROVE:
            shown = pull.row.told.get("head")
            if not command.approves(pull.pull.head, shown):
                await self._say(ask, place, approval_text(pull.pull.head))
                return False
        if command.verb in MARKING:
            mark = Mark(datetime.now(UTC), command.verb, pull.pull.head)
            said = await self._shop.store.pulls.say(pull.project.id, pull.pull.number, mark)
            if said is not None:
                self._pulls.soon(pull.project.id, pull.pull.number)
        if command.verb in (Verb.REDEPLOY, Verb.RESET_DB):
            return await self._again(pull, fresh=command.verb is Verb.RESET_DB)
        return True

    async def _again(self, pull: PullRow, *, fresh: bool) -> bool:
        row = await self._row(pull)
        if row is None or not row.preview.present:
            return False
        await self._shop.store.previews.ask_again(row.preview.id, fresh_database=fresh)
        await self._changed(row.preview.id)
        return True

    async def _logs(self, pull: PullRow) -> str:
        row = await self._row(pull)
        name = f"{pull.project.name}/pr-{pull.pull.number}"
        if row is None or row.latest is None:
            return logs_text(name, [], None)
        chunks = await self._shop.store.deployments.log(row.latest.id)
        lines = [f"{stage} | {line}" for chunk in chunks for stage, line in chunk.lines]
        return logs_text(name, [("Deployment", lines[-_LINES:])], None)

    async def _row(self, pull: PullRow) -> PreviewRow | None:
        return await self._shop.store.previews.of_pull(pull.project.id, pull.pull.number)

    async def _say(self, ask: Ask, place: Place, text: str) -> bool:
        await place.forge.comment(
            place.repository, ask.number, answer_mark(ask.comment), text, None
        )
        return True
