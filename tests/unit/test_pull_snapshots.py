"""Snapshots of a pull request: every order, loss and repetition of events ends in one state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from previewdrop.domain.commands import Verb
from previewdrop.domain.pull import Pull, newer, undecided
from previewdrop.domain.pulls import Keep, Mark, PullPolicy, Show, wanted

NOON = datetime(2026, 5, 20, 12, tzinfo=UTC)
COMMITS = ["a" * 40, "b" * 40, "c" * 40]

seconds = st.integers(0, 3).map(lambda count: NOON + timedelta(seconds=count))
pulls = st.builds(
    Pull,
    number=st.just(42),
    title=st.sampled_from(["Add", "Add more"]),
    open=st.booleans(),
    merged=st.booleans(),
    draft=st.booleans(),
    labels=st.frozensets(st.sampled_from(["preview", "no-preview", "docs"])),
    author=st.just("ben"),
    bot=st.booleans(),
    base=st.sampled_from(["main", "release/1", "feature/x"]),
    branch=st.just("feature/new-auth"),
    head=st.sampled_from(COMMITS),
    fork=st.sampled_from([True, False, None]),
    seen=seconds,
    asked=st.none() | seconds,
)
policies = st.builds(
    PullPolicy,
    drafts=st.booleans(),
    bots=st.booleans(),
    demand=st.sampled_from(["all", "label", "command"]),
    bases=st.sampled_from([(), ("main", "release/*")]),
    forks=st.sampled_from(["approve", "never"]),
    fork_secrets=st.booleans(),
)
marks = st.builds(
    Mark,
    at=seconds,
    verb=st.sampled_from([Verb.DEPLOY, Verb.REDEPLOY, Verb.STOP, Verb.APPROVE]),
    commit=st.sampled_from(COMMITS),
)


@given(pull=pulls)
def test_the_same_snapshot_twice_is_that_snapshot(pull: Pull):
    assert newer(pull, pull) == pull
    assert not undecided(pull, pull)


@given(former=pulls, latter=pulls)
def test_which_one_counts_does_not_depend_on_which_came_first(former: Pull, latter: Pull):
    assert newer(former, latter) == newer(latter, former)
    assert newer(former, latter) in (former, latter)
    assert undecided(former, latter) == undecided(latter, former)


@given(pull=pulls, other=pulls)
def test_a_difference_in_one_field_alone_is_decided_too(pull: Pull, other: Pull):
    for field in fields(Pull):
        changed = replace(pull, **{field.name: getattr(other, field.name)})
        assert newer(pull, changed) == newer(changed, pull)


@given(one=pulls, two=pulls, three=pulls)
def test_nor_on_which_were_compared_first(one: Pull, two: Pull, three: Pull):
    assert newer(newer(one, two), three) == newer(one, newer(two, three))


@given(former=pulls, latter=pulls)
def test_the_later_change_counts(former: Pull, latter: Pull):
    if former.seen != latter.seen:
        assert newer(former, latter) == max(former, latter, key=lambda pull: pull.seen)


@given(pull=pulls, other=pulls)
def test_closed_beats_open_in_the_same_second(pull: Pull, other: Pull):
    closed = replace(pull, open=False, asked=None)
    reopened = replace(other, open=True, seen=closed.seen, asked=None)
    assert newer(reopened, closed) == closed
    assert undecided(reopened, closed)


@given(pull=pulls, other=pulls)
def test_an_answer_within_that_second_counts_no_more_than_an_event(pull: Pull, other: Pull):
    closed = replace(pull, open=False, asked=None)
    answer = replace(other, open=True, seen=closed.seen, asked=closed.seen)
    assert newer(answer, closed) == closed
    assert undecided(answer, closed)


@given(pull=pulls, other=pulls)
def test_an_answer_after_that_second_beats_both(pull: Pull, other: Pull):
    event = replace(pull, asked=None)
    answer = replace(other, seen=pull.seen, asked=pull.seen + timedelta(seconds=1))
    assert newer(event, answer) == answer
    assert not undecided(event, answer)


@st.composite
def histories(draw: st.DrawFn) -> list[Pull]:
    """A pull request over time, one snapshot a change, by a clock that counts whole seconds."""
    pull = draw(pulls.map(lambda pull: replace(pull, open=True, seen=NOON, asked=None)))
    history = [pull]
    for later in draw(st.lists(pulls, max_size=6)):
        passed = timedelta(seconds=draw(st.integers(0, 2)))
        pull = replace(later, seen=pull.seen + passed, asked=None, fork=pull.fork, bot=pull.bot)
        history.append(pull)
    return history


@st.composite
def deliveries(draw: st.DrawFn, history: Sequence[Pull], resynced: bool) -> list[Pull]:
    """Some of the events in some order, some of them twice, and answers to what was asked."""
    events = draw(st.lists(st.sampled_from(history), max_size=10))
    if resynced:
        early = draw(st.integers(0, len(history) - 1))
        stale = replace(history[early], asked=history[early].seen)
        answer = replace(history[-1], asked=history[-1].seen + timedelta(seconds=1))
        events += [stale, answer]
    return list(draw(st.permutations(events)))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=histories(), policy=policies, said=st.lists(marks, max_size=4))
def test_whatever_is_lost_a_resync_brings_the_state_that_all_events_would(
    data: st.DataObject, history: list[Pull], policy: PullPolicy, said: list[Mark]
):
    events = data.draw(deliveries(history, resynced=True))
    told = data.draw(st.permutations([*said, *said[:1]]))
    end = replace(history[-1], asked=history[-1].seen + timedelta(seconds=1))
    assert reduce(newer, events) == end
    assert wanted(reduce(newer, events), policy, told) == wanted(end, policy, said)
    assert _desired(events, policy, told, {}) == _desired([end], policy, said, {})


@settings(max_examples=300, deadline=None)
@given(data=st.data(), history=histories(), policy=policies)
def test_without_loss_no_resync_is_needed_unless_the_clock_cannot_tell(
    data: st.DataObject, history: list[Pull], policy: PullPolicy
):
    events = data.draw(st.permutations([*history, *history[:2]]))
    told = reduce(newer, events)
    if not any(undecided(history[-1], event) for event in history):
        assert told == history[-1]
        assert _desired(events, policy, [], {}) == _desired([history[-1]], policy, [], {})
    if not history[-1].open:
        assert _desired(events, policy, [], {}) is None


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    history=histories(),
    policy=policies,
    skipping=st.frozensets(st.sampled_from(COMMITS)),
)
def test_a_commit_that_skips_is_never_shown_and_keeps_nothing_that_was_never_a_head(
    data: st.DataObject, history: list[Pull], policy: PullPolicy, skipping: frozenset[str]
):
    events = data.draw(deliveries(history, resynced=True))
    messages = dict.fromkeys(skipping, "[skip preview]")
    shown = _desired(events, policy, [], messages)
    assert shown is None or shown in {pull.head for pull in history} - skipping
    if not history[-1].open:
        assert shown is None


@given(pull=pulls, policy=policies, said=st.lists(marks, max_size=4))
def test_code_of_a_fork_runs_only_as_approved_and_nothing_closed_runs(
    pull: Pull, policy: PullPolicy, said: list[Mark]
):
    told = wanted(pull, policy, said)
    if not isinstance(told, Show):
        return
    assert pull.open
    assert "no-preview" not in pull.labels
    if pull.fork is False:
        assert told == Show(pull.head)
    else:
        approved = {each.commit for each in said if each.verb is Verb.APPROVE}
        assert told.commit in approved
        assert told.secrets is policy.fork_secrets
        assert (told.commit == pull.head) is (told.pending is None)


def _desired(
    events: Sequence[Pull], policy: PullPolicy, said: Sequence[Mark], messages: dict[str, str]
) -> str | None:
    """What is wanted in the end by somebody who decides anew at each event."""
    known, desired = events[0], None
    for event in events:
        known = newer(known, event)
        told = wanted(known, policy, said, messages.get(known.head))
        if not isinstance(told, Keep):
            desired = told.commit if isinstance(told, Show) else None
    return desired
