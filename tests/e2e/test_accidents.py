"""Accidents: whatever dies, and when, previews reach what is wanted and nothing is left over."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
import pytest
import pytest_asyncio

from e2e.data import cache_of
from e2e.gate import Gate
from e2e.repository import Branches, healthy
from e2e.server import Json, Server, preview_path, served, stage_of, using

CONFIG = "previewdrop.toml"
MIB = 1024 * 1024


@dataclass(frozen=True)
class Wreck:
    """A server that was killed while each of its previews was at another stage, and came back.

    `before` are the previews as they were when it was killed, `after` once all had settled.
    """

    server: Server
    gate: Gate
    before: dict[str, Json]
    after: dict[str, Json]
    commits: dict[str, str]
    survived: bool


GATED = {"build": "build", "release": "release", "health": "start", "post-deploy": "post-deploy"}
STAGES = ("checkout", "build", "database", "release", "health", "post-deploy")


def apps(gate: Gate) -> dict[str, dict[str, str | bytes | None]]:
    """An app a stage, each held up at its stage."""
    return {
        "checkout": healthy(**{f"data/{number}.txt": str(number) for number in range(4000)}),
        "build": healthy(**gate.requirements("build")),
        "database": healthy(),
        "release": healthy(**gate.files, **{CONFIG: 'release = "python gate.py release"\n'}),
        "health": healthy(**gate.app("start")),
        "post-deploy": healthy(
            **gate.files, **{CONFIG: 'post_deploy = "python gate.py post-deploy"\n'}
        ),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wreck(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Wreck]:
    folder = tmp_path_factory.mktemp("wreck")
    repository = Branches(folder, "wreck")
    patient = {"GRACE": "60", "HEALTH_TIMEOUT": "90", "POST_DEPLOY_TIMEOUT": "90"}
    async with Gate() as gate, served(folder / "home", patient) as server:
        await server.add_project("wreck", repository.path)
        commits = {stage: repository.write(stage, files) for stage, files in apps(gate).items()}

        repository.write("drain", "ignores_sigterm")
        await server.deploy("wreck", "drain")
        for stage in GATED:
            await server.want("wreck", stage)
        for place in GATED.values():
            await gate.arrived(place)
        commits["drain"] = repository.push("drain", {"main.py": healthy()["main.py"]})
        draining = await server.deploy("wreck", "drain")

        async with await psycopg.AsyncConnection.connect(server.admin_url("postgres")) as admin:
            await admin.execute("LOCK TABLE pg_authid IN EXCLUSIVE MODE")
            await server.want("wreck", "database")
            await server.stage("wreck/database", "database")
            await server.want("wreck", "checkout")
            await server.stage("wreck/checkout", "checkout")
            before = dict(server.previews)
            await server.kill()
        survived = (await server.visit(draining)).json()["commit"] == commits["drain"]

        gate.open(*GATED.values())
        await server.start()
        after = {
            name: await server.until(name, lambda now: now["state"] == "ready") for name in before
        }
        yield Wreck(server, gate, before, after, commits, survived)


@pytest.mark.parametrize("stage", STAGES)
async def test_a_server_killed_at_a_stage_reaches_what_was_wanted(wreck: Wreck, stage: str) -> None:
    name = f"wreck/{stage}"
    first, after = wreck.before[name]["deployment"], wreck.after[name]
    assert stage_of(wreck.before[name], stage)["state"] == "running"
    assert (after["state"], after["commit"]) == ("ready", wreck.commits[stage])
    assert (await wreck.server.visit(after)).status_code == 200
    path = preview_path(name) + "/deployments"
    deployments = await wreck.server.get(path)
    assert [one["state"] for one in deployments] == ["ready", "cancelled"]
    assert deployments[1]["id"] == first["id"]
    assert "server stopped" in deployments[1]["error"]["message"]
    assert wreck.server.left_of(first["id"]) == []


@pytest.mark.parametrize("place", sorted(GATED.values()))
async def test_nothing_runs_twice_at_the_same_time(wreck: Wreck, place: str) -> None:
    first, *_, last = wreck.gate.at(place)
    assert first.until is not None, f"{place} of the dead attempt still runs"
    assert first.until <= last.began
    if place != "build":  # uv asks for a download several times
        assert len(wreck.gate.at(place)) == 2
    assert not last.alive


async def test_a_live_preview_serves_while_the_server_is_dead(wreck: Wreck) -> None:
    assert wreck.survived
    before, after = wreck.before["wreck/drain"], wreck.after["wreck/drain"]
    assert after["commit"] == wreck.commits["drain"]
    assert after["deployment"]["id"] == before["deployment"]["id"]
    former = before["deployment"]["id"] - 1
    while former > 0:
        if former not in {one["deployment"]["id"] for one in wreck.after.values()}:
            assert wreck.server.left_of(former) == []
        former -= 1


async def test_nothing_is_orphaned(wreck: Wreck) -> None:
    live = {str(one["deployment"]["id"]) for one in wreck.after.values()}
    home = wreck.server.home
    assert numbers(home.checkouts) == live
    assert numbers(home.runs) == live
    assert not list(home.package_cache.glob("*/building-*"))
    installation = home.installation
    marks = {
        mark.removeprefix(f"{installation}-").partition(".")[0]
        for pid in wreck.server.processes()
        for mark in (mark_of(pid),)
        if mark
    }
    assert marks <= live
    assert len(wreck.server.routes()) == len(live)


def numbers(folder: Path) -> set[str]:
    """The deployments that have something in a folder: `7` and `.7.export.json` belong to 7."""
    return {path.name.lstrip(".").partition(".")[0] for path in folder.iterdir()}


def mark_of(pid: int) -> str:
    try:
        environment = Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return ""
    found = [part for part in environment.split("\0") if part.startswith("PREVIEWDROP_RUN=")]
    return found[0].removeprefix("PREVIEWDROP_RUN=") if found else ""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    """A server with one preview, of the example that uses its database and its cache."""
    folder = tmp_path_factory.mktemp("shop")
    repository = Branches(folder, "shop")
    repository.write("main", "shop")
    async with served(folder / "home") as server:
        await server.add_project("shop", repository.path)
        preview = await server.deploy("shop", "main")
        assert preview["state"] == "ready", preview["deployment"]
        yield server


async def healthy_again(server: Server, preview: Json) -> None:
    """Returns when the preview answers and reads its database and its cache."""
    async with asyncio.timeout(60):
        while True:
            answer = await reached(server, preview)
            if answer == 200:
                return
            await asyncio.sleep(0.1)


async def reached(server: Server, preview: Json) -> int:
    try:
        users = await server.visit(preview, "/api/v1/users/1")
        return max(users.status_code, (await server.visit(preview)).status_code)
    except httpx2.HTTPError:
        return 0


@pytest.mark.parametrize(
    "services",
    [("postgres",), ("valkey",), ("caddy",), ("postgres", "valkey", "caddy")],
    ids=["postgres", "valkey", "caddy", "all"],
)
async def test_killed_services_come_back_and_previews_go_on(
    shop: Server, services: tuple[str, ...]
) -> None:
    preview = await shop.get(preview_path("shop/main"))
    await healthy_again(shop, preview)
    async with cache_of(shop, preview) as cache:
        await cache.set("kept", services[0])
    apps = shop.processes(preview["deployment"]["id"]).keys()
    for service in services:
        os.kill(shop.service_pid(service), signal.SIGKILL)
    await healthy_again(shop, preview)
    assert shop.processes(preview["deployment"]["id"]).keys() == apps
    async with cache_of(shop, preview) as cache:
        assert await cache.get("kept") == services[0].encode()


async def test_a_preview_that_was_killed_is_started_again(shop: Server) -> None:
    preview = await shop.get(preview_path("shop/main"))
    before = shop.processes(preview["deployment"]["id"])
    (app,) = [pid for pid, command in before.items() if "uvicorn" in command.split(" ", 3)[2:3]]
    os.kill(app, signal.SIGKILL)
    await ended(app)
    await healthy_again(shop, preview)
    assert (await shop.get(preview_path("shop/main")))["deployment"] == preview["deployment"]


async def ended(pid: int) -> None:
    async with asyncio.timeout(30):
        while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)


async def test_everything_killed_at_once_as_by_a_power_cut(shop: Server) -> None:
    preview = await shop.get(preview_path("shop/main"))
    await shop.kill()
    for pid in using(shop.home.path):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    await shop.start()
    await healthy_again(shop, preview)
    after = await shop.get(preview_path("shop/main"))
    assert (after["deployment"], after["database"]) == (preview["deployment"], preview["database"])


async def test_a_second_server_is_refused(shop: Server) -> None:
    code, said = await shop.run("serve")
    assert code == 1
    assert f"already runs on {shop.home.path} (pid {shop.pid}" in said
    assert "previewdrop shutdown" in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 2
    assert (await shop.get("/server"))["home"] == str(shop.home.path)


async def test_killed_again_and_again_while_it_deploys(tmp_path: Path, gate: Gate) -> None:
    """At the end the newest commit is live, and its post-deploy command never ran twice at once."""
    repository = Branches(tmp_path, "again")
    post_deploy = {CONFIG: 'post_deploy = "python gate.py post-deploy"\n'}
    commit = repository.write("main", healthy(**gate.files, **post_deploy))
    gate.open("post-deploy")
    async with served(tmp_path / "home") as server:
        await server.add_project("again", repository.path)
        await server.want("again", "main")
        for stage in ("detect", "database", "start", "health", "post-deploy", "route"):

            def begun(now: Json, stage: str = stage) -> bool:
                return bool(stage_of(now, stage)) or now["state"] == "ready"

            await server.until("again/main", begun)
            await server.kill()
            await server.start()
        preview = await server.until("again/main", lambda now: now["state"] == "ready")
        assert preview["commit"] == commit
        assert (await server.visit(preview)).json()["commit"] == commit
        live = preview["deployment"]["id"]
        for deployment in range(1, live):
            assert server.left_of(deployment) == []
        visits = gate.at("post-deploy")
        for earlier, later in itertools.pairwise(visits):
            assert earlier.until is not None
            assert earlier.until <= later.began


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 MiB, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=400m,mode=0755", "tmpfs", str(folder))
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount")
    yield folder
    subprocess.run(("umount", "--lazy", str(folder)), check=True)


async def test_a_full_disk_is_told_and_is_over_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    repository = Branches(tmp_path, "full")
    good = repository.write("main", healthy())
    async with served(small_disk / "home") as server:
        await server.add_project("full", repository.path)
        live = await server.deploy("full", "main")
        assert live["state"] == "ready", live["deployment"]
        ballast = small_disk / "ballast"
        fill(ballast, leave=1 * MIB)
        large = repository.push("main", {"large.bin": os.urandom(4 * MIB)})
        failed = await server.deploy("full", "main")
        assert failed["commit"] == good
        assert "disk is full" in failed["deployment"]["error"]["message"].lower()
        assert (await server.visit(failed)).json()["commit"] == good
        ballast.unlink()
        after = await server.deploy("full", "main")
        assert (after["state"], after["commit"]) == ("ready", large), after["deployment"]


def fill(file: Path, leave: int) -> None:
    """Writes a file that takes all room but `leave` bytes."""
    free = os.statvfs(file.parent)
    with file.open("wb") as output:
        os.posix_fallocate(output.fileno(), 0, free.f_bavail * free.f_frsize - leave)
