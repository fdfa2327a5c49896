"""Gives each preview a numbered database of one Valkey, and a user that can use only that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from valkey.asyncio import Valkey
from valkey.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    ResponseError,
    TimeoutError,
    ValkeyError,
)

from previewdrop.domain.errors import BadConfig, StageFailed, Unavailable
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec
from previewdrop.drivers.base import Endpoint, Reach
from previewdrop.drivers.valkey import commands
from previewdrop.drivers.valkey.commands import Argv, User

_USUAL_NUMBERS = 16
_TIMEOUT = 10


class ValkeyCache:
    """The Cache contract on Valkey 9.1 or newer.

    `url` (`redis://:password@host:port`) is that of an administrator. `reach` says host and port
    for previews; without it they are those of the URL. BadConfig when the server cannot wall
    numbers off from each other; StageFailed when a user of that name belongs to somebody else.
    Call `aclose` at the end.
    """

    def __init__(self, url: Secret, installation: str, reach: Reach | None = None) -> None:
        parts = urlsplit(url.reveal())
        self._reach = reach or (lambda: (parts.hostname or "127.0.0.1", parts.port or 6379))
        self._installation = installation
        self._client: Any = Valkey.from_url(
            url.reveal(),
            decode_responses=True,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
        )

    async def capacity(self) -> int:
        async with _translated():
            try:
                answer = await self._run(commands.NUMBERS)
            except NoPermissionError:
                return _USUAL_NUMBERS - 1
            return int(answer[1]) - 1

    async def ensure(self, spec: CacheSpec) -> tuple[Endpoint, bool]:
        async with _translated():
            there = await self._find(spec.user)
            if there and there.installation != self._installation:
                raise _foreign(spec.user)
            known = there is not None and there.number == spec.number
            if not known:
                await self._run(commands.empty(spec.number))
            try:
                await self._run(commands.set_user(spec, self._installation))
            except ResponseError as error:
                if "db=" in str(error):
                    raise _too_old() from error
                raise
            await self._save()
        host, port = self._reach()
        return Endpoint(host, port, str(spec.number), spec.user, spec.password), known

    async def remove(self, spec: CacheSpec) -> None:
        async with _translated():
            there = await self._find(spec.user)
            if there and there.installation == self._installation:
                await self._delete([there])

    async def sweep(self, wanted: Collection[str]) -> list[str]:
        async with _translated():
            users = [commands.parse_user(line) for line in await self._run(commands.LIST)]
            ours = [user for user in users if user.installation == self._installation]
            gone = [user for user in ours if user.name not in wanted]
            kept = {user.number for user in ours if user.name in wanted}
            await self._delete(gone, spare=kept)
        return [user.name for user in gone]

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _find(self, user: str) -> User | None:
        answer = await self._run(commands.get_user(user))
        return commands.parse_get_user(user, answer) if answer else None

    async def _delete(self, users: Sequence[User], spare: Collection[int | None] = ()) -> None:
        """Deletes the users first, so that nobody fills a number again after it was emptied."""
        for user in users:
            await self._run(commands.delete_user(user.name))
            if user.number is not None and user.number not in spare:
                await self._run(commands.empty(user.number))
        if users:
            await self._save()

    async def _save(self) -> None:
        """Writes the users to the server's ACL file, if it has one."""
        try:
            await self._run(commands.SAVE)
        except ResponseError as error:
            if "not configured to use an ACL file" not in str(error):
                raise

    async def _run(self, argv: Argv) -> Any:
        return await self._client.execute_command(*argv)


@asynccontextmanager
async def _translated() -> AsyncGenerator[None]:
    try:
        yield
    except AuthenticationError as error:
        raise Unavailable(
            "Valkey refused the administrator's password.", "Check PREVIEWDROP_REDIS_URL."
        ) from error
    except (ConnectionError, TimeoutError, OSError) as error:
        raise Unavailable(f"Valkey did not answer: {error}.") from error
    except NoPermissionError as error:
        raise StageFailed(
            f"Valkey does not let its administrator do this: {error}.",
            "The user of PREVIEWDROP_REDIS_URL needs `+@all ~* &* alldbs`.",
        ) from error
    except ValkeyError as error:
        raise StageFailed(f"Valkey refused: {error}.") from error


def _too_old() -> BadConfig:
    return BadConfig(
        "The server of PREVIEWDROP_REDIS_URL cannot keep numbered databases apart.",
        "Use Valkey 9.1 or newer, or unset it to use the embedded one.",
    )


def _foreign(user: str) -> StageFailed:
    return StageFailed(
        f"The Valkey server has a user {user!r} already that PreviewDrop did not make.",
        "Rename it, or rename the project.",
    )
