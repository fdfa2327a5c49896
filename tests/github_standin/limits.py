"""Rate limits: so many requests an hour for each App, installation and person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from github_standin.apps import App
from github_standin.calls import Viewer
from github_standin.clock import Clock
from github_standin.tokens import InstallationToken

_HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Bucket:
    used: int
    reset: datetime


class Limits:
    """`limit` holds for each, `anonymous` for all who show no token; `status` is 403 or 429.

    Requests that are answered with 304 are free.
    """

    def __init__(self, clock: Clock) -> None:
        self.anonymous = 60
        self.limit = 5000
        self.status = 403
        self._clock = clock
        self._buckets: dict[object, Bucket] = {}
        self._nothing_until = clock.now()

    def spend(self, viewer: Viewer) -> None:
        self._bucket(viewer).used += 1

    def exhausted(self, viewer: Viewer) -> bool:
        return self.shown(viewer)["remaining"] == 0

    def exhaust(self, **within: float) -> None:
        """Nobody has a request left, for `minutes=30` or the like."""
        self._nothing_until = self._clock.now() + timedelta(**within)

    def shown(self, viewer: Viewer) -> dict[str, int]:
        bucket, limit = self._bucket(viewer), self.anonymous if viewer is None else self.limit
        used, reset = bucket.used, bucket.reset
        if self._clock.now() < self._nothing_until:
            used, reset = limit, self._nothing_until
        return {
            "limit": limit,
            "remaining": max(limit - used, 0),
            "reset": int(reset.timestamp()),
            "used": used,
        }

    def headers(self, viewer: Viewer) -> dict[str, str]:
        named = {f"x-ratelimit-{name}": str(value) for name, value in self.shown(viewer).items()}
        return {**named, "x-ratelimit-resource": "core"}

    def _bucket(self, viewer: Viewer) -> Bucket:
        now = self._clock.now()
        key = _spender(viewer)
        if key not in self._buckets or self._buckets[key].reset <= now:
            self._buckets[key] = Bucket(0, now + _HOUR)
        return self._buckets[key]


def _spender(viewer: Viewer) -> object:
    match viewer:
        case None:
            return None
        case App():
            return viewer
        case InstallationToken():
            return viewer.installation
        case _:
            return viewer.user
