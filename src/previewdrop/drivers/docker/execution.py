"""Commands beside the app: in its own container where it runs, else in one of their own."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable

from previewdrop.domain.errors import Unavailable
from previewdrop.domain.spec import Process, RunSpec
from previewdrop.drivers import marks
from previewdrop.drivers.base import LogLine
from previewdrop.drivers.docker import commands, labels
from previewdrop.drivers.docker.commands import Json, Place, Walls
from previewdrop.drivers.docker.containers import Containers, start_failure
from previewdrop.drivers.docker.engine import Engine, Refused
from previewdrop.drivers.docker.frames import Output, framed
from previewdrop.drivers.output import Lines

_NOT_STARTED = b"OCI runtime exec failed: "
"""What the Engine prints in place of a command that it could not start."""

_ENDED_WITHIN = 20.0
_LOOKS, _BETWEEN_LOOKS = 20, 0.05


class Executions:
    """Runs commands to their end. Whatever ends them, what they started ends with them.

    The Engine cannot stop what it executes in a running container. We do, by the mark that the
    command's processes carry; what takes it off stays in the app's container, and goes with that.
    For this we must be root, and where we are not, each command gets a container of its own
    beside the app.
    """

    def __init__(self, engine: Engine, containers: Containers) -> None:
        self._engine = engine
        self._containers = containers
        self._root = os.geteuid() == 0

    async def inside(self, container: str, spec: RunSpec, command: Process, output: Output) -> int:
        """Runs the command in the app's container; its exit code."""
        mark = f"{commands.mark_of(spec, labels.COMMAND)}-{secrets.token_hex(4)}"
        body = commands.execution(command, mark)
        made: Json = await self._engine.post(f"/containers/{container}/exec", body)
        place = f"/exec/{made['Id']}"
        try:
            start = {"Detach": False, "Tty": False}
            async with self._engine.stream("POST", f"{place}/start", start) as answer:
                async for stream, payload in framed(answer.aiter_raw()):
                    if payload.startswith(_NOT_STARTED):
                        said = payload.decode(errors="replace").strip()
                        raise start_failure(Refused(400, said), command=True)
                    output.feed(stream, payload)
            ended: Json = await self._engine.get(f"{place}/json")
            return int(ended["ExitCode"])
        except Refused as error:
            raise start_failure(error, command=True) from error
        finally:
            await asyncio.shield(self._end(place, mark))

    async def end_all(self, installation: str) -> None:
        """Ends commands that a former server left behind in containers that run on."""
        marked = await asyncio.to_thread(marks.marked, f"{installation}-")
        left = {mark for mark in marked.values() if f".{labels.COMMAND}-" in mark}
        for mark in left:
            await _kill(mark)

    async def _end(self, place: str, mark: str) -> None:
        """Ends the command, also one that the Engine is only about to start."""
        for _ in range(_LOOKS):
            await _kill(mark)
            now: Json | None = await self._engine.get(f"{place}/json")
            if now is None or not (now["Running"] or now["ExitCode"] is None):
                return
            await asyncio.sleep(_BETWEEN_LOOKS)

    async def apart(
        self, spec: RunSpec, command: Process, place: Place, walls: Walls, output: Output
    ) -> int:
        """Runs the command in a container of its own, which is gone afterwards."""
        body = commands.container(spec, command, labels.COMMAND, place, walls)
        name = self._containers.name(spec.deployment, f"{labels.COMMAND}-{secrets.token_hex(4)}")
        try:
            await self._containers.make(name, body)
            query = {"stream": True, "stdout": True, "stderr": True}
            async with self._engine.stream(
                "POST", f"/containers/{name}/attach", query=query
            ) as out:
                await self._containers.start(name)
                async for stream, payload in framed(out.aiter_raw()):
                    output.feed(stream, payload)
            ended = await self._containers.end(name)
            return int(ended["State"]["ExitCode"]) if ended else 137
        finally:
            await asyncio.shield(self._containers.remove([name]))

    @property
    def may_end_what_runs(self) -> bool:
        """Whether a command inside the app's container can be stopped."""
        return self._root


async def _kill(mark: str) -> None:
    """Kills every process that carries the mark and returns when none is left.

    Unavailable when they make others faster than they are killed.
    """
    try:
        async with asyncio.timeout(_ENDED_WITHIN):
            while left := await asyncio.to_thread(marks.marked, mark):
                marks.kill(left)
                await asyncio.gather(*(marks.gone(pid) for pid in left))
    except TimeoutError as error:
        raise Unavailable("A command's processes cannot be ended.") from error


async def logged(
    work: Callable[[Output], Awaitable[int]], log: LogLine, limit: int, timeout: float
) -> int:
    """The exit code of `work`, whose output goes to `log`; TimeoutError after `timeout` seconds."""
    output = Output(Lines(log, limit))
    try:
        async with asyncio.timeout(timeout):
            return await work(output)
    finally:
        output.close()
