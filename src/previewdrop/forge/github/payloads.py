"""What we read of GitHub's objects, the same in webhooks and in answers of its API.

Models name only what is used and ignore the rest, so that GitHub may add what it likes. Texts lose
NUL and lone surrogates, which neither UTF-8 nor a database can hold; all else stays as it came.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from previewdrop.forge.events import Pull, Repository

GHOST = "ghost"
"""The login that GitHub shows for a deleted account."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(value: object) -> object:
    """A text whose NUL and lone surrogates became U+FFFD; anything else as it is."""
    return _UNSTORABLE.sub("\ufffd", value) if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(storable)]
Name = Annotated[str, BeforeValidator(storable), Field(min_length=1, max_length=1024)]
Id = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Number = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
"""Of a pull request or an issue, in a repository."""
# In any time zone it is still a time that Python and a database have.
Moment = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]
Commit = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")]
# It becomes part of addresses, so nothing in it may lead elsewhere.
FullName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+/(?!\.{1,2}\Z)[A-Za-z0-9._-]+\Z")]


class Payload(BaseModel):
    """A part of what GitHub sends."""

    model_config = ConfigDict(frozen=True, extra="ignore", regex_engine="python-re")


class User(Payload):
    login: Name
    type: str = "User"

    @property
    def bot(self) -> bool:
        return self.type == "Bot"


NOBODY = User(login=GHOST)


class RepositoryPayload(Payload):
    id: Id
    full_name: FullName
    private: StrictBool = False

    def repository(self, web: str, installation: int | None = None) -> Repository:
        """`web` is the host's own address, such as https://github.com.

        The clone address is put together, not taken from the payload: credentials must go to the
        host that they were given for and nowhere else.
        """
        return Repository(
            id=self.id,
            name=self.full_name,
            url=f"{web}/{self.full_name}.git",
            private=self.private,
            installation=installation,
        )


class Label(Payload):
    name: Text


class OfRepository(Payload):
    id: Id


class Head(Payload):
    """Either end of a pull request; `repo` is None when that repository was deleted."""

    ref: Name
    sha: Commit
    repo: OfRepository | None


class PullPayload(Payload):
    """https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request"""

    number: Number
    title: Text
    state: str
    # `merged` is missing where pull requests are listed.
    merged_at: Moment | None = None
    draft: StrictBool = False
    labels: tuple[Label, ...] = ()
    user: User | None
    base: Head
    head: Head
    updated_at: Moment

    def pull(self) -> Pull:
        author = self.user or NOBODY
        return Pull(
            number=self.number,
            title=self.title,
            open=self.state == "open",
            merged=self.merged_at is not None,
            draft=self.draft,
            labels=frozenset(label.name for label in self.labels),
            author=author.login,
            bot=author.bot,
            base=self.base.ref,
            branch=self.head.ref,
            head=self.head.sha,
            fork=self._fork(),
            seen=self.updated_at,
        )

    def _fork(self) -> bool | None:
        # By id: a name can be taken by somebody else after a rename.
        if self.head.repo is None or self.base.repo is None:
            return None
        return self.head.repo.id != self.base.repo.id


class OfInstallation(Payload):
    id: Id
