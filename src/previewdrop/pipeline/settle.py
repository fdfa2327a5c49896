"""What is wanted of a pull request is written down, whatever told us of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from logging import getLogger

from previewdrop.config.pull_rules import pull_rules
from previewdrop.domain.commands import Verb
from previewdrop.domain.errors import BadInput, NoCommit, PreviewDropError, Unavailable
from previewdrop.domain.pull import Pull
from previewdrop.domain.pulls import Keep, Nothing, Show, Wanted, wanted
from previewdrop.domain.reasons import Reason, Why, unwatched
from previewdrop.pipeline.approvals import Approvals
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.errands import Errands
from previewdrop.pipeline.hosts import Place
from previewdrop.store.previews import PreviewRow
from previewdrop.store.pulls import PullRow

log = getLogger(__name__)

QUIET = 0.5
"""Seconds without a word after which a burst of pushes is over."""

_AT_ONCE = 3
"""So that webhooks, which have to be answered, do not wait for what they led to."""

_MOST_QUESTIONS = 5
_NEXT_SECOND = 1.0
_SKEW = timedelta(seconds=2)
_SPREADING = timedelta(minutes=1)
"""How long after a push a host's Git may lack what its webhook told:
https://github.com/kubernetes/test-infra/issues/12276"""

Changed = Callable[[int], Awaitable[None]]
"""Something is wanted of a preview now: its reconciliation is asked for."""

Concerned = Callable[[PullRow], Awaitable[bool]]
"""Whether the head commit changes what the preview is made of."""


class Settle:
    """One pull request at a time; the first word of a burst counts at once, then the last."""

    def __init__(
        self,
        shop: Workshop,
        changed: Changed,
        concerned: Concerned,
        report: Callable[[int, int], None],
    ) -> None:
        self._shop = shop
        self._changed = changed
        self._concerned = concerned
        self._report = report
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._approvals = Approvals(shop)
        self._doubts: dict[tuple[int, int], int] = {}
        self._errands = Errands[int]("pull request", self._settle, quiet=QUIET, urgent=True)
        self.soon = self._errands.soon
        self.close = self._errands.close

    def told(self, project_id: int, number: int, doubtful: bool) -> None:
        """Something was told. In doubt, which of two is the newer, the host is asked."""
        if doubtful:
            self._doubts[project_id, number] = _MOST_QUESTIONS
        self.soon(project_id, number)

    async def _settle(self, project_id: int, number: int) -> float | None:
        again, silent = None, None
        try:
            again = await self._ask(project_id, number)
        except PreviewDropError as error:
            silent = error  # What is known counts until the host says more.
        row = await self._decided(project_id, number)
        while row is not None and self._approvals.doubtful(row):
            if not await self._approvals.ask(row):
                again = _NEXT_SECOND
                break
            row = await self._decided(project_id, number)
        if silent is not None:
            raise silent
        return again

    async def _decided(self, project_id: int, number: int) -> PullRow | None:
        """The pull request of which is written down what is wanted; None if that is nobody's."""
        while True:
            row, unread = await self._decide(project_id, number)
            if row is None or not unread:
                return row
            await self._read(row)

    async def _decide(self, project_id: int, number: int) -> tuple[PullRow | None, bool]:
        """Writes down what is wanted, unless the head has to be read before that: then True."""
        async with self._room:
            row = await self._shop.store.pulls.of(project_id, number)
            if row is None or not row.project.present:
                return None, False
            preview = await self._shop.store.previews.of_pull(project_id, number)
            decision = decided(row, preview)
            unread = _unread(row, decision)
            # A removal waits for no host.
            if not unread or _removes(preview, decision):
                await self._write(row, preview, decision)
        return row, unread

    async def _ask(self, project_id: int, number: int) -> float | None:
        """In doubt, asks the host how the pull request is now; in how many seconds to ask again."""
        key = (project_id, number)
        if key not in self._doubts:
            return None
        row = await self._shop.store.pulls.of(project_id, number)
        place = await self._shop.hosts.of(row.project) if row else None
        doubtful = False
        if row is not None and place is not None:
            now = await now_at(place, row.pull)
            doubtful = await self._shop.store.pulls.take(project_id, now)
        self._doubts[key] -= 1
        if doubtful and self._doubts[key] > 0:
            return _NEXT_SECOND
        del self._doubts[key]
        return None

    async def _write(self, row: PullRow, preview: PreviewRow | None, decision: Wanted) -> None:
        store, pull = self._shop.store, row.pull
        reason: Reason | None = None
        match decision:
            case Show(commit, secrets, pending):
                reason = pending
                # Only what is new: whoever wants it counts as a push, which keeps it from expiring.
                if preview is None or not _shows(preview, pull, commit, secrets):
                    made = await store.previews.want(
                        row.project.name,
                        pull.branch,
                        commit,
                        pull.number,
                        again=False,
                        secrets=secrets,
                    )
                    await self._changed(made.id)
            case Nothing(why):
                reason = why
                if preview is not None and preview.preview.present:
                    await store.previews.unwant(preview.preview.id)
                    await self._changed(preview.preview.id)
            case Keep(why):
                reason = why
        if row.expired and _begins_anew(decision):
            await store.pulls.used_again(row.project.id, pull.number, row.expired)
        if reason != row.reason:
            await store.pulls.reasoned(row.project.id, pull.number, reason)
        silent = isinstance(decision, Nothing) and decision.reason.why is not Why.UNAPPROVED
        if preview is not None or row.row.told or not silent:
            self._report(row.project.id, pull.number)

    async def _read(self, row: PullRow) -> None:
        """The head's message and whether it concerns the preview, from the mirror."""
        shop, project, head = self._shop, row.project, row.pull.head
        message, concerned = "", True
        try:
            commit = await shop.hosts.with_login(
                project,
                lambda login: shop.checkouts.commit(project.source, head, credentials=login),
            )
            message = commit.message
            concerned = await self._concerned(row)
        except NoCommit as error:
            if datetime.now(UTC) - row.pull.seen < _SPREADING:
                raise Unavailable(f"The host does not hand out {head} yet.") from error
            log.info("%s", error)
        except BadInput as error:
            log.info("the commit %s cannot be read: %s", head, error)
        await shop.store.pulls.know(project.id, row.pull.number, head, message, concerned)


def decided(row: PullRow, preview: PreviewRow | None) -> Wanted:
    """What is wanted, as far as is known. `preview` is the pull request's, if it ever had one."""
    pull, marks = row.pull, row.marks
    policy = pull_rules(row.project.settings).policy
    decision = wanted(pull, policy, marks, row.message, row.expired)
    shown = isinstance(decision, Show) and decision.commit == pull.head
    there = preview is not None and preview.preview.present
    asked = any(mark.commit == pull.head and mark.verb is not Verb.STOP for mark in marks)
    if shown and there and not row.concerned and not asked:
        return Keep(unwatched(pull.head))
    return decision


async def now_at(place: Place, known: Pull) -> Pull:
    """A pull request as it is on its host now, or closed if it is no more."""
    before = datetime.now(UTC)
    now = await place.forge.pull(place.repository, known.number)
    return answered(now, before) if now else ended(known)


def answered(pull: Pull, before: datetime) -> Pull:
    """A snapshot that was asked for after a time of ours, which its host shares but for seconds."""
    return replace(pull, asked=pull.asked or before - _SKEW)


def ended(known: Pull) -> Pull:
    """A pull request that its host tells us nothing of any more, until it does again."""
    return replace(known, open=False, asked=datetime.now(UTC))


def _unread(row: PullRow, decision: Wanted) -> bool:
    """Whether a commit is to be shown whose message was not read yet."""
    shown = isinstance(decision, Show) and decision.commit == row.pull.head
    return shown and row.message is None


def _removes(row: PreviewRow | None, decision: Wanted) -> bool:
    """Whether a preview that is wanted still is wanted no more."""
    return isinstance(decision, Nothing) and row is not None and row.preview.present


def _begins_anew(decision: Wanted) -> bool:
    """Whether a preview that expired is used again, or comes back when it is reopened."""
    closed = isinstance(decision, Nothing) and decision.reason.why is Why.CLOSED
    return closed or isinstance(decision, Show)


def _shows(row: PreviewRow, pull: Pull, commit: str, secrets: bool) -> bool:
    """Whether exactly this is wanted of a preview already."""
    preview = row.preview
    wanted_now = (preview.commit, preview.secrets, preview.branch)
    return preview.present and wanted_now == (commit, secrets, pull.branch)
