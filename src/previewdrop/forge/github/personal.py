"""A personal access token instead of an App: https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/managing-your-personal-access-tokens"""

from __future__ import annotations

from previewdrop.domain.errors import BadConfig
from previewdrop.domain.secret import Secret
from previewdrop.forge.events import Repository
from previewdrop.forge.github import calls, payloads, results
from previewdrop.forge.github.access import Installation
from previewdrop.forge.github.answers import Answer, read, read_list
from previewdrop.forge.github.calls import Call
from previewdrop.forge.github.client import Bearer, Client
from previewdrop.forge.github.paging import pages


class PersonalAccess:
    """One token of a person for everything; it may do whatever that person let it do.

    BadConfig for what cannot be a token.
    """

    def __init__(self, client: Client, token: Secret) -> None:
        text = token.reveal()
        if not (text and text.isascii() and text.isprintable() and " " not in text):
            raise BadConfig(
                "The token for GitHub has characters that no token has.",
                "Copy it again, without quotes or line breaks.",
            )
        self._client = client
        self._bearer = Bearer(token, "the person")
        self._author: str | None = None

    async def token(self, repository: Repository) -> Bearer:
        return self._bearer

    async def clone_token(self, repository: Repository) -> Secret:
        return self._bearer.token

    def expired(self, token: Secret) -> bool:
        return False

    async def author(self) -> str:
        if self._author is None:
            answer = await self._send(calls.user())
            self._author = read(payloads.User, answer.value).login
        return self._author

    async def installations(self) -> list[Installation]:
        return []

    async def repositories(self) -> list[Repository]:
        """Those that the person may push to: we could report nowhere else."""
        return [
            told.repository(self._client.host.web)
            async for page in pages(self._send, calls.own_repositories)
            for told in read_list(results.OwnRepository, page)
            if told.permissions.push
        ]

    async def _send(self, call: Call) -> Answer:
        return await self._client.send(call, self._bearer)
