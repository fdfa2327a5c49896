"""One container that stands under a name of its own, whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from previewdrop.drivers.docker import labels
from previewdrop.drivers.docker.engine import Engine, Refused
from previewdrop.drivers.docker.frames import framed

Inspected = Mapping[str, Any]
"""The Engine's `GET /containers/{id}/json`."""

_USUAL_STOP = 10
_STOP_SLACK = 30.0
_DOWN = ("created", "exited", "dead")


class StandingContainer:
    """The container `name` of an Engine, whose errors come through."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._engine = engine

    async def inspect(self) -> Inspected | None:
        return await self._engine.get(f"/containers/{self.name}/json")

    async def create(self, body: Mapping[str, Any]) -> None:
        await self._engine.post("/containers/create", body, {"name": self.name})

    async def start(self) -> None:
        await self._engine.post(f"/containers/{self.name}/start")

    async def stop(self) -> None:
        """Its own signal, its own patience, SIGKILL; nothing for one that does not run."""
        found = await self.inspect()
        if found is None or found["State"]["Status"] in _DOWN:
            return
        within = found["Config"].get("StopTimeout") or _USUAL_STOP
        try:
            if found["State"]["Status"] == "paused":
                await self._engine.post(f"/containers/{self.name}/unpause")
            await self._engine.post(f"/containers/{self.name}/stop", timeout=within + _STOP_SLACK)
        except Refused as error:
            if error.answer != HTTPStatus.NOT_FOUND:
                raise

    async def delete(self) -> None:
        """Gone at once, with the volumes without a name that its image asked for."""
        await self._engine.delete(f"/containers/{self.name}", {"v": True, "force": True})

    async def tail(self, lines: int) -> list[str]:
        """The last lines that it wrote."""
        query = {"stdout": True, "stderr": True, "tail": lines}
        path = f"/containers/{self.name}/logs"
        async with self._engine.stream("GET", path, query=query) as answer:
            output = b"".join([each async for _, each in framed(answer.aiter_bytes())])
        return output.decode(errors="replace").strip().splitlines()[-lines:]


def is_running(found: Inspected) -> bool:
    return found["State"]["Status"] == "running"


def life_of(found: Inspected | None) -> tuple[str, str] | None:
    """One run of one container: another start is another life."""
    return (found["Id"], found["State"]["StartedAt"]) if found else None


def is_of(found: Inspected, installation: str) -> bool:
    return labels_of(found).get(labels.INSTALLATION) == installation


def is_as(found: Inspected, image: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether the container is what would be made of that image and body now."""
    same = labels_of(found).get(labels.FINGERPRINT) == body["Labels"][labels.FINGERPRINT]
    return same and found["Image"] == image["Id"] and found["State"]["Status"] != "dead"


def labels_of(found: Inspected) -> Mapping[str, str]:
    return found["Config"].get("Labels") or {}
