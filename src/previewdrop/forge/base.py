"""The code host's contract: what PreviewDrop asks of GitHub, and could ask of others.

Telling is sans-I/O: `verified` and `parsed` work on the bytes of a webhook. Everything else goes
over the network and may be told twice, so it is idempotent: the second call finds what the first
has made. Errors: `Unavailable` for what passes by itself (no answer, 5xx, rate limits, with the
seconds to wait where the host says so), `Refused` for what does not (no such repository, no
permission), with a sentence for people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from previewdrop.domain.errors import StageFailed
from previewdrop.domain.secret import Secret
from previewdrop.forge.events import Commented, Delivery, Pull, Repository


class Refused(StageFailed):
    """The host's own no, which trying again does not change.

    `answer` is its HTTP status, `reason` its sentence.
    """

    def __init__(self, message: str, hint: str | None = None, *, answer: int, reason: str) -> None:
        super().__init__(message, hint)
        self.answer = answer
        self.reason = reason

    @property
    def missing(self) -> bool:
        """Whether it is not there, or is hidden from us, which hosts do not tell apart."""
        return self.answer in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


class Verdict(StrEnum):
    """How a commit or deployment stands, as a host shows it."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Status:
    """A commit's status: one a `context`, `description` in at most 140 characters."""

    commit: str
    context: str
    verdict: Verdict
    description: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Environment:
    """A deployment as the host lists it: `name` is the preview's, `ref` the branch it follows.

    A fork's branch is not in this repository: `ref` is its commit then. `verdict` None tells that
    the preview is no more: all that the host lists of that name becomes inactive.
    """

    name: str
    ref: str
    commit: str
    verdict: Verdict | None
    description: str
    url: str | None
    log_url: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """What a list call brought. `mark` is for the next call: with it an unchanged list is free.

    `pulls` is None where the host says that nothing changed since `mark` was given.
    """

    pulls: tuple[Pull, ...] | None
    mark: str | None


@dataclass(frozen=True, slots=True)
class Written:
    """A comment of ours, which people read at `url`; `at` is the host's time of its last change."""

    id: int
    url: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Labelled:
    """Somebody set a label, at the host's time `at`; `bot` tells that it was no person."""

    author: str
    bot: bool
    at: datetime


class Forge(Protocol):
    """One code host, as one set of credentials sees it. Call `aclose` at the end."""

    def verified(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the host itself signed this body. Compares in constant time, parses nothing."""
        ...

    def parsed(self, headers: Mapping[str, str], body: bytes) -> Delivery:
        """What a verified webhook tells. BadInput with a sentence for a body of a wrong shape."""
        ...

    async def repositories(self) -> list[Repository]:
        """All within reach."""
        ...

    async def open_pulls(self, repository: Repository, mark: str | None = None) -> Page:
        """Every open pull request."""
        ...

    async def pull(self, repository: Repository, number: int) -> Pull | None:
        """A pull request as it is now; None if there is none."""
        ...

    async def comments_since(self, repository: Repository, since: datetime) -> list[Commented]:
        """The comments on pull requests that were written since then, as if they were told."""
        ...

    async def labelled(
        self, repository: Repository, number: int, labels: Collection[str]
    ) -> Labelled | None:
        """Who set one of these labels last, if it is still there. Case does not matter."""
        ...

    async def may_write(self, repository: Repository, login: str) -> bool:
        """Whether somebody may push to the repository."""
        ...

    async def login(
        self, repository: Repository, refused: Secret | None = None
    ) -> tuple[str, Secret]:
        """User name and password for `git fetch` over HTTPS, good for at least ten minutes.

        `refused` is a password that Git did not take any more: it is not given out again where the
        host can make another.
        """
        ...

    async def comment(
        self, repository: Repository, number: int, mark: str, text: str, known: int | None
    ) -> Written:
        """The one comment that begins with `mark` says `text` after it.

        `mark` is a line that people do not see. `known` is the id that the comment had last. One
        that somebody deleted is made again.
        """
        ...

    async def react(self, repository: Repository, comment: int, reaction: str) -> None:
        """A reaction (`eyes`, `+1`, `confused`) to somebody's comment."""
        ...

    async def status(self, repository: Repository, status: Status) -> None:
        """The commit's status of this context is so."""
        ...

    async def environment(
        self, repository: Repository, environment: Environment, known: int | None
    ) -> int | None:
        """The deployment of this environment is so; its id. `known` is the one it had last.

        None only for one that is no more and that the host never had.
        """
        ...

    async def aclose(self) -> None:
        """Ends its connections; nothing is asked of it any more."""
        ...
