"""What no preview owns is removed by its label; what is somebody else's is never touched."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psycopg

from docker_images import build
from e2e.containers import PYTHON, admin_url, app, containers_of, docker_served, engine
from e2e.data import rows
from e2e.repository import Branches
from e2e.server import Server, using
from previewdrop.drivers.docker.engine import Engine

OTHERS = "0123456789"
"""An installation that is not ours."""


def labels(installation: str, deployment: int, preview: str) -> dict[str, str]:
    return {
        "previewdrop.installation": installation,
        "previewdrop.preview": preview,
        "previewdrop.deployment": str(deployment),
        "previewdrop.role": "web",
    }


def names_of(installation: str) -> tuple[str, str]:
    """What the server itself would call a container and an image."""
    return f"previewdrop-{installation}-999-web", f"previewdrop-{installation}/swept:ghost"


class Things:
    """A container on a network, an image and a volume with the same labels, removed at the end."""

    def __init__(self, docker: Engine, name: str, labels: dict[str, str], image: str) -> None:
        self.name = name
        self._docker = docker
        self._labels = labels
        self._image = image

    async def make(self) -> None:
        text = "".join(f"LABEL {name}={value}\n" for name, value in self._labels.items())
        await asyncio.to_thread(build, self._image, {}, f"FROM {PYTHON}\n{text}")
        network = {"Name": self.name, "Labels": self._labels}
        await self._docker.post("/networks/create", network)
        await self._docker.post("/volumes/create", {"Name": self.name, "Labels": self._labels})
        body = {
            "Image": self._image,
            "Cmd": ["sleep", "1000"],
            "Labels": self._labels,
            "HostConfig": {"NetworkMode": self.name, "Init": True, "Binds": [f"{self.name}:/data"]},
        }
        await self._docker.post("/containers/create", body, {"name": self.name})
        await self._docker.post(f"/containers/{self.name}/start")

    async def there(self) -> list[str]:
        """What of it there still is; the container counts while it runs."""
        places = {
            "container": f"/containers/{self.name}/json",
            "network": f"/networks/{self.name}",
            "image": f"/images/{self._image}/json",
            "volume": f"/volumes/{self.name}",
        }
        found = {kind: await self._docker.get(place) for kind, place in places.items()}
        if found["container"] and not found["container"]["State"]["Running"]:
            del found["container"]
        return [kind for kind, one in found.items() if one is not None]

    async def remove(self) -> None:
        await self._docker.delete(f"/containers/{self.name}", {"force": True, "v": True})
        await self._docker.delete(f"/networks/{self.name}")
        await self._docker.delete(f"/volumes/{self.name}")
        await self._docker.delete(f"/images/{self._image}", {"force": True})


@asynccontextmanager
async def things(**owners: dict[str, str]) -> AsyncGenerator[dict[str, Things]]:
    async with engine() as docker, AsyncExitStack() as stack:
        made: dict[str, Things] = {}
        for name, owner in owners.items():
            own = f"pdtests-{name}-{os.getpid()}", f"previewdrop-tests/{name}:1"
            called, image = names_of(owner["previewdrop.installation"]) if name == "ghost" else own
            made[name] = Things(docker, called, owner, image)
            stack.push_async_callback(made[name].remove)
            await made[name].make()
        yield made


async def test_what_no_preview_owns_goes_and_what_is_others_stays(tmp_path: Path) -> None:
    """First with all that is known, then after the server has lost all that it knew."""
    repository = Branches(tmp_path, "swept")
    repository.write("main", app())
    async with docker_served(tmp_path / "home", {"IMAGE_BYTES": "0"}) as server:
        installation = server.home.installation
        await server.add_project("swept", repository.path)
        preview = await server.deploy("swept", "main")
        assert preview["state"] == "ready", preview["deployment"]
        (kept,) = await containers_of(installation, preview="swept/main")
        owners = {
            "ghost": labels(installation, 999, "swept/ghost"),
            "stranger": {},
            "other": labels(OTHERS, 1, "swept/main"),
        }
        async with things(**owners) as made:
            await server.kill()
            await server.start()
            assert await made["ghost"].there() == ["volume"]  # previews have none with a name
            everything = ["container", "network", "image", "volume"]
            for name in ("stranger", "other"):
                assert await made[name].there() == everything, name
            (still,) = await containers_of(installation, preview="swept/main")
            assert still["State"]["StartedAt"] == kept["State"]["StartedAt"]
            assert (await server.visit(preview)).status_code == 200
            assert await images_of(installation) == {still["Image"]}

            await lose_the_store(server)
            await server.start()
            assert await server.get("/previews") == []
            assert await containers_of(installation, preview="swept/main") == []
            async with engine() as docker:
                networks = await docker.get("/networks")
            ours = [one["Name"] for one in networks if installation in one["Name"]]
            assert ours == [f"previewdrop-{installation}-services"]
            url = admin_url(server, "db")
            async with await psycopg.AsyncConnection.connect(url) as admin:
                names = [name for (name,) in await rows(admin, "SELECT datname FROM pg_database")]
            assert not [name for name in names if str(name).startswith("swept")]
            assert await images_of(installation) == set()
            for name in ("stranger", "other"):
                assert await made[name].there() == everything, name

        await server.add_project("swept", repository.path)
        again = await server.deploy("swept", "main")
        assert again["state"] == "ready", again["deployment"]
        assert (await server.visit(again)).status_code == 200


async def images_of(installation: str) -> set[str]:
    filters = {"label": [f"previewdrop.installation={installation}"]}
    async with engine() as docker:
        return {one["Id"] for one in await docker.get("/images/json", {"filters": filters})}


async def lose_the_store(server: Server) -> None:
    """All that the server knew is gone, while its containers run on."""
    await server.kill()
    running = [one["State"]["Pid"] for one in await containers_of(server.home.installation)]
    inside = {namespace(pid) for pid in running}

    def ours() -> list[int]:
        return [pid for pid in using(server.home.path) if namespace(pid) not in {None, *inside}]

    async with asyncio.timeout(30):
        while pids := ours():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.05)
    shutil.rmtree(server.home.postgres)


def namespace(pid: int) -> Path | None:
    """The process namespace of a process; None when it is gone."""
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:
        return None
