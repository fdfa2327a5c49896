"""The commit's status and the deployment's, as code hosts show them beside the pull request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from previewdrop.domain.preview import DeploymentState, Failure
from previewdrop.report import wording
from previewdrop.report.facts import Attempt, Facts
from previewdrop.report.plain import one_line

LONGEST_DESCRIPTION = 140
"""https://docs.github.com/en/rest/commits/statuses: a longer one is refused."""


class Standing(StrEnum):
    """How a commit stands. The values are those of forge's Verdict."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """The status of `commit`: one sentence of at most 140 characters, and where to read more."""

    commit: str
    context: str
    standing: Standing
    description: str
    url: str | None


@dataclass(frozen=True, slots=True)
class EnvironmentStatus:
    """What a host lists as a deployment to the environment `name`; inactive if `standing` is None.

    `url` is the preview's, once it is live; `log_url` that of its page on the dashboard.
    """

    name: str
    ref: str
    commit: str
    standing: Standing | None
    description: str
    url: str | None
    log_url: str | None


def commit_status(facts: Facts) -> CommitStatus | None:
    """The status of the pull request's newest commit; None to leave it as it is.

    A commit that the rules leave out has none: it is neither good nor bad. Nothing is a success
    before this very commit is live.
    """
    if facts.removal is not None:
        told = _removed(facts)
    elif facts.skipped is not None:
        told = _unapproved(facts) if facts.unapproved else None
    else:
        told = _told(facts)
    if told is None or told[0] != facts.head:
        return None
    commit, standing, sentence = told
    url = facts.url if standing is Standing.SUCCESS else facts.details_url
    return CommitStatus(
        commit, f"previewdrop/{facts.project}", standing, _description(sentence), url
    )


def overtaken(facts: Facts, commit: str) -> CommitStatus:
    """The status of a commit that waited, and is not the newest any more."""
    sentence = "A newer commit took its place."
    return CommitStatus(
        commit, f"previewdrop/{facts.project}", Standing.FAILURE, sentence, facts.details_url
    )


def environment_status(facts: Facts) -> EnvironmentStatus | None:
    """What is told of the newest deployment; None while there is none to tell of.

    A commit whose deployment has not begun is none: many may wait for room, some for ever.
    """
    if facts.removal is not None:
        attempt = facts.newest or facts.live
        commit = attempt.commit if attempt else facts.desired or facts.head
        told = commit, None, "The preview was removed."
    elif facts.upcoming is not None or (told := _told(facts)) is None:
        return None
    commit, standing, sentence = told
    url = facts.url if standing is Standing.SUCCESS else None
    return EnvironmentStatus(
        facts.name, facts.ref, commit, standing, _description(sentence), url, facts.details_url
    )


_Told = tuple[str, Standing, str]


def _told(facts: Facts) -> _Told | None:
    """The commit that matters now, how it stands, and a sentence."""
    if facts.upcoming is not None:
        sentence = facts.waiting or "Begins in a moment."
        return facts.upcoming, Standing.PENDING, sentence
    if facts.beside is not None:
        return facts.beside.commit, *_beside(facts, facts.beside)
    if facts.live is None:
        return None
    if facts.down:
        return facts.live.commit, Standing.FAILURE, facts.waiting or ""
    return facts.live.commit, Standing.SUCCESS, _ready(facts.live)


def _beside(facts: Facts, attempt: Attempt) -> tuple[Standing, str]:
    if attempt.state is DeploymentState.FAILED:
        failure = attempt.failure or Failure("", "The deployment failed.")
        sentence = wording.failed(failure)
        if facts.live is not None:
            still = f". Still live: {wording.short(facts.live.commit)}."
            room = LONGEST_DESCRIPTION - len(still)
            sentence = one_line(sentence, room).rstrip(".") + still
        return Standing.FAILURE, sentence
    doing = wording.running(attempt)
    begun = attempt.state.value.capitalize()
    return Standing.PENDING, f"{begun}: {doing}." if doing else f"{begun}."


def _ready(attempt: Attempt) -> str:
    return "Ready." if attempt.seconds is None else f"Ready in {wording.duration(attempt.seconds)}."


def _unapproved(facts: Facts) -> _Told:
    return facts.head, Standing.PENDING, "Code from a fork: somebody has to read and approve it."


def _removed(facts: Facts) -> _Told | None:
    """A commit that was live keeps its success; one that never was must not wait for ever."""
    if facts.removal is None or facts.removal.done:
        return None
    if facts.live is not None and facts.live.commit == facts.head:
        return None
    return facts.head, Standing.FAILURE, "The preview was removed before this commit was live."


def _description(sentence: str) -> str:
    return one_line(sentence.replace("`", ""), LONGEST_DESCRIPTION) or "Nothing more is known."
