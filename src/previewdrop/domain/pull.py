"""A pull request as it was at a moment, and which of two such moments counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request as it was at `seen`, the host's own time of its last change.

    `head` is the commit to preview; `fork` tells that it lies in another repository, None that
    this other one was deleted. `author` is a login, `bot` that it is no person's. `asked` is the
    host's time of its answer for one that we asked for, None for one that a webhook brought.
    """

    number: int
    title: str
    open: bool
    merged: bool
    draft: bool
    labels: frozenset[str]
    author: str
    bot: bool
    base: str
    branch: str
    head: str
    fork: bool | None
    seen: datetime
    asked: datetime | None = None


def newer(former: Pull, latter: Pull) -> Pull:
    """The one that counts of two snapshots of one pull request: idempotent, and in any order.

    The later change counts. Hosts count in whole seconds, so two changes may have the same time:
    then an answer that was given after that second counts, since nothing of it was still to come;
    then one that is closed, because a preview too few is noticed and one too many is not. What
    is left is decided by nothing that means anything, but always alike: see `undecided`.
    """
    return max(former, latter, key=_rank)


def undecided(former: Pull, latter: Pull) -> bool:
    """Whether the host must be asked which of two is the newer: both are of the same second."""
    return (
        former.seen == latter.seen
        and former != latter
        and not (_conclusive(former) or _conclusive(latter))
    )


def _conclusive(pull: Pull) -> bool:
    return pull.asked is not None and pull.asked > pull.seen


def _rank(pull: Pull) -> tuple[object, ...]:
    """Has every field in it, so that only equal pull requests have equal ranks."""
    asked = pull.asked or _NEVER
    return (
        pull.seen,
        asked if _conclusive(pull) else _NEVER,
        not pull.open,
        pull.merged,
        pull.draft,
        pull.fork is not False,
        pull.fork is None,
        pull.bot,
        pull.head,
        pull.base,
        pull.branch,
        sorted(pull.labels),
        pull.title,
        pull.author,
        pull.number,
        asked,
    )
