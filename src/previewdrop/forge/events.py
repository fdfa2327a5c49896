"""What code hosts tell us, in words that all of them share: facts about now, not instructions.

An event may come late, twice, out of order or not at all. So each carries the whole of what it is
about, as it was at `seen`, and whoever takes it compares that with what is known already.

Texts hold whatever people typed: markup, control characters, emoji. Only NUL and lone surrogates,
which no database keeps, have become U+FFFD.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from previewdrop.domain.pull import Pull


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on a code host. `id` stays the same when it is renamed or transferred.

    `name` is `owner/name`; `url` is the address for `git clone` over HTTPS, without a login.
    `installation` is the id of the App's installation that told of it, None for a plain webhook.
    """

    id: int
    name: str
    url: str
    private: bool = False
    installation: int | None = None


@dataclass(frozen=True, slots=True)
class PullChanged:
    """A pull request is now as told, whatever the change was; `action` is the host's word."""

    repository: Repository
    pull: Pull
    action: str


@dataclass(frozen=True, slots=True)
class BranchPushed:
    """A branch leads to `commit` now, whose message is `message`."""

    repository: Repository
    branch: str
    commit: str
    message: str
    seen: datetime


@dataclass(frozen=True, slots=True)
class BranchDeleted:
    """A branch is gone."""

    repository: Repository
    branch: str


@dataclass(frozen=True, slots=True)
class Commented:
    """Somebody wrote a comment on a pull request. Only new comments are told, no edited ones.

    `at` is the host's time at which it was written.
    """

    repository: Repository
    number: int
    comment: int
    author: str
    bot: bool
    body: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CommentDeleted:
    """A comment on a pull request is gone, whoever had written it."""

    repository: Repository
    number: int
    comment: int


@dataclass(frozen=True, slots=True)
class RepositoryMoved:
    """A repository was renamed, transferred, hidden or published; `repository` is as it is now."""

    repository: Repository


@dataclass(frozen=True, slots=True)
class RepositoryLeft:
    """A repository was deleted, or is out of our reach: we may do nothing there any more."""

    repository: Repository


@dataclass(frozen=True, slots=True)
class RepositoryJoined:
    """A repository came within our reach."""

    repository: Repository


@dataclass(frozen=True, slots=True)
class InstallationJoined:
    """The App was installed at an account, or works there again after a suspension.

    A host may tell its repositories beside it, or leave it to us to list them.
    """

    installation: int


@dataclass(frozen=True, slots=True)
class InstallationLeft:
    """The App was uninstalled or suspended at an account, with all of its repositories."""

    installation: int


Event = (
    PullChanged
    | BranchPushed
    | BranchDeleted
    | Commented
    | CommentDeleted
    | RepositoryMoved
    | RepositoryLeft
    | RepositoryJoined
    | InstallationJoined
    | InstallationLeft
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook call: its id, by which a repeated one is known, and what it tells.

    `kind` is the host's name of it, such as `pull_request.opened`. Nothing that concerns us is
    told by an empty tuple: a ping, or a kind that we do not know.
    """

    id: str
    kind: str
    events: tuple[Event, ...]
