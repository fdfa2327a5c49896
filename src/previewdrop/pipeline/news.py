"""What a code host was not told yet of a pull request."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from previewdrop.report.comment import comment, opens
from previewdrop.report.facts import Facts, Removal
from previewdrop.report.status import (
    CommitStatus,
    EnvironmentStatus,
    commit_status,
    environment_status,
    overtaken,
)
from previewdrop.store.pulls import PullRow


def status_news(pull: PullRow, facts: Facts) -> CommitStatus | None:
    """The commit's status, if it is another one now."""
    facts = _led_to_page(pull, facts)
    told = commit_status(facts)
    if told is None and facts.desired is None and pull.row.told.get("pending") == facts.head:
        # Nothing waits for ever for a preview that there will not be.
        told = commit_status(replace(facts, removal=Removal(done=False), live=None))
    return told if told and _is_news(pull, "status", told) else None


def overtaken_news(pull: PullRow, facts: Facts) -> CommitStatus | None:
    """The status of the commit that was told to be pending, if another one is the newest now."""
    pending = pull.row.told.get("pending")
    if pending in (None, facts.head):
        return None
    return overtaken(_led_to_page(pull, facts), pending)


def environment_news(pull: PullRow, facts: Facts) -> EnvironmentStatus | None:
    """The deployment as the host lists it, if it is another one now, or stands otherwise."""
    told = environment_status(_led_to_page(pull, facts))
    if told is None or not _is_news(pull, "environment", told):
        return None
    made = pull.row.environment is not None or pull.row.told.get("begun")
    return told if made or told.standing is not None else None


def comment_news(pull: PullRow, facts: Facts) -> str | None:
    """The comment's text, if it says something else now, or is not there any more."""
    text = comment(facts)
    if pull.row.comment is None:
        return text if opens(facts) else None
    return text if _is_news(pull, "comment", text) or page(pull) is None else None


def writes(pull: PullRow, facts: Facts) -> int:
    """How many writes it takes to tell all of it: a deployment is made, and then stands somehow."""
    told = (
        (1, overtaken_news(pull, facts)),
        (1, status_news(pull, facts)),
        (2, environment_news(pull, facts)),
        (1, comment_news(pull, facts)),
    )
    return sum(count for count, news in told if news is not None)


def page(pull: PullRow) -> str | None:
    """Where people read our comment, once it is there."""
    return pull.row.told.get("page")


def digest(told: object) -> str:
    """By which it is known whether something was told already."""
    return hashlib.sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _led_to_page(pull: PullRow, facts: Facts) -> Facts:
    return replace(facts, details_url=facts.details_url or page(pull))


def _is_news(pull: PullRow, kind: str, told: object) -> bool:
    return pull.row.told.get(kind) != digest(told)
