"""A real server whose previews are containers, and what the Engine has of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, cast

from docker_images import SOCKET, build, left_on_engine
from e2e.server import Json, Server, served
from previewdrop.config.home import Home
from previewdrop.drivers.docker.engine import Engine
from previewdrop.services.containers import ContainerServices
from previewdrop.store.secrets import SecretBox
from repositories import fixture

PYTHON = "python:3.12-slim"
BASE = "previewdrop-tests/fastapi:1"
"""Everything that the fixture apps import, and clients of both data services."""

_DOCKERFILE = f"""\
FROM {PYTHON}
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt psycopg[binary] valkey
WORKDIR /app
ENV PORT=3000 PYTHONUNBUFFERED=1
EXPOSE 3000
CMD ["sh", "-c", "exec python -m uvicorn main:app --host 0.0.0.0 --port $PORT"]
"""

_LABEL = "previewdrop.installation"


@asynccontextmanager
async def docker_served(
    home: Path, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[Server]:
    """As `served`, with containers for previews; afterwards the Engine has nothing of them."""
    await asyncio.to_thread(made_base)
    installation = Home(home).installation
    try:
        async with served(home, {"RUNTIME": "docker", **dict(settings or {})}) as server:
            yield server
    finally:
        await forget(installation)


def made_base() -> None:
    """Builds BASE, once for the same content."""
    requirements = fixture("healthy")["requirements.txt"]
    assert isinstance(requirements, bytes)
    build(BASE, {"requirements.txt": requirements.decode()}, _DOCKERFILE)


def app(name: str = "healthy", **more: str | bytes | None) -> dict[str, str | bytes | None]:
    """A fixture app with a Dockerfile and more files: `bin__seed_py` is `bin/seed.py`."""
    files = {path.replace("__", "/"): content for path, content in more.items()}
    return {**fixture(name), "Dockerfile": f"FROM {BASE}\nCOPY . .\n", **files}


async def containers_of(installation: str, **labels: object) -> list[Json]:
    """Inspections of an installation's containers with these labels too: `role="web"`."""
    async with engine() as docker:
        wanted = [f"previewdrop.{name}={value}" for name, value in labels.items()]
        filters = {"label": [f"{_LABEL}={installation}", *wanted]}
        found = await docker.get("/containers/json", {"all": True, "filters": filters})
        seen = [await docker.get(f"/containers/{one['Id']}/json") for one in found]
    return [one for one in seen if one is not None]


async def web_of(server: Server, preview: Json) -> Json:
    """The inspection of the live web container."""
    deployment = preview["deployment"]["id"]
    (found,) = await containers_of(server.home.installation, deployment=deployment, role="web")
    return found


async def settled(server: Server, deployment: int) -> None:
    """Returns when this machine has nothing any more of a deployment that was replaced."""
    async with asyncio.timeout(60):
        while server.left_of(deployment) or await containers_of(  # noqa: ASYNC110
            server.home.installation, deployment=deployment
        ):
            await asyncio.sleep(0.1)


async def answers(server: Server, preview: Json) -> None:
    """Returns when the preview serves."""
    async with asyncio.timeout(60):
        while (await server.visit(preview)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def command_of(server: Server, preview: Json, *argv: str) -> list[str]:
    """What a command prints that must succeed beside the app."""
    code, lines = await server.exec(preview, *argv)
    assert code == 0, lines
    return lines


async def told(server: Server, preview: Json, code: str, *arguments: str) -> Any:
    """The JSON that a Python program prints last, run beside the app."""
    lines = await command_of(server, preview, "python", "-c", code, *arguments)
    return json.loads(lines[-1])


def admin_url(server: Server, service: str) -> str:
    """The administrator's URL of the containers' `db` or `cache`."""
    box = SecretBox.open(server.home.key_file, data_exists=True)
    services = ContainerServices(
        Engine(SOCKET),
        server.home,
        server.home.installation,
        box.derive,
        postgres_image="any",
        redis_image="any",
        redis_databases=2,
        pool=IPv4Network("10.213.0.0/16"),
    )
    found = services.database if service == "db" else services.cache
    assert found is not None
    return found.admin_url.reveal()


@asynccontextmanager
async def engine() -> AsyncGenerator[Engine]:
    docker = Engine(SOCKET)
    try:
        yield docker
    finally:
        await docker.aclose()


@asynccontextmanager
async def stranger(
    argv: list[str], network: str = "bridge", **more: object
) -> AsyncGenerator[Json]:
    """A running container of somebody else's on the same Engine: its inspection."""
    body = {
        "Image": PYTHON,
        "Cmd": argv,
        "HostConfig": {"NetworkMode": network, "Init": True, **cast("Json", more.pop("host", {}))},
        **more,
    }
    async with engine() as docker:
        made = await docker.post("/containers/create", body)
        place = f"/containers/{made['Id']}"
        try:
            await docker.post(f"{place}/start")
            yield await docker.get(f"{place}/json")
        finally:
            await docker.delete(place, {"force": True, "v": True})


async def forget(installation: str) -> None:
    """Removes all that an installation has on the Engine, and its firewall."""
    filters = {"label": [f"{_LABEL}={installation}"]}
    async with engine() as docker:
        for one in await docker.get("/containers/json", {"all": True, "filters": filters}):
            await docker.delete(f"/containers/{one['Id']}", {"force": True, "v": True})
        for one in await docker.get("/networks", {"filters": filters}):
            await docker.delete(f"/networks/{one['Id']}")
        for one in (await docker.get("/volumes", {"filters": filters}))["Volumes"] or ():
            await docker.delete(f"/volumes/{one['Name']}")
        for one in await docker.get("/images/json", {"filters": filters}):
            await docker.delete(f"/images/{one['Id']}", {"force": True})
    remove = f"table inet {table(installation)} {{}}\ndelete table inet {table(installation)}\n"
    await asyncio.to_thread(subprocess.run, ("nft", "-f", "-"), input=remove.encode(), check=True)
    assert await left_on_engine(installation) == []


def table(installation: str) -> str:
    """The firewall's table."""
    return f"previewdrop_{installation}"
