"""Whose credentials a call is made with, as the client's calls ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from previewdrop.domain.secret import Secret
from previewdrop.forge.events import Repository
from previewdrop.forge.github.client import Bearer


@dataclass(frozen=True, slots=True)
class Installation:
    """An App installed at an account; `url` is the page where its repositories are chosen."""

    id: int
    account: str
    url: str
    suspended: bool


class Access(Protocol):
    """Tokens for repositories. Errors are those of the client."""

    async def token(self, repository: Repository) -> Bearer:
        """For the API, good for some minutes at least."""
        ...

    async def clone_token(self, repository: Repository) -> Secret:
        """For `git fetch`, good for ten minutes at least."""
        ...

    def expired(self, token: Secret) -> bool:
        """The host did not take a token. Whether `token` will bring another one now."""
        ...

    async def author(self) -> str:
        """The login under which our comments are written."""
        ...

    async def installations(self) -> list[Installation]:
        """Where an App is installed, at work or suspended; none for a person."""
        ...

    async def repositories(self) -> list[Repository]:
        """All within reach."""
        ...
