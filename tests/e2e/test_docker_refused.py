"""Engines with which PREVIEWDROP_RUNTIME=docker cannot work: one clear sentence, and the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from e2e.server import Server, using

OLD = {"Version": "19.03.15", "ApiVersion": "1.40", "MinAPIVersion": "1.12", "Os": "linux"}
ROOTLESS = {"OSType": "linux", "SecurityOptions": ["name=seccomp", "name=rootless"]}
WINDOWS = {"OSType": "windows", "SecurityOptions": []}
NEW = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux"}


@asynccontextmanager
async def engine_that_says(
    socket: Path, version: dict[str, str], info: dict[str, object]
) -> AsyncGenerator[str]:
    """Its address. It knows no more than which version it is, and what of a machine it has."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                body = json.dumps(info if path.endswith("/info") else version).encode()
                length = f"Content-Length: {len(body)}\r\n\r\n".encode()
                writer.write(b"HTTP/1.1 200 OK\r\n" + length + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async with await asyncio.start_unix_server(answer, socket):
        yield f"unix://{socket}"


async def refused(folder: Path, host: str) -> str:
    """What `previewdrop serve` says before it ends with exit code 1, leaving nothing behind."""
    server = Server(folder / "home", {"RUNTIME": "docker", "DOCKER_HOST": host})
    code, said = await server.run("serve")
    assert code == 1, said
    assert "Traceback" not in said
    assert using(server.home.path) == []
    (sentence,) = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert said.rstrip().endswith(sentence), "the sentence is the last thing that is said"
    return sentence


async def test_no_engine(tmp_path: Path) -> None:
    sentence = await refused(tmp_path, f"unix://{tmp_path}/nobody.sock")
    assert f"No Docker Engine answers at {tmp_path}/nobody.sock." in sentence
    assert "PREVIEWDROP_RUNTIME=process" in sentence


@pytest.mark.parametrize(
    ("version", "info", "expected"),
    [
        (OLD, {}, "The Docker Engine is version 19.03.15, which is too old."),
        (NEW, ROOTLESS, "The Docker Engine is rootless"),
        (NEW, WINDOWS, "The Docker Engine runs no Linux containers."),
    ],
    ids=["old", "rootless", "windows"],
)
async def test_an_engine_that_cannot_run_previews(
    tmp_path: Path, version: dict[str, str], info: dict[str, object], expected: str
) -> None:
    async with engine_that_says(tmp_path / "s", version, info) as host:
        assert expected in await refused(tmp_path, host)


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("tcp://build.example.com:2376", "build.example.com"),
        ("ssh://root@build.example.com", "build.example.com"),
    ],
    ids=["tcp", "ssh"],
)
async def test_an_engine_on_another_machine(tmp_path: Path, host: str, where: str) -> None:
    sentence = await refused(tmp_path, host)
    assert f"The Docker Engine of DOCKER_HOST is on {where}" in sentence
    assert f"Run PreviewDrop on {where}" in sentence
