"""How the in-memory drivers and the in-memory code host fail when a test tells them to."""

from __future__ import annotations

import asyncio
from collections import deque
from enum import StrEnum


class Misbehaviour(StrEnum):
    """What a call does wrong."""

    SLOW = "slow"
    """The call does not go on until `go_on()`; `reached(call)` waits until it hangs there."""
    UNAVAILABLE = "unavailable"
    """The call changes nothing and raises Unavailable."""
    HALFWAY = "halfway"
    """The call does its work, a driver's only a part of it, then raises Unavailable."""
    BROKEN = "broken"
    """Drivers only: the call changes nothing and raises StageFailed."""
    LYING = "lying"
    """Drivers only: the call returns as if all were well, and did nothing."""
    NEVER_READY = "never ready"
    """Runtime.ensure only: the process runs and never listens."""
    EXITS = "exits"
    """Runtime.ensure only: the web process ends at once with exit code 1."""
    LIMITED = "limited"
    """Code hosts only: as UNAVAILABLE, with the seconds to wait in `limit`."""
    REFUSED = "refused"
    """Code hosts only: the call changes nothing and raises Refused, as for a missing permission."""


class Misbehaving:
    """Keeps the names of the calls it got in `calls`, and what each is to do wrong."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._faults: dict[str, deque[Misbehaviour]] = {}
        self._always: dict[str, Misbehaviour] = {}
        self._gate = asyncio.Event()
        self._hanging: dict[str, asyncio.Event] = {}

    def misbehave(self, how: Misbehaviour, *, call: str, times: int | None = None) -> None:
        """From now on `call` misbehaves: the next `times` times, or until `behave()`."""
        if how is Misbehaviour.SLOW:
            self._gate.clear()
        if times is None:
            self._always[call] = how
        else:
            self._faults.setdefault(call, deque()).extend([how] * times)

    def behave(self) -> None:
        """Ends all misbehaviour; calls that hang go on."""
        self._faults.clear()
        self._always.clear()
        self.go_on()

    def go_on(self) -> None:
        """Lets every call that hangs, and every later slow one, go on."""
        self._gate.set()

    async def reached(self, call: str) -> None:
        """Returns when a slow `call` hangs."""
        await self._hanging.setdefault(call, asyncio.Event()).wait()

    async def _called(self, call: str) -> Misbehaviour | None:
        """What this call is to do wrong; a slow one has been let go on."""
        self.calls.append(call)
        pending = self._faults.get(call)
        fault = pending.popleft() if pending else self._always.get(call)
        if fault is Misbehaviour.SLOW:
            self._hanging.setdefault(call, asyncio.Event()).set()
            await self._gate.wait()
        return fault
