"""GitHub's own time, which tests may set forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """Runs as this machine's does, ahead by what tests have added."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """To the second, as GitHub tells it."""
        return (datetime.now(UTC) + self._ahead).replace(microsecond=0)

    def advance(self, **by: float) -> None:
        """Forward by `hours=1` or the like: tokens expire, limits are reset."""
        self._ahead += timedelta(**by)


def iso(time: datetime | None) -> str | None:
    """As GitHub writes it."""
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")
