"""Labels that approve a commit of a fork: they count as the comment of whoever set them."""

from __future__ import annotations

import logging
from datetime import datetime

from previewdrop.config.pull_rules import pull_rules
from previewdrop.domain.commands import Verb
from previewdrop.domain.pulls import Mark
from previewdrop.forge.base import Refused
from previewdrop.pipeline.deploying import Workshop
from previewdrop.store.asks import asked_about
from previewdrop.store.pulls import PullRow

log = logging.getLogger(__name__)


class Approvals:
    """A pull request shows its labels, so none is missed; who set one is asked of the host.

    Like a bare `/preview approve` a label is of the commit that our comment asked about when it
    was set. So one that is on since before does nothing, and is asked about once.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._known: dict[tuple[int, int], tuple[str, datetime]] = {}

    def doubtful(self, row: PullRow) -> bool:
        """Whether a label may approve what our comment asks about, and nobody knows yet."""
        pull, policy = row.pull, pull_rules(row.project.settings).policy
        if pull.fork is False or not pull.open or policy.forks == "never":
            return False
        asked = row.row.told.get("head")
        if asked is None or not _folded(pull.labels) & _folded(policy.approvals):
            return False
        return self._known.get(_key(row)) != (asked, pull.seen)

    async def ask(self, row: PullRow) -> None:
        """Keeps the approval, if it is one."""
        asked, pull = row.row.told["head"], row.pull
        approved = await self._approved(row)
        if approved is not None:
            mark = Mark(approved, Verb.APPROVE, asked)
            await self._shop.store.pulls.say(row.project.id, pull.number, mark)
        self._known[_key(row)] = asked, pull.seen

    async def _approved(self, row: PullRow) -> datetime | None:
        """When somebody who may set such a label."""
        place = await self._shop.hosts.of(row.project)
        if place is None:
            return None
        labels = pull_rules(row.project.settings).policy.approvals
        try:
            told = await place.forge.labelled(place.repository, row.pull.number, labels)
            if told is None or asked_about(row.row.told, told.at) is None:
                return None
            may = await place.forge.may_write(place.repository, told.author)
        except Refused as refused:
            log.warning("labels of pull request %s: %s", row.pull.number, refused)
            return None
        return told.at if may else None


def _key(row: PullRow) -> tuple[int, int]:
    return row.project.id, row.pull.number


def _folded(labels: frozenset[str]) -> set[str]:
    return {label.casefold() for label in labels}
