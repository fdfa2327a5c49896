"""Tells code hosts how previews stand: what they were told last is compared with what is so now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from previewdrop.domain.errors import PreviewDropError, Unavailable
from previewdrop.domain.naming import names_for, slug_for_number
from previewdrop.domain.reasons import Why
from previewdrop.forge.base import Environment, Status, Verdict, Written
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.errands import Errands
from previewdrop.pipeline.hosts import Place
from previewdrop.pipeline.news import (
    comment_news,
    digest,
    environment_news,
    overtaken_news,
    page,
    status_news,
    writes,
)
from previewdrop.pipeline.pace import Pace, Rank
from previewdrop.pipeline.report_facts import facts_of
from previewdrop.report.comment import mark
from previewdrop.report.facts import Facts
from previewdrop.report.status import CommitStatus, Standing
from previewdrop.store.pulls import PullRow

log = logging.getLogger(__name__)

_SETTLE = 0.2
"""Seconds for changes that come together to be told as one."""

_BEGINS_WITHIN = 2.0
"""Seconds for which a commit that begins in a moment is not told of: it does, or has to wait."""

_PROGRESS_EVERY = 4.0
"""Seconds. GitHub takes 500 writes an hour, and a deployment has ten stages."""

Answers = Callable[[str], Awaitable[bool]]
"""Whether a URL answers through the edge."""


class Reporter:
    """Tells a pull request's status, its deployment and its comment, where they are news.

    Nothing is lost with the server: what was told is kept with the pull request, and the resync
    asks for all of them. A host that does not answer is asked again, ever later, and fails nothing.
    """

    def __init__(self, shop: Workshop, answers: Answers) -> None:
        self._shop = shop
        self._answers = answers
        self._due: dict[tuple[int, int], tuple[float, object]] = {}
        self._paces: defaultdict[int | None, Pace] = defaultdict(Pace)
        self._errands = Errands[int]("report of pull request", self._report)
        self.soon = self._errands.soon
        self.close = self._errands.close

    async def _report(self, project_id: int, number: int) -> float | None:
        await asyncio.sleep(_SETTLE)
        pull = await self._shop.store.pulls.of(project_id, number)
        place = await self._shop.hosts.of(pull.project) if pull else None
        if pull is None or place is None:
            return None
        if not pull.row.told and await self._shop.store.pulls.told_by_another(pull):
            raise Unavailable("A removed project of the same name is told of before.")
        facts = await self._facts(pull)
        seen = await self._seen_from_outside(pull, facts)
        facts = facts if seen else facts.unseen
        former, wait = page(pull), self._wait((project_id, number), facts)
        wait = wait if wait > 0 else await self._tell_in_time(pull, place, facts)
        if wait <= 0:
            self._due[project_id, number] = time.monotonic() + _PROGRESS_EVERY, _gist(facts)
            if _over(pull, facts):
                self._due.pop((project_id, number), None)
                if not pull.project.present:
                    await self._shop.store.projects.drop_forgotten()
        if not seen:
            raise Unavailable(f"{facts.health_url} does not answer through the edge yet.")
        if wait > 0:
            return wait
        return None if page(pull) == former else 0.0

    def _wait(self, key: tuple[int, int], facts: Facts) -> float:
        """Seconds until it is time to tell: none for what people wait for, more for progress."""
        now, gist = time.monotonic(), _gist(facts)
        due, former = self._due.get(key, (now, None))
        if gist != former:
            begins = facts.upcoming is not None and facts.waiting is None
            due = now + _BEGINS_WITHIN if begins else now
            self._due[key] = due, gist
        return due - now

    async def _tell_in_time(self, pull: PullRow, place: Place, facts: Facts) -> float:
        """Tells all of it, or none where the host was written to a lot: seconds to wait then."""
        pace, count = self._paces[pull.project.forge_id], writes(pull, facts)
        wait = pace.wait(count, _rank(facts))
        if wait <= 0:
            try:
                await self._tell(pull, place, facts)
            except Unavailable:
                # While a host is away, asking it again and again costs it nothing.
                pace.unwritten(count)
                raise
        return wait

    async def _tell(self, pull: PullRow, place: Place, facts: Facts) -> None:
        """What the host refuses or loses does not keep the rest from being told."""
        failed: Unavailable | None = None
        # The comment last: whoever reads of a URL there finds everything else in place. But while
        # there is no URL the others lead to the comment, so that it is made first.
        parts = [self._tell_status, self._tell_environment, self._tell_comment]
        for part in parts if facts.live or page(pull) else reversed(parts):
            try:
                await part(pull, place, facts)
            except Unavailable as error:
                failed = failed or error
                if error.seconds is not None:
                    break
            except PreviewDropError as error:
                # A permission that is missing must not use up what the others may write.
                self._paces[pull.project.forge_id].unwritten(1)
                log.warning("report of pull request %s: %s", pull.pull.number, error)
        if failed is not None:
            raise failed
        if _over(pull, facts) != bool(pull.row.told.get("over")):
            await self._keep(pull, {"over": _over(pull, facts)})

    async def _tell_status(self, pull: PullRow, place: Place, facts: Facts) -> None:
        if (former := overtaken_news(pull, facts)) is not None:
            await place.forge.status(place.repository, _status(former))
            await self._keep(pull, {"pending": None})
        told = status_news(pull, facts)
        if told is None:
            return
        await place.forge.status(place.repository, _status(told))
        pending = told.commit if told.standing is Standing.PENDING else None
        await self._keep(pull, {"status": digest(told), "pending": pending})

    async def _tell_environment(self, pull: PullRow, place: Place, facts: Facts) -> None:
        told, known = environment_news(pull, facts), pull.row.environment
        if told is None:
            return
        environment = Environment(
            told.name,
            told.ref,
            told.commit,
            Verdict(told.standing) if told.standing else None,
            told.description,
            told.url,
            told.log_url,
        )
        if known is None:
            # Its answer may get lost, and then it is there all the same.
            await self._keep(pull, {"begun": True})
        made = await place.forge.environment(place.repository, environment, known)
        await self._keep(pull, {"environment": digest(told)}, environment=made)

    async def _tell_comment(self, pull: PullRow, place: Place, facts: Facts) -> None:
        text, known = comment_news(pull, facts), pull.row.comment
        if text is None:
            return
        number, hidden = pull.pull.number, mark(facts.name)
        if pull.row.told.get("head") not in (None, _asks(pull)):
            # From here on people may read the next question, whether or not we hear of it.
            await self._keep(pull, {"head": None, "asked": None})
        made = await place.forge.comment(place.repository, number, hidden, text, known)
        told = {"comment": digest(text), "page": made.url, **_asked(pull, made)}
        await self._keep(pull, told, comment=made.id)

    async def _keep(self, pull: PullRow, told: dict[str, Any], **values: int | None) -> None:
        pull.row.told = {**pull.row.told, **told}
        await self._shop.store.pulls.note(
            pull.project.id, pull.pull.number, told=pull.row.told, **values
        )

    async def _facts(self, pull: PullRow) -> Facts:
        shop, project = self._shop, pull.project
        slug = slug_for_number(pull.pull.number)
        row = await shop.store.previews.of_pull(project.id, pull.pull.number)
        deployments = await shop.store.deployments.of(row.preview.id) if row else ()
        name = f"{project.name}/{slug}"
        url = shop.url_of(names_for(project.name, slug, shop.settings.domain))
        return facts_of(pull, row, deployments, name, url, None)

    async def _seen_from_outside(self, pull: PullRow, facts: Facts) -> bool:
        """Nothing is called live before its URL has answered through the edge, once.

        That is kept: what breaks later was live all the same.
        """
        live = facts.live
        if live is None or live.id == pull.row.told.get("seen"):
            return True
        if facts.down or facts.removal is not None:
            return True
        if not await self._answers(facts.health_url):
            return False
        await self._keep(pull, {"seen": live.id})
        return True


def _over(pull: PullRow, facts: Facts) -> bool:
    """Whether there will be nothing more to tell."""
    removed = facts.removal is None or facts.removal.done
    wanted = pull.pull.open and pull.project.present
    return not wanted and facts.desired is None and facts.live is None and removed


def _status(told: CommitStatus) -> Status:
    verdict = Verdict(told.standing)
    return Status(told.commit, told.context, verdict, told.description, told.url)


def _asks(pull: PullRow) -> str | None:
    """The commit that the comment asks somebody to approve, if it does."""
    head, reason = pull.pull.head, pull.reason
    if reason is None or reason.why is not Why.UNAPPROVED or head not in (reason.hint or ""):
        return None
    return head


def _asked(pull: PullRow, made: Written) -> dict[str, str | None]:
    """The commit that the comment asks about now, and since when."""
    head, told = _asks(pull), pull.row.told
    since = told.get("asked") if head and told.get("head") == head else None
    return {"head": head, "asked": since or (made.at.isoformat() if head else None)}


def _rank(facts: Facts) -> Rank:
    if facts.upcoming is not None:
        return Rank.WAITING
    beside, removal = facts.beside, facts.removal
    goes_on = (beside and not beside.state.ended) or (removal and not removal.done)
    return Rank.PROGRESS if goes_on or facts.unapproved else Rank.RESULT


def _gist(facts: Facts) -> object:
    """What people wait for; everything else is progress."""
    live, newest = facts.live, facts.newest
    ended = newest.state if newest and newest.state.ended else None
    return (
        *(facts.head, facts.desired, facts.waiting, facts.skipped, facts.removal, facts.sleeping),
        *(live.id if live else None, newest.id if newest else None, ended),
    )
