"""What of a pull request is previewed: rule by rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from previewdrop.domain.commands import Verb
from previewdrop.domain.pull import Pull
from previewdrop.domain.pulls import Expiry, Keep, Mark, Nothing, PullPolicy, Show, Wanted, wanted
from previewdrop.domain.reasons import Why

NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)
HEAD, OLD = "a" * 40, "b" * 40
PULL = Pull(
    number=42,
    title="Add contact e-mail",
    open=True,
    merged=False,
    draft=False,
    labels=frozenset(),
    author="ben",
    bot=False,
    base="main",
    branch="feature/new-auth",
    head=HEAD,
    fork=False,
    seen=NOON,
)
FORK = replace(PULL, fork=True)
ALL = PullPolicy()


def mark(verb: Verb, commit: str = HEAD, minute: int = 0) -> Mark:
    return Mark(NOON + timedelta(minutes=minute), verb, commit)


def why(told: Wanted) -> Why:
    assert isinstance(told, Nothing)
    return told.reason.why


def test_every_pull_request_is_previewed_by_default():
    assert wanted(PULL, ALL) == Show(HEAD)
    assert wanted(replace(PULL, draft=True, bot=True, base="other"), ALL) == Show(HEAD)


@pytest.mark.parametrize(
    ("pull", "policy", "reason"),
    [
        (replace(PULL, draft=True), PullPolicy(drafts=False), Why.DRAFT),
        (replace(PULL, bot=True), PullPolicy(bots=False), Why.BOT),
        (PULL, PullPolicy(bases=("release/*",)), Why.BASE),
        (replace(PULL, base="release/1/2"), PullPolicy(bases=("release/*",)), Why.BASE),
        (PULL, PullPolicy(demand="label"), Why.LABEL),
        (PULL, PullPolicy(demand="command"), Why.ON_DEMAND),
    ],
)
def test_rules_leave_out_what_a_command_brings_in(pull: Pull, policy: PullPolicy, reason: Why):
    assert why(wanted(pull, policy)) is reason
    assert wanted(pull, policy, [mark(Verb.DEPLOY)]) == Show(HEAD)
    assert wanted(pull, policy, [mark(Verb.DEPLOY, OLD)]) == Show(HEAD)


@pytest.mark.parametrize(
    ("pull", "policy"),
    [
        (replace(PULL, base="release/1"), PullPolicy(bases=("main", "release/*"))),
        (replace(PULL, labels=frozenset({"Preview"})), PullPolicy(demand="label")),
        (
            replace(PULL, labels=frozenset({"b"})),
            PullPolicy(demand="label", labels=frozenset("ab")),
        ),
    ],
)
def test_rules_let_through_what_fits(pull: Pull, policy: PullPolicy):
    assert wanted(pull, policy) == Show(HEAD)


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("base", ["main", "retargeted"])
@pytest.mark.parametrize("marks", [(), (mark(Verb.DEPLOY),), (mark(Verb.APPROVE),)])
@pytest.mark.parametrize("fork", [False, True, None])
def test_a_closed_one_is_never_previewed(
    merged: bool, base: str, marks: tuple[Mark, ...], fork: bool | None
):
    pull = replace(PULL, open=False, merged=merged, base=base, fork=fork)
    told = wanted(pull, PullPolicy(bases=("main",)), marks, "[skip preview]")
    assert why(told) is Why.CLOSED


def test_a_label_forbids_a_preview_even_to_a_command():
    pull = replace(PULL, labels=frozenset({"No-Preview", "x"}))
    assert why(wanted(pull, ALL, [mark(Verb.DEPLOY)])) is Why.FORBIDDEN


def test_what_was_said_last_counts():
    stop, deploy = mark(Verb.STOP, minute=1), mark(Verb.DEPLOY, minute=2)
    assert why(wanted(PULL, ALL, [stop])) is Why.STOPPED
    assert why(wanted(replace(PULL, head=OLD), ALL, [stop])) is Why.STOPPED
    assert wanted(PULL, ALL, [stop, deploy]) == wanted(PULL, ALL, [deploy, stop]) == Show(HEAD)
    assert wanted(PULL, ALL, [stop, mark(Verb.REDEPLOY, minute=2)]) == Show(HEAD)
    at_once = [mark(Verb.DEPLOY, minute=1), stop]
    assert why(wanted(PULL, ALL, at_once)) is Why.STOPPED
    assert why(wanted(PULL, ALL, [mark(Verb.APPROVE, minute=1), stop])) is Why.STOPPED


@pytest.mark.parametrize(
    "message",
    ["Docs [skip preview]", "Docs\n\nNothing to see. [Preview Skip]", "[ skip  preview ] docs"],
)
def test_a_commit_may_ask_to_be_left_out(message: str):
    told = wanted(PULL, ALL, (), message)
    assert isinstance(told, Keep)
    assert told.reason.why is Why.SKIPPED
    assert wanted(PULL, ALL, [mark(Verb.DEPLOY)], message) == Show(HEAD)
    assert isinstance(wanted(PULL, ALL, [mark(Verb.DEPLOY, OLD)], message), Keep)


@pytest.mark.parametrize("message", [None, "", "skip preview", "[skip ci]", "[skip previews]"])
def test_no_other_message_does(message: str | None):
    assert wanted(PULL, ALL, (), message) == Show(HEAD)


@pytest.mark.parametrize("pull", [FORK, replace(PULL, fork=None)])
def test_code_of_a_fork_is_never_previewed_by_itself(pull: Pull):
    told = wanted(pull, ALL)
    assert why(told) is Why.UNAPPROVED
    assert isinstance(told, Nothing)
    hint = f"To approve it, write `/preview approve {HEAD}`, or set the label `approve-preview`."
    assert told.reason.hint == hint
    assert why(wanted(pull, ALL, [mark(Verb.DEPLOY), mark(Verb.REDEPLOY)])) is Why.UNAPPROVED
    assert why(wanted(pull, PullPolicy(demand="command"), [mark(Verb.DEPLOY)])) is Why.UNAPPROVED


def test_an_approval_is_of_one_commit_and_brings_no_secrets():
    approval = mark(Verb.APPROVE)
    assert wanted(FORK, ALL, [approval]) == Show(HEAD, secrets=False)
    assert wanted(FORK, PullPolicy(fork_secrets=True), [approval]) == Show(HEAD)


def test_what_was_approved_stays_while_a_later_push_waits():
    told = wanted(FORK, ALL, [mark(Verb.APPROVE, "c" * 40, 1), mark(Verb.APPROVE, OLD, 2)])
    assert isinstance(told, Show)
    assert (told.commit, told.secrets) == (OLD, False)
    assert told.pending is not None
    assert told.pending.why is Why.UNAPPROVED
    assert HEAD in (told.pending.hint or "")


def test_a_push_back_to_what_was_approved_needs_no_new_approval():
    marks = [mark(Verb.APPROVE, HEAD, 1), mark(Verb.APPROVE, OLD, 2)]
    assert wanted(FORK, ALL, marks) == Show(HEAD, secrets=False)


def test_an_approval_also_asks_for_a_preview():
    draft = replace(FORK, draft=True)
    rules = PullPolicy(drafts=False, demand="command")
    assert why(wanted(draft, rules)) is Why.DRAFT
    assert wanted(draft, rules, [mark(Verb.APPROVE)]) == Show(HEAD, secrets=False)


def test_an_approved_fork_can_be_stopped_and_brought_back():
    marks = [mark(Verb.APPROVE, minute=1), mark(Verb.STOP, minute=2)]
    assert why(wanted(FORK, ALL, marks)) is Why.STOPPED
    assert wanted(FORK, ALL, [*marks, mark(Verb.DEPLOY, minute=3)]) == Show(HEAD, secrets=False)


def test_forks_can_be_left_out_altogether():
    rules = PullPolicy(forks="never")
    assert why(wanted(FORK, rules, [mark(Verb.APPROVE)])) is Why.FORK
    assert why(wanted(replace(PULL, fork=None), rules)) is Why.FORK
    assert wanted(PULL, rules) == Show(HEAD)


def test_what_expired_comes_back_with_a_push_or_a_command():
    expired = Expiry(NOON + timedelta(minutes=5), HEAD)
    assert why(wanted(PULL, ALL, [mark(Verb.DEPLOY, minute=4)], None, expired)) is Why.EXPIRED
    assert wanted(PULL, ALL, [mark(Verb.DEPLOY, minute=6)], None, expired) == Show(HEAD)
    assert wanted(replace(PULL, head=OLD), ALL, (), None, expired) == Show(OLD)


def test_the_order_in_which_commands_arrive_does_not_matter():
    marks = [
        mark(Verb.APPROVE, OLD, 1),
        mark(Verb.STOP, OLD, 2),
        mark(Verb.DEPLOY, OLD, 2),
        mark(Verb.APPROVE, "c" * 40, 3),
    ]
    told = {wanted(FORK, ALL, [*order, order[0]]) for order in permutations(marks)}
    assert len(told) == 1
