"""The guide's own files, deployed from an image tagged like the guide's base image."""

from __future__ import annotations

import re
from pathlib import Path

import pytest_asyncio

from e2e.containers import containers_of
from e2e.repository import Branches
from e2e.server import Server
from repositories import fixture

SCRIPT = "bin/preview-entrypoint.sh"
PRINTED = fixture("mission")
CHECK = re.compile(r'curl -sf "http://localhost.*?\n}\n', re.DOTALL)
USERS = [
    {"id": 1, "email": "alice@example.com", "name": "Alice Reviewer"},
    {"id": 2, "email": "bob@example.com", "name": "Bob Dev"},
    {"id": 3, "email": "carol@example.com", "name": "Carol PM"},
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mission(docker_server: Server, repositories_folder: Path) -> Branches:
    repository = Branches(repositories_folder, "mission")
    await docker_server.add_project("mission", repository.path)
    return repository


async def test_the_guide_s_files_go_live_once_curl_is_dropped_as_the_hint_says(
    docker_server: Server, mission: Branches
) -> None:
    server = docker_server
    mission.write("main", PRINTED)
    preview = await server.deploy("mission", "main")
    error = preview["deployment"]["error"]
    assert (preview["state"], error["stage"]) == ("failed", "post-deploy"), preview["deployment"]
    assert re.fullmatch(
        rf"post-deploy failed: `bash {SCRIPT}` ended with 1 after \d+\.\d s", error["message"]
    )
    assert f"{SCRIPT}: line 13: curl: command not found" in error["log_tail"]
    assert error["hint"] == (
        "The image has no curl. PreviewDrop already checks /health; drop the line, or install curl "
        "in the Dockerfile: `RUN apt-get update && apt-get install -y curl`."
    )

    script = PRINTED[SCRIPT]
    assert isinstance(script, bytes)
    mended, count = CHECK.subn("", script.decode())
    assert count == 1
    good = mission.push("main", {SCRIPT: mended})
    preview = await server.deploy("mission", "main")
    assert (preview["state"], preview["commit"]) == ("ready", good), preview["deployment"]
    log = "\n".join(await server.build_log(preview))
    assert "✓ Preview environment ready: " + preview["url"] in log

    assert await server.read(preview, "/health") == {"status": "ok", "database": "connected"}
    docs = await server.visit(preview, "/docs")
    assert docs.status_code == 200
    assert "swagger-ui" in docs.text
    assert await server.read(preview, "/api/v1/users") == USERS
    visits = [(await server.visit(preview, "/api/v1/visits", method="POST")).json() for _ in "ab"]
    assert visits == [1, 2]

    mission.push("main", {SCRIPT: script})
    preview = await server.deploy("mission", "main")
    assert (preview["state"], preview["commit"]) == ("ready", good)
    failed = preview["deployment"]
    assert (failed["state"], failed["error"]["stage"]) == ("failed", "post-deploy")
    assert "curl" in failed["error"]["hint"]
    assert await containers_of(server.home.installation, deployment=failed["id"]) == []
    assert await server.read(preview, "/api/v1/users") == USERS
    await server.remove(preview["name"])
