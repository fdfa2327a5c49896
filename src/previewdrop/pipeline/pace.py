"""How fast one code host is written to: within its limits, what matters most first."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from enum import Enum

_LIMITS = ((60.0, 70), (3600.0, 450))
"""Seconds, and writes within them. GitHub takes 80 and 500; the rest is for answers to commands.
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"""


class Rank(Enum):
    """What a report is about: which part of the limits it may use up, and seconds of patience."""

    RESULT = 1.0, 1.0
    """Ready, failed, removed."""
    PROGRESS = 0.75, 5.0
    """A deployment on its way, or a question whether there may be one."""
    WAITING = 0.5, 60.0
    """What has not begun: there may be hundreds, and not all should look again at once."""


class Pace:
    """Counts what was written within the last hour. `clock` counts seconds, from whenever on.

    It begins at nothing with each server: a host that minds says so itself.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written: deque[float] = deque()

    def wait(self, writes: int, rank: Rank) -> float:
        """Nothing if so many may be made now, which counts; else seconds to ask again after."""
        if not writes:
            return 0.0
        now, (part, patience) = self._clock(), rank.value
        longest = max(seconds for seconds, _ in _LIMITS)
        while self._written and self._written[0] <= now - longest:
            self._written.popleft()
        wait = max(
            self._until(now, seconds, int(most * part) - writes) for seconds, most in _LIMITS
        )
        if wait > 0:
            return max(wait, patience)
        self._written.extend([now] * writes)
        return 0.0

    def unwritten(self, writes: int) -> None:
        """So many of the last ones were not made after all: they count no more."""
        for _ in range(min(writes, len(self._written))):
            self._written.pop()

    def _until(self, now: float, seconds: float, room: int) -> float:
        """Seconds until no more than `room` writes are as young as `seconds`."""
        young = [at for at in self._written if at > now - seconds]
        over = len(young) - room
        return young[over - 1] + seconds - now if over > 0 else 0.0
