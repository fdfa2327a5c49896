"""The bare tools for containers: a PostgreSQL and a Valkey container, and the script on top."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.docker_engine import Engine

SCRIPT = Path(__file__).with_name("bare_docker.sh")
POSTGRES, VALKEY = "postgres:18", "valkey/valkey:9.1"


@dataclass(frozen=True, slots=True)
class Yard:
    """A network with both services. Everything made for it carries `label`."""

    docker: str
    name: str

    @property
    def label(self) -> str:
        return f"previewdrop.benchmark={self.name}"

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            (self.docker, *arguments), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"docker {arguments[0]} ended with {done.returncode}: {done.stderr}")
        return done.stdout


class BareDocker:
    """Runs `bare_docker.sh` for one repository."""

    def __init__(self, yard: Yard, work: Path, repository: Path) -> None:
        self._environment = {
            **os.environ,
            "WORK": str(work),
            "REPOSITORY": str(repository),
            "BRANCH": "main",
            "DOCKER": yard.docker,
            "NETWORK": yard.name,
            "POSTGRES": f"{yard.name}-db",
            "REDIS": f"{yard.name}-cache",
            "LABEL": yard.label,
            "NAME": f"{yard.name}_{work.name}",
        }

    def up(self) -> dict[str, Any]:
        """`{"steps": {name: seconds}, "total": seconds, "stop": seconds}`"""
        return json.loads(script(SCRIPT, self._environment, "up"))

    def down(self) -> None:
        script(SCRIPT, self._environment, "down")


@contextmanager
def yard(docker: str, name: str) -> Generator[Yard]:
    """Both services as their images start them, ready; nothing of it is left afterwards."""
    made = Yard(docker, name)
    try:
        made.run("network", "create", "--label", made.label, name)
        common = ("--detach", "--label", made.label, "--network", name)
        secret = ("--env", f"POSTGRES_PASSWORD={name}")
        made.run("run", *common, "--name", f"{name}-db", *secret, POSTGRES)
        made.run("run", *common, "--name", f"{name}-cache", VALKEY)
        _wait(made)
        yield made
    finally:
        Engine().forget(made.label)


def script(path: Path, environment: dict[str, str], *arguments: str) -> str:
    """What a script prints; RuntimeError with what it complained of."""
    done = subprocess.run(
        ("bash", str(path), *arguments),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{path.name} {arguments} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def _wait(made: Yard) -> None:
    """The image's entrypoint runs a PostgreSQL for itself at first, which no address reaches."""
    ask = ("exec", f"{made.name}-db", "psql", "--host", f"{made.name}-db", "--username", "postgres")
    ask = (*ask[:1], "--env", f"PGPASSWORD={made.name}", *ask[1:], "--command", "SELECT 1")
    deadline = time.monotonic() + 60
    while True:
        try:
            made.run(*ask)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
