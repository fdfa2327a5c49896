"""The same application with docker compose: its services, and pushes to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.docker_bare import POSTGRES, VALKEY, script
from previewdrop.services.ports import free_port

SCRIPT = Path(__file__).with_name("compose.sh")
_FILE = """\
version: "2.4"
services:
  db:
    image: {postgres}
    environment: {{POSTGRES_PASSWORD: preview, POSTGRES_USER: preview, POSTGRES_DB: preview}}
  cache:
    image: {valkey}
  web:
    build: ${{CODE}}
    init: true
    ports: ["127.0.0.1:{port}:3000"]
    depends_on: [db, cache]
    environment:
      DATABASE_URL: postgresql+asyncpg://preview:preview@db:5432/preview
      REDIS_URL: redis://cache:6379/0
      DB_POOL_SIZE: "5"
      SECRET_KEY: preview-only-not-for-production
      API_V1_PREFIX: /api/v1
      PREVIEW_URL: http://localhost:{port}
      CORS_ORIGINS: '["http://localhost:{port}"]'
"""


class Compose:
    """One project of docker compose for one repository."""

    def __init__(self, program: str, docker: str, work: Path, repository: Path, name: str) -> None:
        work.mkdir(parents=True)
        port = free_port()
        file = work / "compose.yml"
        file.write_text(_FILE.format(postgres=POSTGRES, valkey=VALKEY, port=port))
        path = f"{Path(docker).parent}{os.pathsep}{os.environ['PATH']}"
        self._program = (program, "--project-name", name, "--file", str(file))
        self._environment = {
            **os.environ,
            "PATH": path,  # compose calls the client of Docker that builds with BuildKit
            "WORK": str(work),
            "CODE": str(work / "code"),
            "REPOSITORY": str(repository),
            "BRANCH": "main",
            "COMPOSE": program,
            "PROJECT": name,
            "FILE": str(file),
            "URL": f"http://127.0.0.1:{port}",
        }

    def up(self) -> dict[str, Any]:
        """`{"steps": {name: seconds}, "total": seconds}`"""
        return json.loads(script(SCRIPT, self._environment))

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            (*self._program, *arguments),
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"compose {arguments} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


def program() -> str | None:
    """Debian 12 has docker compose as a program of its own, 1.29; buildable clients have none."""
    return shutil.which("docker-compose")


@contextmanager
def composed(
    program: str, docker: str, work: Path, repository: Path, name: str
) -> Generator[Compose]:
    """A project that is gone at the end, with images and volumes."""
    made = Compose(program, docker, work, repository, name)
    try:
        yield made
    finally:
        made.run("down", "--rmi", "local", "--volumes", "--timeout", "5")
