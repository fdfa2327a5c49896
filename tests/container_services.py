"""Data services in containers for tests, and short commands on the same Engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from typing import Any
from uuid import uuid4

from docker_images import SOCKET
from previewdrop.config.home import Home
from previewdrop.domain.secret import Secret
from previewdrop.drivers.docker.engine import Engine
from previewdrop.drivers.docker.frames import framed
from previewdrop.services.containers import ContainerServices

POSTGRES, VALKEY = "postgres:18", "valkey/valkey:9.1"
POOL = IPv4Network("10.214.0.0/16")


def unique() -> str:
    """An installation that no other test run has."""
    return f"t{uuid4().hex[:9]}"


@asynccontextmanager
async def engine() -> AsyncGenerator[Engine]:
    one = Engine(SOCKET)
    try:
        yield one
    finally:
        await one.aclose()


def services_on(engine: Engine, home: Home, installation: str, **more: Any) -> ContainerServices:
    """Services as the server makes them; `password` stands before each derived one."""
    password = more.pop("password", "of the")
    settings: dict[str, Any] = {
        "postgres_image": POSTGRES,
        "redis_image": VALKEY,
        "redis_databases": 64,
        "pool": POOL,
        **more,
    }

    def derive(purpose: str) -> Secret:
        return Secret(f"{password} {purpose}")

    return ContainerServices(engine, home, installation, derive, **settings)


async def address_of(engine: Engine, container: str) -> str:
    """Where this machine reaches a service over TCP, which in earnest nobody does."""
    found = await engine.get(f"/containers/{container}/json")
    return next(iter(found["NetworkSettings"]["Networks"].values()))["IPAddress"]


async def execute(engine: Engine, container: str, argv: Sequence[str], user: str = "") -> Any:
    """Exit code and output of a command inside a container."""
    body = {"Cmd": list(argv), "User": user, "AttachStdout": True, "AttachStderr": True}
    made = await engine.post(f"/containers/{container}/exec", body)
    place = f"/exec/{made['Id']}"
    async with engine.stream("POST", f"{place}/start", {"Detach": False}) as answer:
        output = b"".join([each async for _, each in framed(answer.aiter_bytes())])
    return (await engine.get(f"{place}/json"))["ExitCode"], output.decode()


async def run_beside(
    engine: Engine, network: str, argv: Sequence[str], environment: Sequence[str]
) -> Any:
    """Exit code and output of a command in a container of its own on a network."""
    body = {
        "Image": POSTGRES,
        "Entrypoint": list(argv),
        "Cmd": [],
        "Env": list(environment),
        "HostConfig": {"NetworkMode": network},
    }
    made = await engine.post("/containers/create", body)
    place = f"/containers/{made['Id']}"
    try:
        await engine.post(f"{place}/start")
        code = (await engine.post(f"{place}/wait"))["StatusCode"]
        query = {"stdout": True, "stderr": True}
        async with engine.stream("GET", f"{place}/logs", query=query) as answer:
            output = b"".join([each async for _, each in framed(answer.aiter_bytes())])
    finally:
        await engine.delete(place, {"force": True, "v": True})
    return code, output.decode()
