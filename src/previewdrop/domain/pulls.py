"""The heart of what deploys: from a pull request, the rules and what people said, to a commit."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from previewdrop.domain import reasons
from previewdrop.domain.commands import Verb
from previewdrop.domain.globs import touches
from previewdrop.domain.pull import Pull
from previewdrop.domain.reasons import Reason

MARKING = frozenset({Verb.DEPLOY, Verb.REDEPLOY, Verb.STOP, Verb.APPROVE})
"""Commands that count until the next one does; the others are done once."""

_SKIP = re.compile(r"\[\s*(skip\s+preview|preview\s+skip)\s*\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PullPolicy:
    """A project's rules, which its pull requests cannot change.

    `demand` tells which pull requests get a preview without being asked: all, those with one of
    `labels`, or none. `bases` are globs of branches; none means every branch. A label of `never`
    forbids a preview even to a command. `forks` tells whether commits of forks can be approved,
    `approvals` the labels that approve one.
    Labels are compared without regard to case, as GitHub does.
    """

    drafts: bool = True
    bots: bool = True
    demand: Literal["all", "label", "command"] = "all"
    labels: frozenset[str] = frozenset({"preview"})
    never: frozenset[str] = frozenset({"no-preview"})
    bases: tuple[str, ...] = ()
    forks: Literal["approve", "never"] = "approve"
    approvals: frozenset[str] = frozenset({"approve-preview"})
    fork_secrets: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody with write access said at a time: a verb of MARKING, at which head."""

    at: datetime
    verb: Verb
    commit: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """The preview was removed at a time because nobody used it, with this commit as the head."""

    at: datetime
    commit: str


@dataclass(frozen=True, slots=True)
class Show:
    """Preview this commit, with the project's secrets or without.

    `pending` tells why it is not the head: a newer commit of a fork waits for its approval.
    """

    commit: str
    secrets: bool = True
    pending: Reason | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """Whatever was wanted before, if anything, is wanted still."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Nothing:
    """No preview; one that is there is removed."""

    reason: Reason


Wanted = Show | Keep | Nothing


def wanted(
    pull: Pull,
    policy: PullPolicy,
    marks: Collection[Mark] = (),
    message: str | None = None,
    expired: Expiry | None = None,
) -> Wanted:
    """What should be live for a pull request. `message` is that of its head commit, if known.

    Nothing but these counts, neither the event that brought them nor their order. A closed one
    comes first, whatever else holds, so that nothing outlives its pull request. A command to
    deploy wins over all rules but `never`, and over `[skip preview]` in the commit it was given
    at; it never approves code of a fork. What expired comes back with a push or a command.
    """
    said = max(marks, key=_order, default=None)
    asked = said is not None and said.verb is not Verb.STOP
    if refusal := _refused(pull, policy):
        return Nothing(refusal)
    if said and not asked:
        return Nothing(reasons.STOPPED)
    if expired and expired.commit == pull.head and not (said and said.at > expired.at):
        return Nothing(reasons.EXPIRED)
    if not asked and (doubt := _unasked(pull, policy)):
        return Nothing(doubt)
    if pull.fork is not False:
        return _of_fork(pull, policy, marks)
    if skips(message) and not (said and said.commit == pull.head):
        return Keep(reasons.skipped(pull.head))
    return Show(pull.head)


def approving(pull: Pull, policy: PullPolicy) -> list[str]:
    """The labels of a fork's pull request that approve, each of the commit it was set at."""
    if pull.fork is False or not pull.open or policy.forks == "never":
        return []
    return _common(pull.labels, policy.approvals)


def skips(message: str | None) -> bool:
    """Whether a commit's message asks for no preview."""
    return message is not None and _SKIP.search(message) is not None


def _of_fork(pull: Pull, policy: PullPolicy, marks: Collection[Mark]) -> Wanted:
    """Only commits that were approved, and of those the head or the one approved last."""
    approvals = sorted((mark for mark in marks if mark.verb is Verb.APPROVE), key=_order)
    commits = [mark.commit for mark in approvals]
    if pull.head in commits:
        return Show(pull.head, policy.fork_secrets)
    pending = reasons.unapproved(pull.head, policy.approvals, approving(pull, policy))
    return Show(commits[-1], policy.fork_secrets, pending) if commits else Nothing(pending)


def _refused(pull: Pull, policy: PullPolicy) -> Reason | None:
    """What no command can change."""
    if not pull.open:
        return reasons.closed(merged=pull.merged)
    if pull.fork is not False and policy.forks == "never":
        return reasons.FORK
    if found := _common(pull.labels, policy.never):
        return reasons.forbidden(found)
    return None


def _unasked(pull: Pull, policy: PullPolicy) -> Reason | None:
    """Why this pull request gets no preview by itself."""
    if policy.bases and not touches(policy.bases, [pull.base]):
        return reasons.base(pull.base)
    if pull.draft and not policy.drafts:
        return reasons.DRAFT
    if pull.bot and not policy.bots:
        return reasons.BOT
    if policy.demand == "command":
        return reasons.ON_DEMAND
    if policy.demand == "label" and not _common(pull.labels, policy.labels):
        return reasons.unlabelled(policy.labels)
    return None


def _order(mark: Mark) -> tuple[object, ...]:
    """By time; at the same second a stop counts, and the rest is always decided alike."""
    return (mark.at, mark.verb is Verb.STOP, mark.verb is Verb.APPROVE, mark.verb, mark.commit)


def _common(labels: Collection[str], wanted: Collection[str]) -> list[str]:
    folded = {label.casefold() for label in wanted}
    return sorted(label for label in labels if label.casefold() in folded)
