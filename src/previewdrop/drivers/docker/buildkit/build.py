"""One BuildKit build through the Engine's own API, without any client of Docker's.

https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Image/operation/ImageBuild
"""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from previewdrop.domain.errors import PreviewDropError, StageFailed, Unavailable
from previewdrop.domain.secret import Redactor
from previewdrop.drivers.base import LogLine
from previewdrop.drivers.docker.buildkit import failures, session, steps
from previewdrop.drivers.docker.buildkit.failures import Told
from previewdrop.drivers.docker.buildkit.limits import Bounds
from previewdrop.drivers.docker.buildkit.logins import Logins
from previewdrop.drivers.docker.buildkit.order import Order, query, tagging
from previewdrop.drivers.docker.buildkit.progress import Failure, Progress
from previewdrop.drivers.docker.buildkit.steps import Watch
from previewdrop.drivers.docker.engine import Engine

_TRACE = "moby.buildkit.trace"
_IMAGE = "moby.image.id"
_STOP_WITHIN = 10.0
_KILL_AFTER = 1.0
_KILL_EVERY = 0.2
_HEADERS = {"Content-Type": "application/x-tar"}


@dataclass(frozen=True, slots=True)
class Built:
    """The image's id (`sha256:…`), and how many steps of its Dockerfile ran or were there."""

    image: str
    executed: int
    cached: int


async def build(
    engine: Engine,
    order: Order,
    context: AsyncIterator[bytes],
    log: LogLine,
    logins: Logins | None = None,
) -> Built:
    """Builds the image of a tar and names it; `log` gets redacted lines of plain text.

    StageFailed when the repository's author can mend it, or after `order.timeout`; Unavailable
    when the Engine or a registry did not answer. A build that is cancelled or out of time is
    stopped with every process of its steps before this returns, and names no image.
    `logins` are those of the user's `docker login` unless given.
    """
    run = _Run(engine, order, log)
    limit = asyncio.timeout(order.timeout)
    try:
        async with limit:
            image = await run.through(context, logins or Logins())
    except TimeoutError as error:
        if not limit.expired():
            raise
        step = run.progress.running
        at = f" It was at {run.redact(step)}." if step else ""
        raise StageFailed(
            f"The build took longer than {order.timeout:g} s.{at}",
            "Let more of the Dockerfile be cached, or raise PREVIEWDROP_BUILD_TIMEOUT.",
            log_tail=run.tail,
        ) from error
    for name in order.tags[1:]:
        await engine.post(f"/images/{image}/tag", query=tagging(name))
    return Built(image, run.progress.executed, run.progress.cached)


class _Run:
    """One build under way."""

    def __init__(self, engine: Engine, order: Order, log: LogLine) -> None:
        self.progress = Progress()
        self._engine = engine
        self._order = order
        self._log = log
        self.redact = Redactor(order.secrets.values())
        self._id = uuid.uuid4().hex
        self._uploaded = False
        self._image: str | None = None
        self._error: str | None = None
        self._watch: Watch | None = None

    @property
    def tail(self) -> tuple[str, ...]:
        failure = self._failure()
        return failure.tail if failure else tuple(map(self.redact, self.progress.tail))

    def _failure(self) -> Failure | None:
        if (failed := self.progress.failure) is None:
            return None
        tail = tuple(map(self.redact, failed.tail))
        return Failure(self.redact(failed.name), self.redact(failed.error), tail)

    async def through(self, context: AsyncIterator[bytes], logins: Logins) -> str:
        """Builds to the end and returns the image's id."""
        async with AsyncExitStack() as stack:
            name = await stack.enter_async_context(
                session.opened(self._engine, self._order.secrets, logins)
            )
            mark = steps.mark()
            self._watch = await self._watched(stack, mark)
            await self._follow(context, query(self._order, self._id, name, mark))
        if self._error is not None:
            raise self._explained(self._error)
        if self._image is None:
            raise Unavailable(
                "The Docker Engine broke the build off.",
                "It is tried again; `journalctl -u docker` tells whether it was restarted.",
            )
        return self._image

    async def _watched(self, stack: AsyncExitStack, mark: IPv6Address) -> Watch | None:
        bounds = self._order.bounds
        if folder := await steps.folder_of(self._engine):
            watched = steps.watched(folder, mark, bounds or Bounds())
            return await stack.enter_async_context(watched)
        if bounds:
            self._log(
                "warning: RUN is not bounded, as the Engine's folder cannot be seen from here"
            )
        return None

    async def _follow(self, context: AsyncIterator[bytes], asked: dict[str, object]) -> None:
        """Reads the answer in a task of its own, so that it can be read on while it is stopped."""
        reading = asyncio.create_task(self._read(context, asked), name=f"build {self._id}")
        try:
            await asyncio.wait({reading})
        except asyncio.CancelledError:
            await self._stop(reading)
            raise
        await reading

    async def _read(self, context: AsyncIterator[bytes], asked: dict[str, object]) -> None:
        async with aclosing(self._upload(context)) as body:
            answering = self._engine.stream(
                "POST", "/build", query=asked, content=body, headers=_HEADERS
            )
            async with answering as answer:
                async for line in answer.aiter_lines():
                    if line:
                        self._hear(line)

    async def _upload(self, context: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        async for chunk in context:
            yield chunk
        self._uploaded = True

    def _hear(self, line: str) -> None:
        try:
            said: dict[str, Any] = json.loads(line)
            record = base64.b64decode(said["aux"]) if said.get("id") == _TRACE else b""
            told = list(self.progress.feed(record))
        except (ValueError, TypeError) as error:
            raise Unavailable(f"The Docker Engine sent what is no record: {error}.") from error
        for each in told:
            self._log(self.redact(each))
        if "error" in said:
            self._error = str(said["error"])
        elif said.get("id") == _IMAGE:
            self._image = str(said["aux"]["ID"])

    async def _stop(self, reading: asyncio.Task[None]) -> None:
        """Stops the build; the Engine ends its answer when the last step is gone.

        BuildKit loses a cancellation that meets a step just as it starts, up to today's
        (`nothing to kill` in executor/runcexecutor/executor.go): such a step is ended here.
        """
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await self._engine.post("/build/cancel", query={"id": self._id})
                if self._uploaded:
                    await self._ended(reading)
        except (TimeoutError, PreviewDropError) as error:
            self._log(f"warning: a step of the build may run on ({type(error).__name__})")
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _ended(self, reading: asyncio.Task[None]) -> None:
        await asyncio.wait({reading}, timeout=_KILL_AFTER)
        while not reading.done():
            if self._watch:
                self._watch.kill()
            await asyncio.wait({reading}, timeout=_KILL_EVERY)

    def _explained(self, error: str) -> PreviewDropError:
        explained = failures.explain(
            Told(
                self.redact(error),
                self._failure(),
                self._order.dockerfile,
                killed=self._watch is not None and self._watch.killed,
            )
        )
        if isinstance(explained, StageFailed):
            explained.log_tail = self.tail
        return explained
