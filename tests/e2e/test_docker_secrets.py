"""Secrets of previews in containers are in no command line, no image and no label."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.containers import app, containers_of, engine
from e2e.repository import Branches
from e2e.server import Server

VALUE = "correct-horse-battery-staple"
CONFIG = """\
release = "python -c 'import os; assert os.environ[\\"API_KEY\\"]'"
post_deploy = "python -c 'import os; assert os.environ[\\"API_KEY\\"]'"
[processes]
worker = "sleep 1000"
"""


@contextmanager
def command_lines() -> Iterator[set[str]]:
    """Every command line of this machine that was ever seen while the block ran."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(file.read_bytes().decode(errors="replace"))
                except OSError:
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


async def test_secrets_are_in_no_argv_and_no_image(
    docker_server: Server, repositories_folder: Path
) -> None:
    server = docker_server
    repository = Branches(repositories_folder, "secrets")
    repository.write("main", app(**{"previewdrop.toml": CONFIG}))
    await server.add_project("secrets", repository.path)
    body = {"value": VALUE, "secret": True}
    await server.ask("PUT", "/projects/secrets/variables/API_KEY", json=body)
    with command_lines() as seen:
        preview = await server.deploy("secrets", "main")
        assert preview["state"] == "ready", preview["deployment"]
        assert await server.exec(preview, "sh", "-c", "echo of $PREVIEW_NAME") == (
            0,
            ["of secrets/main"],
        )
    names = ("API_KEY", "PREVIEW_DATABASE_PASSWORD", "PREVIEW_REDIS_PASSWORD")
    secrets = [await server.read(preview, f"/env/{name}") for name in names]
    assert secrets[0] == VALUE
    assert all(secrets)

    def clean(text: str) -> bool:
        return not any(secret in text for secret in secrets)

    assert any("uvicorn" in one for one in seen)
    assert [one for one in seen if not clean(one)] == []
    containers = await containers_of(server.home.installation, preview="secrets/main")
    assert len(containers) == 2
    for one in containers:
        shown = one | {"Config": one["Config"] | {"Env": []}}
        assert clean(json.dumps(shown))
    image = containers[0]["Image"]
    async with engine() as docker:
        history, inspected = await asyncio.gather(
            docker.get(f"/images/{image}/history"), docker.get(f"/images/{image}/json")
        )
    assert len(history) > 1
    assert clean(json.dumps([history, inspected]))
    assert clean("\n".join(await server.build_log(preview)))
    assert clean(server.output.read_text())
    await server.remove(preview["name"])
