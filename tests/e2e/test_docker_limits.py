"""What a preview's containers may use up, and what is said when one wants more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest_asyncio

from e2e.containers import app, containers_of, told, web_of
from e2e.repository import Branches
from e2e.server import Json, Server
from previewdrop.domain.spec import MIB

Pair = tuple[Json, Json]

CONFIG = """\
[processes]
worker = "python flood.py; exec sleep 1000"
[limits]
memory = "192MiB"
cpus = 0.5
"""
FLOOD = "for _ in range(60_000):\n    print('x' * 99)\nprint('the end', flush=True)\n"

FORKS = """
import json, os, signal
children = []
try:
    while len(children) < 2000:
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
except OSError as error:
    said = type(error).__name__
else:
    said = "no limit"
for child in children:
    os.kill(child, 9)
for child in children:
    os.waitpid(child, 0)
print(json.dumps([len(children), said]))
"""

SHARED_MEMORY = """
import json
written = 0
try:
    with open("/dev/shm/ballast", "wb", buffering=0) as file:
        while written < 1 << 30:
            written += file.write(b"x" * (1 << 20))
except OSError as error:
    print(json.dumps([written, error.errno]))
else:
    print(json.dumps([written, 0]))
finally:
    __import__("os").unlink("/dev/shm/ballast")
"""

QUOTA = """
import json, pathlib
v1, v2 = pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup/cpu.max")
if v2.exists():
    quota, period = v2.read_text().split()
else:
    quota, period = (v1.joinpath(f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
print(json.dumps(int(quota) / int(period)))
"""

RELAPSES = """\
import os, pathlib
from fastapi import FastAPI

app = FastAPI()
relapse = pathlib.Path("relapse")
if relapse.exists():
    hoard = [bytearray(b"x") * (16 << 20) for _ in range(100)]


@app.get("/health")
async def health():
    return {"status": "ok"}


@app.get("/hog")
async def hog():
    relapse.touch()
    return len([bytearray(b"x") * (16 << 20) for _ in range(100)])
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def limits(docker_server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "limits")
    await docker_server.add_project("limits", repository.path)
    return repository


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bounded(docker_server: Server, limits: Branches) -> Json:
    limits.write("bounded", app(**{"previewdrop.toml": CONFIG, "flood.py": FLOOD}))
    preview = await docker_server.deploy("limits", "bounded")
    assert preview["state"] == "ready", preview["deployment"]
    return preview


async def test_every_container_is_bounded(docker_server: Server, bounded: Json) -> None:
    found = await containers_of(docker_server.home.installation, preview=bounded["name"])
    assert len(found) == 2
    for one in found:
        host = one["HostConfig"]
        assert (host["Memory"], host["MemorySwap"]) == (192 * MIB, 192 * MIB)
        assert host["PidsLimit"] == 256
        assert host["ShmSize"] == 96 * MIB
        assert {each["Name"]: each["Hard"] for each in host["Ulimits"]} == {
            "nofile": 4096,
            "core": 0,
        }
        assert host["LogConfig"]["Type"] == "json-file"
        assert not host["Privileged"]
        assert not host["Binds"]
    assert await told(docker_server, bounded, QUOTA) == 0.5


async def test_no_repository_gets_more_than_the_server_allows(
    docker_server: Server, limits: Branches
) -> None:
    wish = '[limits]\nmemory = "64GiB"\ncpus = 999\n'
    limits.write("wishes", app(**{"previewdrop.toml": wish}))
    preview = await docker_server.deploy("limits", "wishes")
    assert preview["state"] == "ready", preview["deployment"]
    assert (await web_of(docker_server, preview))["HostConfig"]["Memory"] == 1024 * MIB
    assert await told(docker_server, preview, QUOTA) == 64.0
    await docker_server.remove(preview["name"])


async def test_logs_are_bounded(docker_server: Server, bounded: Json) -> None:
    async with asyncio.timeout(60):
        while ("worker", "the end") not in await docker_server.app_log(bounded):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    (worker,) = await containers_of(
        docker_server.home.installation, deployment=bounded["deployment"]["id"], role="worker"
    )
    log = Path(worker["LogPath"])
    kept = sum(file.stat().st_size for file in log.parent.glob(f"{log.name}*"))
    assert 0 < kept < 1.1 * MIB


async def test_a_fork_bomb_harms_only_its_preview(
    docker_server: Server, bounded: Json, docker_pair: Pair
) -> None:
    bomb = asyncio.create_task(told(docker_server, bounded, FORKS))
    while not bomb.done():
        assert (await docker_server.visit(docker_pair[0])).status_code == 200
        await asyncio.sleep(0.02)
    count, said = await bomb
    assert 200 < count < 256
    assert said == "BlockingIOError"
    assert (await docker_server.visit(bounded)).status_code == 200


async def test_shared_memory_is_bounded(docker_server: Server, bounded: Json) -> None:
    no_space = 28
    assert await told(docker_server, bounded, SHARED_MEMORY) == [96 * MIB, no_space]


async def test_an_app_that_forks_too_much_is_told_so(
    docker_server: Server, limits: Branches, docker_pair: Pair
) -> None:
    limits.write("forks", app("fork_bomb"))
    preview = await docker_server.deploy("limits", "forks")
    error = preview["deployment"]["error"]
    assert "ended with exit code 3" in error["message"]
    assert "as many processes and threads as it may" in error["hint"]
    assert (await docker_server.visit(docker_pair[0])).status_code == 200
    await docker_server.remove(preview["name"])


async def test_a_live_app_that_is_killed_for_memory_is_told_so(
    docker_server: Server, limits: Branches
) -> None:
    small = '[limits]\nmemory = "96MiB"\n'
    limits.write("relapses", app(**{"main.py": RELAPSES, "previewdrop.toml": small}))
    live = await docker_server.deploy("limits", "relapses")
    assert live["state"] == "ready", live["deployment"]
    assert (await docker_server.visit(live, "/hog")).status_code == 502
    sentence = "the app was killed for memory, limit 96 MiB"
    waiting = await docker_server.until(
        live["name"], lambda now: sentence in (now["waiting"] or "")
    )
    assert "does not come back; it is tried again" in waiting["waiting"]
    limits.push("relapses", {"main.py": app()["main.py"]})
    after = await docker_server.deploy("limits", "relapses")
    assert (after["state"], after["waiting"]) == ("ready", None)
    assert (await docker_server.visit(after)).status_code == 200
    await docker_server.remove(live["name"])
