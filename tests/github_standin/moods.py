"""How GitHub is today: slow, down, out of patience with us, or waiting for a test to let it on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch

from github_standin.calls import Answer, Refusal


@dataclass(eq=False, slots=True)
class Mood:
    """Holds for operations whose id matches `only`, for `times` requests, None for all.

    `seconds` pass before the request is looked at; `answer` is given instead of the real one;
    `lost` does what is asked and gives the answer all the same.
    """

    only: str
    times: int | None
    seconds: float = 0.0
    answer: Callable[[], Answer] | None = None
    lost: bool = False
    gate: Gate | None = None


@dataclass(eq=False)
class Gate:
    """Requests wait at it. `arrived` is how many did."""

    arrived: int = 0
    _open: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def open(self) -> None:
        self._open.set()

    def wait_for(self, count: int = 1, timeout: float = 60) -> None:
        """Returns when so many requests have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.arrived >= count, timeout), self.arrived

    def pass_through(self) -> None:
        """A request arrives and waits."""
        with self._changed:
            self.arrived += 1
            self._changed.notify_all()
        assert self._open.wait(300), "a test forgot to open its gate"


class Moods:
    """Each call adds a mood; `clear` ends them all. Ids are such as `issues/create-comment`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moods: list[Mood] = []

    def slow(self, seconds: float, only: str = "*", times: int | None = None) -> None:
        self._add(Mood(only, times, seconds=seconds))

    def hold(self, only: str = "*", times: int | None = None) -> Gate:
        """Requests wait until the gate is opened."""
        gate = Gate()
        self._add(Mood(only, times, gate=gate))
        return gate

    def down(self, status: int = 502, only: str = "*", times: int | None = None) -> None:
        """Answers with an error of a proxy."""
        body = {"message": "Server Error", "status": str(status)}
        self._add(Mood(only, times, answer=lambda: Answer(status, body)))

    def lose_answers(self, status: int = 502, only: str = "*", times: int | None = None) -> None:
        """Does what is asked, and then answers with an error."""
        body = {"message": "Server Error", "status": str(status)}
        self._add(Mood(only, times, answer=lambda: Answer(status, body), lost=True))

    def refuse(self, status: int, message: str, only: str = "*", times: int | None = None) -> None:
        """Any error that GitHub could give."""
        self._add(Mood(only, times, answer=lambda: Refusal(status, message).answer))

    def secondary_limit(
        self, retry_after: int | None = 60, only: str = "*", times: int | None = None
    ) -> None:
        """Thinks that we write too much too fast."""
        more = {} if retry_after is None else {"Retry_After": str(retry_after)}
        message = (
            "You have exceeded a secondary rate limit. Please wait a few minutes before you try "
            "again."
        )
        self._add(Mood(only, times, answer=lambda: Refusal(403, message, **more).answer))

    def clear(self) -> None:
        with self._lock:
            for mood in self._moods:
                if mood.gate is not None:
                    mood.gate.open()
            self._moods.clear()

    def take(self, operation: str) -> list[Mood]:
        """The moods that a request of this operation meets."""
        with self._lock:
            met = [each for each in self._moods if fnmatch(operation, each.only)]
            for mood in met:
                if mood.times is not None:
                    mood.times -= 1
            self._moods = [each for each in self._moods if each.times != 0]
            return met

    def _add(self, mood: Mood) -> None:
        with self._lock:
            self._moods.append(mood)
