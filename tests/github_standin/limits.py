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
    """`limit` holds for everybody, and `status` (403 or 429) says that nothing is left of it.

    Requests that are answered with 304 are free.
    """

    def __init__(self, clock: Clock) -> None:
        self.limit = 5000
        self.status = 403
        self._clock = clock
        self._buckets: dict[object, Bucket] = {}

    def spend(self, viewer: Viewer) -> None:
        self._bucket(viewer).used += 1

    def exhausted(self, viewer: Viewer) -> bool:
        return self._bucket(viewer).used >= self.limit

    def exhaust(self, **within: float) -> None:
        """Nobody has a request left, for `minutes=30` or the like."""
        reset = self._clock.now() + timedelta(**within)
        for bucket in self._buckets.values():
            bucket.used, bucket.reset = self.limit, reset

    def shown(self, viewer: Viewer) -> dict[str, int]:
        bucket = self._bucket(viewer)
        return {
            "limit": self.limit,
            "remaining": max(self.limit - bucket.used, 0),
            "reset": int(bucket.reset.timestamp()),
            "used": bucket.used,
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
