"""The journal of a deployment: its stages with their times, and its log, redacted and bounded."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.preview import StageName, StageState
from previewdrop.domain.secret import Redactor, Secret

log = logging.getLogger(__name__)

TAIL_LINES = 20
_LONGEST_LINE = 8192
_COALESCE = 0.04


class Recorder(Protocol):
    """Where a journal is kept: `Deployments.record`."""

    async def record(
        self,
        deployment_id: int,
        stages: list[dict[str, Any]],
        notes: list[str],
        lines: list[tuple[str, str]],
    ) -> None: ...


@dataclass(slots=True)
class Stage:
    """One timed step. Whoever works in it may set `cached`, `note` and `state` (to skipped)."""

    name: StageName
    log: Callable[[str], None]
    state: StageState = StageState.RUNNING
    seconds: float | None = None
    cached: bool = False
    note: str | None = None
    tail: deque[str] = field(default_factory=lambda: deque[str](maxlen=TAIL_LINES))

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name.value,
            "state": self.state.value,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "cached": self.cached,
            "note": self.note,
        }


class Journal:
    """Keeps what happens in memory and writes it down beside the work, never in its way."""

    def __init__(
        self, recorder: Recorder, deployment_id: int, secrets: Iterable[Secret], log_bytes: int
    ) -> None:
        self._recorder = recorder
        self._deployment_id = deployment_id
        self._redactor: Callable[[str], str] = Redactor(secrets)
        self._room = log_bytes
        self._stages: list[Stage] = []
        self._notes: list[str] = []
        self._lines: list[tuple[str, str]] = []
        self._dirty = asyncio.Event()
        self._closed = False
        self._writer = asyncio.create_task(self._write(), name=f"journal {deployment_id}")
        self.broken: Stage | None = None

    @asynccontextmanager
    async def stage(self, name: StageName) -> AsyncGenerator[Stage]:
        """Times the block. An exception marks the stage failed, a cancellation cancelled."""
        stage = Stage(name, lambda line: self._line(stage, line))
        self._stages.append(stage)
        self._dirty.set()
        began = time.perf_counter()
        try:
            yield stage
            if stage.state is StageState.RUNNING:
                stage.state = StageState.DONE
        except asyncio.CancelledError:
            stage.state = StageState.CANCELLED
            raise
        except Exception:
            stage.state = StageState.FAILED
            self.broken = self.broken or stage
            raise
        finally:
            stage.seconds = time.perf_counter() - began
            stage.note = self._redactor(stage.note) if stage.note else None
            self._dirty.set()

    def note(self, text: str) -> None:
        """A sentence for people about the whole deployment."""
        self._notes.append(self._redactor(text))
        self._dirty.set()

    def redact(self, secrets: Iterable[Secret]) -> None:
        """From now on these are redacted too."""
        former, more = self._redactor, Redactor(secrets)
        self._redactor = lambda text: former(more(text))

    def redacted(self, text: str) -> str:
        return self._redactor(text)

    async def close(self) -> None:
        """Returns when everything is written down."""
        self._closed = True
        self._dirty.set()
        await self._writer

    def _line(self, stage: Stage, text: str) -> None:
        text = self._redactor(text)[:_LONGEST_LINE]
        stage.tail.append(text)
        if self._room <= 0:
            return
        self._room -= len(text) + 1
        if self._room <= 0:
            text = "… the log is full; what follows is not kept"
        self._lines.append((stage.name.value, text))
        self._dirty.set()

    async def _write(self) -> None:
        while True:
            await self._dirty.wait()
            if not self._closed:
                await asyncio.sleep(_COALESCE)
            self._dirty.clear()
            lines, self._lines = self._lines, []
            stages = [stage.as_json() for stage in self._stages]
            try:
                await self._recorder.record(self._deployment_id, stages, [*self._notes], lines)
            except Unavailable as error:
                log.warning("journal %s: %s", self._deployment_id, error.message)
                self._lines = lines + self._lines
                if self._closed:
                    return
                await asyncio.sleep(1)
                self._dirty.set()
            except Exception:
                log.exception("journal %s lost %s lines", self._deployment_id, len(lines))
            if self._closed and not self._lines and not self._dirty.is_set():
                return
