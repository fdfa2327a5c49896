"""A PreviewDrop server that puts previews in containers, and what of it is on the Engine."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.docker_engine import Engine
from benchmarks.server import Server, running
from previewdrop.config.home import Home

_PREVIEW = "previewdrop.preview"


class DockerServer:
    """`api` is the server, `engine` the one that it uses."""

    def __init__(self, api: Server) -> None:
        self.api = api
        self.engine = Engine()

    def left(self) -> list[str]:
        """What the Engine has of previews."""
        services = {f"/previewdrop-{self._installation}-{role}" for role in ("db", "cache")}
        kept = {each[1:] for each in services} | {f"previewdrop-{self._installation}-services"}
        return [each for each in self.engine.left(self._label) if each not in services | kept]

    def memory(self) -> tuple[list[int], int]:
        """Bytes of each preview's containers, and of the two services."""
        previews: dict[str, int] = {}
        services = 0
        for each in self.engine.containers(self._label):
            size = self.engine.memory(each["Id"])
            if preview := each["Labels"].get(_PREVIEW):
                previews[preview] = previews.get(preview, 0) + size
            else:
                services += size
        return list(previews.values()), services

    def webs(self, preview: str) -> list[dict[str, Any]]:
        """A preview's web containers: while it is switched there are two."""
        found = self.engine.containers(self._label)
        mine = [each for each in found if each["Labels"].get(_PREVIEW) == preview]
        return [each for each in mine if each["Labels"].get("previewdrop.role") == "web"]

    def address(self, preview: str) -> str:
        """`http://10.213.0.4:3000` of a preview's web container."""
        for each in self.webs(preview):
            found = self.engine.inspect(each["Id"])
            environment: list[str] = found["Config"]["Env"]
            port = dict(pair.split("=", 1) for pair in environment)["PORT"]
            networks: dict[str, Any] = found["NetworkSettings"]["Networks"]
            return f"http://{next(iter(networks.values()))['IPAddress']}:{port}"
        raise RuntimeError(f"{preview} has no container")

    @property
    def _installation(self) -> str:
        return Home(self.api.home).installation

    @property
    def _label(self) -> str:
        return f"previewdrop.installation={self._installation}"


@contextmanager
def docker_running(home: Path) -> Generator[DockerServer]:
    """A server with docker; at the end nothing of it is on the Engine any more."""
    try:
        with running(home, "docker") as api:
            yield DockerServer(api)
    finally:
        Engine().forget(f"previewdrop.installation={Home(home).installation}")
