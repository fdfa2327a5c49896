"""Pushes to live previews: nothing is lost, nothing waits, what is outdated is stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from e2e.data import cache_of, database_of, rows
from e2e.gate import Gate
from e2e.repository import Branches, healthy
from e2e.server import Json, Server, preview_path
from repositories import fixture

CONFIG = "previewdrop.toml"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def updates(server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "updates")
    await server.add_project("updates", repository.path)
    return repository


async def nothing_left(server: Server, deployment: int) -> None:
    """Returns when a deployment that was replaced has drained."""
    async with asyncio.timeout(30):
        while server.left_of(deployment):  # noqa: ASYNC110 - the machine tells nobody
            await asyncio.sleep(0.1)


class Traffic:
    """Visitors who ask one thing after the other, some of them slow ones."""

    def __init__(self, server: Server, preview: Json) -> None:
        self.answers: Counter[tuple[int, str | None]] = Counter()
        self._server, self._preview = server, preview
        self._stopped = False

    async def __aenter__(self) -> Traffic:
        paths = ("/health", "/health", "/slow?seconds=0.4", "/slow?seconds=1.2")
        self._tasks = [asyncio.create_task(self._visit(path)) for path in paths]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _visit(self, path: str) -> None:
        while not self._stopped:
            answer = await self._server.visit(self._preview, path)
            commit = answer.json()["commit"] if answer.status_code == 200 else answer.text
            self.answers[answer.status_code, commit] += 1
            await asyncio.sleep(0.02)


async def test_pushes_keep_url_and_data_and_no_request_fails(
    server: Server, updates: Branches
) -> None:
    commits = [updates.write("live", healthy())]
    preview = first = await server.deploy("updates", "live")
    assert first["state"] == "ready", first["deployment"]
    async with database_of(server, first) as database, cache_of(server, first) as cache:
        await database.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await cache.set("kept", "yes")
    async with Traffic(server, first) as traffic:
        for number in range(3):
            commits.append(updates.push("live", {"change.txt": str(number)}))
            preview = await server.deploy("updates", "live")
            assert preview["commit"] == commits[-1]
    assert {status for status, _ in traffic.answers} == {200}, traffic.answers
    assert {commit for _, commit in traffic.answers} == set(commits)
    for key in ("name", "url", "database", "redis"):
        assert preview[key] == first[key]
    async with database_of(server, preview) as database, cache_of(server, preview) as cache:
        assert await rows(database, "SELECT answer FROM kept") == [(42,)]
        assert await cache.get("kept") == b"yes"
    deployments = await server.get(preview_path(preview["name"]) + "/deployments")
    assert [one["state"] for one in deployments] == ["ready"] * 4
    for one in deployments[1:]:
        await nothing_left(server, one["id"])
    await server.remove(preview["name"])


@pytest.mark.parametrize(
    ("stage", "change"),
    [
        ("build", {"requirements.txt": "fastapi==0.1.0\nfastapi==0.2.0\n"}),
        ("health", {"main.py": fixture("always_500")["main.py"]}),
        ("post-deploy", {CONFIG: 'post_deploy = "exit 7"\n'}),
    ],
    ids=["build", "health", "post-deploy"],
)
async def test_a_failed_push_leaves_the_old_one_serving(
    server: Server, updates: Branches, stage: str, change: dict[str, str | bytes | None]
) -> None:
    branch = f"fails-at-{stage}"
    good = updates.write(branch, healthy())
    live = await server.deploy("updates", branch)
    bad = updates.push(branch, change)
    async with Traffic(server, live) as traffic:
        after = await server.deploy("updates", branch)
    assert set(traffic.answers) == {(200, good)}
    assert (after["state"], after["commit"], after["desired_commit"]) == ("ready", good, bad)
    assert (after["deployment"]["state"], after["deployment"]["error"]["stage"]) == (
        "failed",
        stage,
    )
    assert server.left_of(after["deployment"]["id"]) == []
    await server.remove(live["name"])


def gated(gate: Gate, place: str) -> dict[str, str | bytes | None]:
    """The healthy app, held up at that stage."""
    match place:
        case "build":
            return healthy(**gate.requirements(place))
        case "start":
            return healthy(**gate.app(place))
        case "release":
            return healthy(**gate.files, **{CONFIG: f'release = "python gate.py {place}"\n'})
        case _:
            return healthy(**gate.files, **{CONFIG: f'post_deploy = "python gate.py {place}"\n'})


@pytest.mark.parametrize("place", ["build", "release", "start", "post-deploy"])
async def test_a_push_stops_what_it_makes_outdated(
    server: Server, updates: Branches, gate: Gate, place: str
) -> None:
    branch = f"superseded-at-{place}"
    updates.write(branch, gated(gate, place))
    outdated = await server.want("updates", branch)
    visit = await gate.arrived(place)
    before = await server.until(outdated["name"], lambda now: now["deployment"] is not None)
    newest = updates.write(branch, gated(gate, "post-deploy") | {"newer.txt": "yes"})
    wanted = await server.want("updates", branch)
    second = await gate.arrived("post-deploy", 2 if place == "post-deploy" else 1)
    assert visit.until is not None, "the outdated command still runs"
    assert visit.until <= second.began
    gate.open("post-deploy")
    preview = await server.answered(wanted)
    assert (preview["state"], preview["commit"]) == ("ready", newest)
    states = {
        one["id"]: (one["state"], one["commit"])
        for one in await server.get(preview_path(preview["name"]) + "/deployments")
    }
    first = before["deployment"]["id"]
    assert states.pop(first)[0] == "cancelled"
    assert list(states.values()) == [("ready", newest)]
    assert server.left_of(first) == []
    assert not list(server.home.package_cache.glob("*/building-*"))
    await server.remove(preview["name"])


async def test_of_many_pushes_at_once_the_newest_goes_live(
    server: Server, updates: Branches
) -> None:
    newest = updates.write("busy", healthy())
    wanted = await server.want("updates", "busy")
    for number in range(4):
        newest = updates.push("busy", {"change.txt": str(number)})
        wanted = await server.want("updates", "busy")
    preview = await server.answered(wanted)
    assert preview["commit"] == newest
    deployments = await server.get(preview_path(preview["name"]) + "/deployments")
    assert [one["commit"] for one in deployments if one["state"] == "ready"] == [newest]
    assert {one["state"] for one in deployments[1:]} <= {"cancelled"}
    for one in deployments[1:]:
        assert server.left_of(one["id"]) == []
    await server.remove(preview["name"])


async def test_extra_processes_run_beside_the_app_and_are_replaced_with_it(
    server: Server, updates: Branches
) -> None:
    updates.write("worker", "worker_process")
    first = await server.deploy("updates", "worker")
    assert first["state"] == "ready", first["deployment"]
    await logged(server, first, "worker", "worker of updates/worker did job 3")
    assert {name for name, _ in await server.app_log(first)} == {"web", "worker"}
    updates.push(
        "worker", {"worker.py": "import time\nprint('second', flush=True)\ntime.sleep(99)\n"}
    )
    second = await server.deploy("updates", "worker")
    await logged(server, second, "worker", "second")
    await nothing_left(server, first["deployment"]["id"])
    commands = server.processes(second["deployment"]["id"]).values()
    assert any("worker.py" in command for command in commands)
    await server.remove(second["name"])


async def logged(server: Server, preview: Json, process: str, text: str) -> None:
    """Returns when a process of the preview has printed a line with that text."""
    async with asyncio.timeout(30):
        while True:
            lines = [line for name, line in await server.app_log(preview) if name == process]
            if any(text in line for line in lines):
                return
            await asyncio.sleep(0.05)


async def test_schemas_of_one_database_are_kept_apart(server: Server, updates: Branches) -> None:
    previews: list[Json] = []
    for branch in ("schema-one", "schema-two"):
        updates.write(branch, healthy(**{CONFIG: '[database]\nisolation = "schema"\n'}))
    previews = await asyncio.gather(
        *(server.deploy("updates", branch) for branch in ("schema-one", "schema-two"))
    )
    one, two = previews
    assert one["database"]["name"] == two["database"]["name"]
    assert one["database"]["schema"] != two["database"]["schema"]
    async with database_of(server, one) as first, database_of(server, two) as second:
        await first.execute("CREATE TABLE mine AS SELECT 1 AS number")
        assert await rows(second, "SELECT to_regclass('mine')") == [(None,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await second.execute(f"SELECT * FROM {one['database']['schema']}.mine".encode())
        await second.execute("CREATE TABLE mine AS SELECT 2 AS number")
        assert await rows(first, "SELECT number FROM mine") == [(1,)]
    await server.remove(one["name"])
    async with database_of(server, two) as second:
        assert await rows(second, "SELECT number FROM mine") == [(2,)]
    await server.remove(two["name"])


async def test_what_is_asked_of_a_live_preview(server: Server, updates: Branches) -> None:
    """Variables, redeploy, a fresh database, exec and logs, one after the other."""
    commit = updates.write("asked", healthy())
    preview = await server.deploy("updates", "asked")
    path = preview_path(preview["name"])

    body = {"value": "blue", "branch": "ask*"}
    await server.ask("PUT", "/projects/updates/variables/COLOUR", json=body)
    assert await server.read(preview, "/env/COLOUR") is None
    async with database_of(server, preview) as database:
        await database.execute("CREATE TABLE old AS SELECT 1 AS one")
    preview = await server.answered(await server.post(f"{path}/redeploy"))
    assert preview["commit"] == commit
    assert await server.read(preview, "/env/COLOUR") == "blue"
    async with database_of(server, preview) as database:
        assert await rows(database, "SELECT one FROM old") == [(1,)]

    preview = await server.answered(await server.post(f"{path}/reset-db"))
    assert preview["state"] == "ready", preview["deployment"]
    assert any("recreated" in note for note in preview["deployment"]["notes"])
    async with database_of(server, preview) as database:
        assert await rows(database, "SELECT to_regclass('old')") == [(None,)]

    code, lines = await server.exec(
        preview, "sh", "-c", "echo $COLOUR at $PREVIEW_NAME; python -c 'import fastapi'; exit 5"
    )
    assert (code, lines) == (5, ["blue at updates/asked"])
    assert (await server.exec(preview, "cat", "/nowhere"))[0] == 1
    code, said = await server.run("exec", "updates/asked", "--", "sh", "-c", "echo out; exit 9")
    assert (code, said) == (9, "out\n")

    await server.visit(preview, "/health?seen=in-the-log")
    await logged(server, preview, "web", "/health?seen=in-the-log")
    await server.remove(preview["name"])


async def test_one_more_than_allowed_waits_for_a_place(
    server: Server, repositories_folder: Path
) -> None:
    repository = Branches(repositories_folder, "small")
    await server.add_project("small", repository.path, max_previews=1)
    repository.write("second", healthy())
    first = await server.deploy("small", "main")
    assert first["state"] == "ready"
    wanted = await server.want("small", "second")
    waiting = await server.until(wanted["name"], lambda now: now["waiting"] is not None)
    assert "small has 1 live previews, its limit" in waiting["waiting"]
    assert waiting["deployment"] is None
    failing = repository.push("main", {CONFIG: "nonsense = 1\n"})
    still = await server.deploy("small", "main")
    assert (still["commit"], still["desired_commit"]) == (first["commit"], failing)
    await server.remove(first["name"])
    second = await server.answered(wanted)
    assert (second["state"], second["waiting"]) == ("ready", None)
    await server.remove(second["name"])


async def test_a_database_ahead_of_the_code_is_made_anew(server: Server, updates: Branches) -> None:
    updates.write("rebased", "shop")
    first = await server.deploy("updates", "rebased")
    assert first["state"] == "ready", first["deployment"]
    migration = fixture("shop")["alembic/versions/0003_unique_email.py"]
    assert isinstance(migration, bytes)
    updates.push(
        "rebased",
        {
            "alembic/versions/0003_unique_email.py": None,
            "alembic/versions/0003_other.py": migration.replace(b'"0003"', b'"0003b"'),
        },
    )
    second = await server.deploy("updates", "rebased")
    assert second["state"] == "ready", second["deployment"]
    assert any("0003, which this commit does not know" in n for n in second["deployment"]["notes"])
    assert second["database"] == first["database"]
    async with database_of(server, second) as database:
        assert await rows(database, "SELECT version_num FROM alembic_version") == [("0003b",)]
        assert (await rows(database, "SELECT count(*) > 0 FROM users")) == [(True,)]
    await server.remove(second["name"])
