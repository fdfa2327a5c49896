"""Connections to GitHub that somebody has begun in a terminal and ends in a browser."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from previewdrop.forge.github.host import Host
from previewdrop.forge.github.manifest import Registration, manifest, registration_address

LIFETIME = 3600.0
"""As long as GitHub's own code is good for."""
_MOST = 100


@dataclass(slots=True)
class Attempt:
    """One try to make an App. Who knows `state` may go on with it; `id` only looks at it.

    `base` is this server as the browser reaches it, `public` as GitHub does; None if it cannot.
    `dashboard` is the path of the page where it was begun, None for a terminal. It has ended with a
    `connection` and its `registration`, or with an `error`.
    """

    id: str
    state: str = field(repr=False)
    host: Host
    organization: str | None
    base: str
    public: str | None
    until: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    connection: int | None = None
    registration: Registration | None = field(default=None, repr=False)
    error: str | None = None
    dashboard: str | None = field(default=None, repr=False)

    @property
    def ended(self) -> bool:
        return self.connection is not None or self.error is not None

    @property
    def page(self) -> str:
        """The address that begins it in a browser."""
        return f"{self.base}/github/new?state={self.state}"

    @property
    def form(self) -> str:
        """Where GitHub takes the manifest."""
        return registration_address(self.host, self.state, self.organization)

    @property
    def manifest(self) -> dict[str, Any]:
        """Names of Apps are taken only once in all of GitHub: this one ends in a few digits."""
        return manifest(
            f"PreviewDrop {(self.organization or '')[:15]} {self.id[:4]}".replace("  ", " "),
            home=self.public or self.base,
            webhook=f"{self.public}/webhooks/github" if self.public else None,
            redirect=f"{self.base}/github/connected",
            setup=f"{self.base}/github/installed",
        )


class Attempts:
    """Those of the last hour, in memory: whoever is interrupted by a restart begins again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, Attempt] = {}

    def begin(self, host: Host, organization: str | None, base: str, public: str | None) -> Attempt:
        """BadInput for what is no organization."""
        self._forget()
        until = self._clock() + LIFETIME
        state, id = secrets.token_urlsafe(32), secrets.token_hex(8)
        attempt = Attempt(id, state, host, organization, base, public, until)
        _ = attempt.form
        self._known[state] = attempt
        return attempt

    def of(self, state: str) -> Attempt | None:
        """None for one that is not known any more, or never was."""
        self._forget()
        return self._known.get(state)

    def seen(self, id: str) -> Attempt | None:
        self._forget()
        return next((each for each in self._known.values() if each.id == id), None)

    def _forget(self) -> None:
        now = self._clock()
        kept = [each for each in self._known.values() if each.until > now]
        self._known = {each.state: each for each in kept[-_MOST:]}
