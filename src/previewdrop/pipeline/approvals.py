"""Labels that approve a commit of a fork: they count as the comment of whoever set them."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime

from previewdrop.config.pull_rules import pull_rules
from previewdrop.domain.commands import Verb
from previewdrop.domain.pulls import Mark, approving
from previewdrop.forge.base import Labelled, Refused
from previewdrop.pipeline.deploying import Workshop
from previewdrop.store.asks import asked_about
from previewdrop.store.pulls import PullRow

log = logging.getLogger(__name__)

_MOST_QUESTIONS = 5
"""A host tells of a label before its list of events has it."""


class Approvals:
    """A pull request shows its labels, so none is missed; who set one is asked of the host.

    Like a bare `/preview approve` a label is of the commit that our comment asked about when it
    was set, and only while that is the newest. One that is on since before does nothing.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._known: dict[tuple[int, int], tuple[str, datetime]] = {}
        self._questions: Counter[tuple[int, int]] = Counter()

    def doubtful(self, row: PullRow) -> bool:
        """Whether a label may approve the newest commit, and nobody knows yet."""
        pull = row.pull
        if row.row.told.get("head") != pull.head:
            return False
        labels = approving(pull, pull_rules(row.project.settings).policy)
        return bool(labels) and self._known.get(_key(row)) != (pull.head, pull.seen)

    async def ask(self, row: PullRow) -> bool:
        """Keeps the approval, if it is one; False if the host does not know either, for now."""
        told = await self._labelled(row)
        if told is None and self._questions[_key(row)] < _MOST_QUESTIONS:
            self._questions[_key(row)] += 1
            return False
        if told is not None and await self._approves(row, told):
            mark = Mark(told.at, Verb.APPROVE, row.pull.head)
            await self._shop.store.pulls.say(row.project.id, row.pull.number, mark)
        self._known[_key(row)] = row.pull.head, row.pull.seen
        self._questions.pop(_key(row), None)
        return True

    async def _labelled(self, row: PullRow) -> Labelled | None:
        place = await self._shop.hosts.of(row.project)
        if place is None:
            return None
        labels = approving(row.pull, pull_rules(row.project.settings).policy)
        try:
            return await place.forge.labelled(place.repository, row.pull.number, labels)
        except Refused as refused:
            log.warning("labels of pull request %s: %s", row.pull.number, refused)
            return None

    async def _approves(self, row: PullRow, told: Labelled) -> bool:
        place = await self._shop.hosts.of(row.project)
        if place is None or told.bot or asked_about(row.row.told, told.at) != row.pull.head:
            return False
        may = await place.forge.may_write(place.repository, told.author)
        # It may have changed meanwhile.
        now = await self._shop.store.pulls.of(row.project.id, row.pull.number)
        return may and now is not None and now.pull.head == row.pull.head


def _key(row: PullRow) -> tuple[int, int]:
    return row.project.id, row.pull.number
