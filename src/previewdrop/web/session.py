"""Signing a browser in: a ticket from the command line becomes a cookie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from previewdrop.domain.secret import Secret

COOKIE = "previewdrop_session"
DASHBOARD = "/dashboard/"
WEEK = 7 * 24 * 3600
TICKET_LASTS = 600.0
_MOST = 100
_KEY_BYTES = 18


class Sessions:
    """Who signed in with a ticket is known for a week, or until the server's token changes.

    A session is a time and a signature by the token, so it outlives a restart and nothing is kept.

    Browsers send a cookie to every port of a host, also to a preview's own, which may listen beside
    this server and be visited by a click. So the cookie is one of `path` alone, whose last part
    nobody can guess: no page on another port can have the browser ask for it there.
    """

    def __init__(self, token: Secret, clock: Callable[[], float] = time.time) -> None:
        self._key = token.reveal().encode()
        self._clock = clock
        digest = self._digest("path of the dashboard")[:_KEY_BYTES]
        self.path = DASHBOARD + base64.urlsafe_b64encode(digest).decode()

    def begin(self) -> str:
        """The cookie's value."""
        until = str(int(self._clock()) + WEEK)
        return f"{until}.{self._signed(until)}"

    def valid(self, header: str) -> bool:
        """Whether a session that has not ended is in a Cookie header.

        Every cookie of the name counts: one that another host of this domain has set hides none.
        """
        pairs = (part.strip().partition("=") for part in header.split(";"))
        return any(self._valid(value) for name, _, value in pairs if name == COOKIE)

    def covers(self, path: str) -> bool:
        """Whether a path is below the dashboard's."""
        begun = path[: len(self.path) + 1]
        return hmac.compare_digest(begun.encode(), f"{self.path}/".encode())

    def _valid(self, value: str) -> bool:
        until, _, signature = value.partition(".")
        ours = hmac.compare_digest(signature.encode(), self._signed(until).encode())
        return ours and int(until) > self._clock()

    def _signed(self, until: str) -> str:
        return self._digest(f"session until {until}").hex()

    def _digest(self, what: str) -> bytes:
        return hmac.new(self._key, f"previewdrop {what}".encode(), hashlib.sha256).digest()


class Tickets:
    """Tickets of the last ten minutes, in memory: each signs one browser in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        now = self._clock()
        known = [each for each in self._until.items() if each[1] > now]
        ticket = secrets.token_urlsafe(32)
        self._until = dict([*known[1 - _MOST :], (ticket, now + TICKET_LASTS)])
        return ticket

    def take(self, ticket: str) -> bool:
        """Whether it was good, which it is not any more."""
        return self._until.pop(ticket, 0.0) > self._clock()
