"""A commit's status and a deployment's, at every point of a preview's life."""

from __future__ import annotations

from dataclasses import replace

from previewdrop.domain import reasons
from previewdrop.domain.preview import Failure
from previewdrop.report.facts import Attempt, Facts, Removal
from previewdrop.report.status import (
    CommitStatus,
    EnvironmentStatus,
    Standing,
    commit_status,
    environment_status,
)

URL = "https://pr-42.preview.myapp.com"
DETAILS = "https://preview.myapp.com/previews/shop/pr-42"
OLD = "a1b2c3d" + "0" * 33
NEW = "b0b1b2b" + "0" * 33


def brief(facts: Facts) -> tuple[Standing, str] | None:
    told = commit_status(facts)
    return (told.standing, told.description) if told else None


def pushed(live: Facts, attempt: Attempt | None = None) -> Facts:
    return replace(live, head=NEW, desired=NEW, newest=attempt or live.newest)


def test_a_live_commit_leads_to_its_preview(live: Facts):
    facts = replace(live, details_url=DETAILS)
    assert commit_status(facts) == CommitStatus(
        OLD, "previewdrop/shop", Standing.SUCCESS, "Ready in 2.9 s.", URL
    )
    assert environment_status(facts) == EnvironmentStatus(
        *("shop/pr-42", "feature/new-auth", OLD),
        *(Standing.SUCCESS, "Ready in 2.9 s.", URL, DETAILS),
    )


def test_a_newer_commit_is_pending_until_it_is_live_itself(live: Facts, building: Attempt):
    assert brief(pushed(live)) == (Standing.PENDING, "Begins in a moment.")
    facts = replace(pushed(live, building), details_url=DETAILS)
    assert commit_status(facts) == CommitStatus(
        NEW, "previewdrop/shop", Standing.PENDING, "Building: build, database.", DETAILS
    )
    told = environment_status(facts)
    assert told is not None
    assert (told.commit, told.standing, told.url) == (NEW, Standing.PENDING, None)


def test_a_failure_says_what_broke_and_what_is_live(first: Facts, live: Facts, failed: Attempt):
    what = "post-deploy failed: bash bin/preview-entrypoint.sh ended with 127 after 2.3 s"
    assert brief(pushed(first, failed)) == (Standing.FAILURE, what)
    assert brief(pushed(live, failed)) == (Standing.FAILURE, f"{what}. Still live: a1b2c3d.")


def test_what_nobody_has_met_through_the_edge_is_still_on_its_way(live: Facts, failed: Attempt):
    assert brief(live.unseen) == (Standing.PENDING, "Deploying.")
    newer = pushed(live, failed).unseen
    assert newer.live is None
    told = environment_status(newer)
    assert told is not None
    assert (told.standing, told.url) == (Standing.FAILURE, None)
    assert "Still live" not in told.description


def test_a_long_failure_is_cut_before_what_is_live(live: Facts, failed: Attempt):
    long = replace(failed, failure=Failure("", "It broke. " * 50))
    told = brief(pushed(live, long))
    assert told is not None
    assert told[1].startswith("It broke. ")
    assert told[1].endswith("…. Still live: a1b2c3d.")
    assert len(told[1]) <= 140


def test_waiting_is_pending_and_no_deployment_yet(first: Facts, live: Facts):
    waiting = replace(first, waiting="shop has 2 live previews.")
    assert brief(waiting) == (Standing.PENDING, "shop has 2 live previews.")
    for facts in (first, waiting, pushed(live)):
        assert environment_status(facts) is None


def test_what_is_down_is_no_success(live: Facts):
    facts = replace(live, waiting="The app ended.")
    assert brief(facts) == (Standing.FAILURE, "The app ended.")
    told = environment_status(facts)
    assert told is not None
    assert told.standing is Standing.FAILURE


def test_a_fork_waits_for_approval_and_what_was_approved_stays_listed(first: Facts, live: Facts):
    new = replace(first, desired=None, skipped=reasons.unapproved(OLD))
    sentence = "Code from a fork: somebody has to read and approve it."
    assert brief(new) == (Standing.PENDING, sentence)
    assert environment_status(new) is None
    newer = replace(live, head=NEW, skipped=reasons.unapproved(NEW))
    assert brief(newer) == (Standing.PENDING, sentence)
    told = environment_status(newer)
    assert told is not None
    assert (told.commit, told.standing) == (OLD, Standing.SUCCESS)


def test_what_the_rules_leave_out_is_neither_good_nor_bad(first: Facts, live: Facts):
    assert brief(replace(first, desired=None, skipped=reasons.DRAFT)) is None
    assert brief(replace(live, head=NEW, skipped=reasons.skipped(NEW))) is None


def test_another_commit_than_the_head_gives_the_head_no_status(live: Facts):
    assert brief(replace(live, head=NEW)) is None


def test_a_removal_ends_what_was_pending_and_keeps_what_was_good(live: Facts, building: Attempt):
    merged = Removal(done=False, reason=reasons.closed(merged=True))
    assert brief(replace(live, removal=merged)) is None
    assert brief(replace(pushed(live, building), removal=merged)) == (
        Standing.FAILURE,
        "The preview was removed before this commit was live.",
    )
    assert brief(replace(live, removal=Removal(done=True))) is None


def test_a_removal_makes_the_environment_inactive(live: Facts, first: Facts):
    for facts in (live, first):
        told = environment_status(replace(facts, removal=Removal(done=True)))
        assert told is not None
        assert (told.commit, told.standing, told.url) == (OLD, None, None)
