"""A repository behind a URL: what git asks it, and how its answers are read."""

from __future__ import annotations

import re
from dataclasses import dataclass

from previewdrop.domain.errors import BadSource
from previewdrop.domain.secret import Redactor, Secret
from previewdrop.source import commands
from previewdrop.source.address import Address
from previewdrop.source.commands import Command
from previewdrop.source.git import Finished, TooMuchOutput, run
from previewdrop.source.mirror import Mirror
from previewdrop.source.refs import HEADS, SHA, empty_repository, unknown_branch, unknown_commit
from previewdrop.source.refusals import (
    is_no_single_commit,
    is_unknown_commit,
    is_unknown_ref,
    refusal,
)

_SYMREF = re.compile(rf"^ref: {HEADS}(\S+)\tHEAD$", re.MULTILINE)
_HISTORY = 8
"""How many times the size of a commit its whole history may have, where it must be fetched."""

PACK_SLACK = 64 * 1024 * 1024
"""Bytes that a pack may have beyond the files of a commit: for its trees and commits."""


@dataclass(frozen=True, slots=True)
class RemoteRepository:
    """`url` as git gets it; `header` is the secret that logs in there, and the site it is for."""

    url: str
    mirror: Mirror
    byte_limit: int
    header: tuple[str, Secret] | None = None

    async def default_branch(self) -> str:
        """The branch that the repository's HEAD names."""
        answer = await self._ask(commands.list_head(self.mirror.path, self.url))
        if match := _SYMREF.search(answer):
            return match[1]
        branches = await self.branches()
        if not branches:
            raise empty_repository(self.url)
        for name in ("main", "master", *(branches if len(branches) == 1 else ())):
            if name in branches:
                return name
        raise BadSource(f"{self.url} has no default branch.", "Name one with --branch.")

    async def branches(self) -> dict[str, str]:
        """Every branch with the sha it points to."""
        answer = await self._ask(commands.list_heads(self.mirror.path, self.url))
        pairs = (line.partition("\t") for line in answer.splitlines())
        return {ref.removeprefix(HEADS): sha for sha, _, ref in pairs if SHA.fullmatch(sha)}

    async def fetch_ref(self, ref: str, lock: int) -> str:
        """Fetches what a ref points to now, and returns its sha; a force push is followed."""
        finished = await self._run(commands.fetch(self.mirror.path, self.url, ref), lock)
        if finished.code and is_no_single_commit(finished.errors):
            branches = await self.branches()
            if sha := branches.get(ref.removeprefix(HEADS)):
                await self._fetch_all(lock)
                return sha
        if finished.code and is_unknown_ref(finished.errors):
            raise unknown_branch(ref, await self.branches(), self.url)
        self._check(finished)
        return self.mirror.fetched()[0]

    async def fetch_commit(self, sha: str, lock: int) -> None:
        """Fetches one commit; all branches where the server hands out nothing smaller."""
        finished = await self._run(commands.fetch(self.mirror.path, self.url, sha), lock)
        if finished.code and is_no_single_commit(finished.errors):
            await self._fetch_all(lock)
            if (await run(commands.list_tree(self.mirror.path, sha))).code:
                raise unknown_commit(sha, self.url)
            return
        if finished.code and is_unknown_commit(finished.errors):
            raise unknown_commit(sha, self.url)
        self._check(finished)

    async def _fetch_all(self, lock: int) -> None:
        shallow = bool(self.mirror.shallow())
        command = commands.fetch_all(self.mirror.path, self.url, shallow=shallow)
        self._check(await self._run(command, lock, times=_HISTORY))

    async def _ask(self, command: Command) -> str:
        try:
            finished = await self._run(command, None)
        except TooMuchOutput as error:
            raise BadSource(f"{self.url} has more branches than can be listed.") from error
        self._check(finished)
        return finished.output.decode(errors="replace")

    async def _run(self, command: Command, lock: int | None, times: int = 1) -> Finished:
        command = Command(command.argv, command.input, self.header)
        return await run(command, lock=lock, file_bytes=self.byte_limit * times + PACK_SLACK)

    def _check(self, finished: Finished) -> None:
        if finished.code:
            redact = Redactor([self.header[1]] if self.header else [])
            raise refusal(redact(finished.errors), self.url)


def remote_repository(
    address: Address, mirror: Mirror, byte_limit: int, credentials: Secret | None
) -> RemoteRepository:
    """The repository behind a URL. Credentials are sent to the URL's own site and nowhere else."""
    url = address.url
    if url is None:
        raise BadSource(f"{address.text} is not a URL.")
    site, secret = address.site, credentials or address.login
    header = (site, commands.authorization(secret)) if site and secret else None
    return RemoteRepository(url, mirror, byte_limit, header)
