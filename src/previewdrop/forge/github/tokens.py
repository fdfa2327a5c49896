"""Tokens that are kept until shortly before they expire, each fetched by one caller at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from previewdrop.domain.secret import Secret

MARGIN = 900.0
"""Seconds that a token has left at least when it is given out: a clone may take a while."""

Key = tuple[int, int | None]
"""An installation, and the one repository that the token is for, None for all of them."""


@dataclass(frozen=True, slots=True)
class Token:
    """`expires` in seconds since 1970, by the host's clock."""

    secret: Secret
    expires: float


class Tokens:
    """Tokens by key. `now` is the host's time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: dict[Key, Token] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    async def get(self, key: Key, make: Callable[[], Awaitable[Token]]) -> Secret:
        """The token that is kept, or a new one."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is None or kept.expires - self._now() < MARGIN:
                kept = self._kept[key] = await make()
            return kept.secret

    def forget(self, token: Secret) -> None:
        """The host does not take it any more."""
        self._kept = {key: kept for key, kept in self._kept.items() if kept.secret != token}
