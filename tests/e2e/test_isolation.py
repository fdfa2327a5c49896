"""From inside a preview: what it can see, reach and use up, tried as its app would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
import valkey.exceptions

from e2e.data import cache_of
from e2e.repository import Branches, healthy
from e2e.server import CANARY, Json, Server, preview_path

Pair = tuple[Json, Json]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def walls(server: Server, repositories_folder: Path) -> Branches:
    if not (await server.get("/server"))["isolated"]:
        pytest.skip("this machine has no sandbox")
    repository = Branches(repositories_folder, "walls")
    await server.add_project("walls", repository.path)
    return repository


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(server: Server, walls: Branches) -> AsyncGenerator[Pair]:
    """Two previews of a project: `mine` looks, `other` is looked for."""
    for branch in ("mine", "other"):
        walls.write(branch, healthy(**{"secret.txt": f"of {branch}\n"}))
    mine, other = await asyncio.gather(*(server.deploy("walls", b) for b in ("mine", "other")))
    assert (mine["state"], other["state"]) == ("ready", "ready")
    yield mine, other
    await asyncio.gather(*(server.remove(one["name"]) for one in (mine, other)))


async def test_reads_its_own_and_nothing_of_the_server_or_another(
    server: Server, pair: Pair
) -> None:
    mine, other = pair
    own = (await server.read(mine, "/whoami"))["folder"]
    assert await server.read(mine, "/read", path=f"{own}/secret.txt") == {"text": "of mine\n"}
    foreign = server.home.checkouts / str(other["deployment"]["id"])
    assert (foreign / "secret.txt").exists()
    home = server.home
    for path in (
        foreign,
        foreign / "secret.txt",
        home.runs / str(other["deployment"]["id"]),
        home.token_file,
        home.key_file,
        home.path / "secret.seed",
        home.server_file,
        home.logs,
        home.mirrors,
        home.postgres,
        home.valkey,
        Path("/etc/shadow"),
        Path("/root/.ssh"),
    ):
        assert await server.read(mine, "/read", path=str(path)) == {"error": "FileNotFoundError"}


async def test_writes_only_its_own_folder(server: Server, pair: Pair) -> None:
    mine, _ = pair
    packages = await server.read(mine, "/env/VIRTUAL_ENV")
    for path in ("/etc/x", "/usr/bin/x", f"{packages}/x", f"{server.home.path}/x"):
        answer = await server.visit(mine, "/write", method="POST", params={"path": path})
        assert answer.json()["error"] in ("PermissionError", "OSError"), (path, answer.json())
    for path in ("here", "/tmp/x", "/home/app/x"):
        answer = await server.visit(mine, "/write", method="POST", params={"path": path})
        assert answer.json() == {"written": 0}


async def test_sees_and_signals_only_its_own_processes(server: Server, pair: Pair) -> None:
    mine, other = pair
    seen = await server.read(mine, "/processes")
    words = {word for command in seen.values() for word in command}
    assert f"{port_of(server, mine)}" in words
    assert f"{port_of(server, other)}" not in words
    assert not any("postgres" in word or "serve" in word for word in words)
    foreign = max(server.processes(other["deployment"]["id"]))
    for pid in (server.pid, foreign):
        answer = await server.visit(mine, "/kill", method="POST", params={"pid": str(pid)})
        assert answer.json() == {"error": "ProcessLookupError"}
        assert await server.read(mine, "/read", path=f"/proc/{pid}/environ") == {
            "error": "FileNotFoundError"
        }


def port_of(server: Server, preview: Json) -> int:
    (command,) = {
        command
        for command in server.processes(preview["deployment"]["id"]).values()
        if command.startswith("python ") and "--port" in command
    }
    return int(command.split("--port ")[1].split()[0])


async def test_the_environment_is_its_own(server: Server, pair: Pair) -> None:
    mine, other = pair
    names = await server.read(mine, "/env-names")
    assert CANARY in server.environment
    assert CANARY not in names
    assert [name for name in names if name.startswith("PREVIEWDROP_")] == ["PREVIEWDROP_RUN"]
    for name in ("DATABASE_URL", "REDIS_URL", "PREVIEW_DATABASE_PASSWORD", "PREVIEW_URL", "PORT"):
        values = [await server.read(each, f"/env/{name}") for each in (mine, other)]
        assert all(values)
        assert values[0] != values[1], name
    whoami = await server.read(mine, "/whoami")
    assert (whoami["home"], whoami["tmp"], whoami["hostname"]) == ("/home/app", "/tmp", "preview")
    assert whoami["uid"] != 0


async def test_reaches_neither_sockets_nor_the_api(server: Server, pair: Pair) -> None:
    mine, _ = pair
    for path in (server.home.socket("caddy.sock"), Path("/run/docker.sock")):
        answer = await server.read(mine, "/connect-socket", path=str(path))
        assert answer == {"error": "FileNotFoundError"}
    url = (await server.get("/server"))["url"]
    code = (
        "import urllib.request, urllib.error\n"
        f"try: urllib.request.urlopen('{url}/api/v1/previews')\n"
        "except urllib.error.HTTPError as error: print(error.code)"
    )
    assert await server.exec(mine, "python", "-c", code) == (0, ["401"])


async def test_uses_no_database_but_its_own(server: Server, pair: Pair) -> None:
    mine, other = pair
    url = (await server.get(preview_path(mine["name"]) + "/connection"))["database_url"]
    base = url.rpartition("/")[0]
    for name in (other["database"]["name"], "postgres", "previewdrop", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            await psycopg.AsyncConnection.connect(f"{base}/{name}")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in (
            b"CREATE DATABASE more",
            b"CREATE ROLE more",
            b"ALTER ROLE CURRENT_USER SUPERUSER",
            f"SET ROLE {other['database']['user']}".encode(),
            b"COPY (SELECT 1) TO PROGRAM 'true'",
            b"SELECT pg_read_file('/etc/passwd')",
            f"DROP DATABASE {other['database']['name']}".encode(),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)


async def test_uses_no_cache_but_its_own(server: Server, pair: Pair) -> None:
    mine, other = pair
    async with cache_of(server, other) as theirs:
        await theirs.set("theirs", "secret")
    async with cache_of(server, mine) as cache:
        await cache.set("ours", "yes")
        for command in (
            ("SELECT", str(other["redis"]["db"])),
            ("MOVE", "ours", str(other["redis"]["db"])),
            ("COPY", "ours", "theirs", "DB", str(other["redis"]["db"])),
            ("SWAPDB", str(mine["redis"]["db"]), str(other["redis"]["db"])),
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("ACL", "LIST"),
            ("SHUTDOWN",),
        ):
            with pytest.raises(valkey.exceptions.NoPermissionError):
                await cache.execute_command(*command)
        assert await cache.get("theirs") is None
        await cache.execute_command("FLUSHDB")
    async with cache_of(server, other) as theirs:
        assert await theirs.get("theirs") == b"secret"


@pytest.mark.parametrize(
    ("app", "sentence", "hint"),
    [
        ("memory_hog", "killed for memory, limit 256 MiB", "memory"),
        ("fork_bomb", "ended with exit code 3", "as many processes and threads as it may"),
    ],
)
async def test_a_greedy_app_harms_only_itself(
    server: Server, walls: Branches, pair: Pair, app: str, sentence: str, hint: str
) -> None:
    walls.write(app, app)
    greedy = asyncio.create_task(server.deploy("walls", app))
    while not greedy.done():
        assert (await server.visit(pair[0])).status_code == 200
        await asyncio.sleep(0.05)
    error = (await greedy)["deployment"]["error"]
    assert error["stage"] == "health"
    assert sentence in error["message"]
    assert hint in error["hint"]
    assert server.left_of((await greedy)["deployment"]["id"]) == []
    await server.remove((await greedy)["name"])
