"""What runs beside the app: release, post-deploy, processes, exec, and clients of its data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from e2e.containers import app, command_of, containers_of, web_of
from e2e.repository import Branches
from e2e.server import Json, Server, stage_of

CONFIG = """\
release = "python step.py release"
post_deploy = "bash bin/post-deploy.sh"

[processes]
worker = "python worker.py"
beat = "while true; do echo tick of $PREVIEW_NAME; sleep 0.5; done"
"""

STEP = """\
import os, pathlib, socket, sys
import psycopg

def answers():
    try:
        socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 1).close()
    except OSError:
        return "no app yet"
    return "the app answers"

with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
    database.execute("CREATE TABLE IF NOT EXISTS steps (name text)")
    database.execute("INSERT INTO steps VALUES (%s)", (sys.argv[1],))
pathlib.Path(f"{sys.argv[1]}.done").touch()
print(sys.argv[1], "of", os.environ["PREVIEW_NAME"] + ":", answers(), flush=True)
"""

POST_DEPLOY = """\
#!/usr/bin/env bash
set -euo pipefail
python step.py post-deploy
ls *.done
"""

Preview = tuple[Server, Json]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def preview(docker_server: Server, repositories_folder: Path) -> AsyncGenerator[Preview]:
    repository = Branches(repositories_folder, "commands")
    files = {"previewdrop.toml": CONFIG, "step.py": STEP, "bin/post-deploy.sh": POST_DEPLOY}
    repository.write("main", app("worker_process") | files)
    await docker_server.add_project("commands", repository.path)
    preview = await docker_server.deploy("commands", "main")
    assert preview["state"] == "ready", preview["deployment"]
    yield docker_server, preview
    await docker_server.remove(preview["name"])


async def test_release_runs_before_the_app_and_post_deploy_inside_it(preview: Preview) -> None:
    server, now = preview
    lines = await server.build_log(now)
    assert "release of commands/main: no app yet" in lines
    assert "post-deploy of commands/main: the app answers" in lines
    assert "post-deploy.done" in lines
    assert "release.done" not in lines  # it had a container of its own
    assert stage_of(now, "release")["state"] == stage_of(now, "post-deploy")["state"] == "done"
    commands = await containers_of(server.home.installation, role="command")
    assert commands == []


async def test_each_process_has_a_container_and_the_same_environment(preview: Preview) -> None:
    server, now = preview
    found = await containers_of(
        server.home.installation, deployment=now["deployment"]["id"], preview=now["name"]
    )
    roles = {one["Config"]["Labels"]["previewdrop.role"]: one for one in found}
    assert set(roles) == {"web", "worker", "beat"}
    assert {one["State"]["Status"] for one in found} == {"running"}
    assert len({one["Image"] for one in found}) == 1
    values = [
        {pair for pair in one["Config"]["Env"] if not pair.startswith("PREVIEWDROP_RUN=")}
        for one in found
    ]
    assert values[0] == values[1] == values[2]
    assert stage_of(now, "start")["note"] == "web + worker + beat"


async def test_logs_are_of_all_processes(preview: Preview) -> None:
    server, now = preview
    await server.visit(now, "/health?seen=in-the-log")
    wanted = {
        "web": "/health?seen=in-the-log",
        "worker": "worker of commands/main did job",
        "beat": "tick of commands/main",
    }
    async with asyncio.timeout(30):
        while not all_printed(await server.app_log(now), wanted):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    code, said = await server.run("logs", now["name"])
    assert code == 0
    assert all(text in said for text in wanted.values())


def all_printed(log: list[tuple[str, str]], wanted: dict[str, str]) -> bool:
    """Whether each process has printed a line with its text."""
    return all(
        any(name == process and text in line for process, line in log)
        for name, text in wanted.items()
    )


async def test_exec_is_inside_the_app_s_container_and_tells_its_end(preview: Preview) -> None:
    server, now = preview
    hostname = await command_of(server, now, "hostname")
    assert hostname == [(await web_of(server, now))["Config"]["Hostname"]]
    code, lines = await server.exec(now, "sh", "-c", "echo $PREVIEW_NAME; echo err >&2; exit 5")
    assert (code, sorted(lines)) == (5, ["commands/main", "err"])
    assert (await server.exec(now, "cat", "/nowhere"))[0] == 1
    assert (await server.exec(now, "sh", "-c", "kill -9 $$"))[0] == 137
    code, said = await server.run("exec", now["name"], "--", "no-such-program")
    assert code != 0
    assert "The image has no program no-such-program." in said
    code, said = await server.run("exec", now["name"], "--", "sh", "-c", "echo out; exit 9")
    assert (code, said) == (9, "out\n")


async def test_psql_and_redis_cli_reach_the_preview_s_own(preview: Preview) -> None:
    server, now = preview
    query = "select string_agg(name, ' then '), current_user from steps"
    code, said = await server.run("psql", now["name"], "--", "-At", "-c", query)
    assert (code, said) == (0, f"release then post-deploy|{now['database']['user']}\n")
    code, said = await server.run("redis-cli", now["name"], "--", "SET", "greeting", "hello")
    assert (code, said.strip()) == (0, "OK")
    code, said = await server.run("redis-cli", now["name"], "--", "GET", "greeting")
    assert code == 0
    assert "hello" in said
    code = (
        "import json, os, valkey; "
        "print(json.dumps(valkey.Valkey.from_url(os.environ['REDIS_URL']).get('greeting').decode()))"
    )
    assert json.loads((await command_of(server, now, "python", "-c", code))[-1]) == "hello"


async def test_a_release_that_fails_starts_nothing(
    docker_server: Server, preview: Preview, repositories_folder: Path
) -> None:
    repository = Branches(repositories_folder, "release")
    repository.write("main", app(**{"previewdrop.toml": 'release = "echo no; exit 7"\n'}))
    await docker_server.add_project("release", repository.path)
    failed = await docker_server.deploy("release", "main")
    assert failed["state"] == "failed"
    error = failed["deployment"]["error"]
    assert error["stage"] == "release"
    assert "ended with 7" in error["message"]
    assert error["log_tail"] == ["no"]
    assert await containers_of(docker_server.home.installation, preview=failed["name"]) == []
    await docker_server.remove(failed["name"])
