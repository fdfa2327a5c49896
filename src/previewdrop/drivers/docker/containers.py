"""The containers of deployments: made, found by label, observed, stopped and removed."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Coroutine, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from previewdrop.domain.errors import PreviewDropError, StageFailed
from previewdrop.domain.spec import MIB
from previewdrop.drivers.base import ObservedProcess, ProcessState
from previewdrop.drivers.docker import labels
from previewdrop.drivers.docker.commands import Json
from previewdrop.drivers.docker.engine import Engine, Refused
from previewdrop.drivers.together import all_of

_KILLED = 137
_HIGHEST_SIGNAL = 64
_REMOVED_WITHIN = 60.0

T = TypeVar("T")


class Containers:
    """What runs on the Engine for one installation's deployments."""

    def __init__(self, engine: Engine, installation: str) -> None:
        self._engine = engine
        self._installation = installation

    def name(self, deployment: int, role: str) -> str:
        return labels.name_of(self._installation, deployment, role)

    async def of(self, deployment: int) -> list[Json]:
        """Summaries of a deployment's containers, those that ended too, in order of their names."""
        return await self._list({labels.DEPLOYMENT: deployment})

    async def of_preview(self, preview: str) -> list[Json]:
        return await self._list({labels.PREVIEW: preview})

    async def all(self) -> list[Json]:
        """Those of all deployments; services have no deployment."""
        return await self._list({})

    async def inspect(self, name: str) -> Json | None:
        return await self._engine.get(f"/containers/{name}/json")

    async def ensure(self, name: str, body: Json) -> None:
        """The container runs; one that ended is started again, or made anew if it was another."""
        there = await self.inspect(name)
        known: dict[str, str] = there["Config"]["Labels"] if there else {}
        if there and known.get(labels.INSTALLATION) != self._installation:
            raise StageFailed(
                f"The Docker Engine has a container {name} already that PreviewDrop did not make.",
                "Rename it, or remove it.",
            )
        if there and there["State"]["Running"]:
            return
        if there and known.get(labels.FINGERPRINT) != body["Labels"][labels.FINGERPRINT]:
            await self.remove([name])
            there = None
        if there is None:
            await self.make(name, body)
        await self.start(name)

    async def make(self, name: str, body: Json) -> None:
        """Made, but not started. A cancelled call has made it all the same when it returns."""
        try:
            await _to_the_end(self._engine.post("/containers/create", body, {"name": name}))
        except Refused as error:
            if error.answer == HTTPStatus.CONFLICT:
                return
            if error.answer == HTTPStatus.NOT_FOUND and "image" in error.reason.lower():
                raise StageFailed(
                    "The image of this deployment is gone from the Docker Engine.",
                    "Redeploy, and it is built again.",
                ) from error
            raise

    async def start(self, name: str) -> None:
        try:
            await _to_the_end(self._engine.post(f"/containers/{name}/start"))
        except Refused as error:
            raise start_failure(error) from error

    async def stop(self, found: Sequence[Json], grace: float) -> None:
        """SIGTERM, or what the image wants instead; SIGKILL after `grace`, in whole seconds."""
        seconds = math.ceil(grace)

        async def stop(container: Json) -> None:
            place = f"/containers/{container['Id']}/stop"
            try:
                await self._engine.post(place, query={"t": seconds}, timeout=seconds + 60)
            except Refused as error:
                if error.answer != HTTPStatus.NOT_FOUND:
                    raise

        await all_of(*(stop(each) for each in found if each["State"] != "exited"))

    async def remove(self, names: Sequence[str]) -> None:
        """Gone at once, with what they wrote; returns when none is left."""
        await all_of(*(self._remove(name) for name in names))

    async def end(self, name: str) -> Json | None:
        """The container as it was inspected at its end; None when it is gone.

        Waits for the next end, also of a container that the Engine starts again. The Engine has
        begun to wait when its answer begins, so an end after that is not missed.
        """
        query = {"condition": "next-exit"}
        place = f"/containers/{name}/wait"
        try:
            async with self._engine.stream("POST", place, query=query) as answer:
                now = await self.inspect(name)
                if now is None or not now["State"]["Running"]:
                    return now
                code = json.loads(await answer.aread())["StatusCode"]
        except Refused as error:
            if error.answer == HTTPStatus.NOT_FOUND:
                return None
            raise
        now = await self.inspect(name)
        if now is not None and now["State"]["Running"]:
            now["State"] |= {"Running": False, "ExitCode": code}
        return now

    async def _remove(self, name: str) -> None:
        """Another removal of the same container may be under way: its end is waited for."""
        try:
            await self._engine.delete(f"/containers/{name}", {"force": True, "v": True})
        except Refused as error:
            if error.answer != HTTPStatus.CONFLICT:
                raise
            async with asyncio.timeout(_REMOVED_WITHIN):
                while await self.inspect(name) is not None:  # noqa: ASYNC110 - no event to wait on
                    await asyncio.sleep(0.05)

    async def _list(self, wanted: dict[str, object]) -> list[Json]:
        """Whoever runs an image made of a preview's has its labels too, but not our names."""
        filters = labels.selecting(self._installation, wanted)
        found: list[Json] = await self._engine.get(
            "/containers/json", {"all": True, "filters": filters}
        )
        ours = "/" + labels.name_of(self._installation, "")
        deployed = [
            each
            for each in found
            if labels.DEPLOYMENT in each["Labels"] and each["Names"][0].startswith(ours)
        ]
        return sorted(deployed, key=lambda each: each["Names"][0])


def observed(role: str, inspected: Json | None) -> ObservedProcess:
    """A container as `GET /containers/{id}/json` describes it."""
    if inspected is None:
        return ObservedProcess(role, ProcessState.MISSING)
    state: dict[str, Any] = inspected["State"]
    if state["Running"] and not state["Restarting"]:
        return ObservedProcess(role, ProcessState.RUNNING)
    code = int(state["ExitCode"])
    reason = None
    if state["OOMKilled"]:
        limit = int(inspected["HostConfig"]["Memory"]) // MIB
        reason = f"killed for memory, limit {limit} MiB"
        code = _KILLED
    if _KILLED - 9 < code <= _KILLED - 9 + _HIGHEST_SIGNAL:
        code = _KILLED - 9 - code
    return ObservedProcess(role, ProcessState.EXITED, code, reason)


def start_failure(error: Refused, *, command: bool = False) -> PreviewDropError:
    """Why a container, or a `command` in one, cannot be started, for whoever wrote its image."""
    reason = error.reason
    if "/bin/sh" in reason and ("no such file" in reason or "not found" in reason):
        return StageFailed(
            "The image has no shell, and the command needs /bin/sh.",
            "Use a base image that has one, or drop release, post_deploy and [processes].",
        )
    if "executable file not found" in reason or "no such file or directory" in reason:
        program = reason.partition('exec: "')[2].partition('"')[0]
        return StageFailed(
            f"The image has no program {program or 'of its CMD'}.",
            f"Correct {'the command' if command else 'CMD or ENTRYPOINT in the Dockerfile'}, "
            f"or install the program {'in the Dockerfile' if command else 'there'}.",
        )
    if "permission denied" in reason:
        return StageFailed(
            f"The image's command may not be executed: {reason}.",
            "Make the file executable in the Dockerfile: `RUN chmod +x …`.",
        )
    if "exec format error" in reason:
        return StageFailed(
            "The image was built for another kind of processor than this server's.",
            "Drop --platform from the Dockerfile, or build for the server's platform.",
        )
    return error


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """The Engine finishes what was asked for even if nobody waits, so a cancellation waits too."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
