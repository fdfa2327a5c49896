"""The bare tools: a PostgreSQL and a Valkey of their own, and the script on top of them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from previewdrop.config.home import Home
from previewdrop.domain.secret import Secret
from previewdrop.services.ports import Ports, free_port
from previewdrop.services.postgres import PostgresService, find_binaries
from previewdrop.services.supervisor import Supervisor
from previewdrop.services.valkey import ValkeyService

_PASSWORD = "benchmark-valkey"  # noqa: S105
SCRIPT = Path(__file__).with_name("bare.sh")


@dataclass(frozen=True, slots=True)
class Services:
    """`postgres` is the administrator's URL, over a socket; `postgres_at` host and port for apps.

    `redis` is an app's URL.
    """

    postgres: Secret
    postgres_at: str
    redis: Secret


class Bare:
    """Runs `bare.sh` for one repository."""

    def __init__(self, work: Path, repository: Path, services: Services) -> None:
        self._environment = {
            **os.environ,
            "WORK": str(work),
            "REPOSITORY": str(repository),
            "BRANCH": "main",
            "POSTGRES_URL": services.postgres.reveal(),
            "POSTGRES_AT": services.postgres_at,
            "REDIS_URL": services.redis.reveal(),
            "PORT": str(free_port()),
            "UV": find_uv_bin(),
            "PSQL": str(find_binaries() / "psql"),
        }

    def up(self, mode: str) -> dict[str, Any]:
        """`{"mode", "steps": {name: seconds}, "total": seconds}`"""
        return json.loads(self._run("up", mode))

    def down(self) -> None:
        self._run("down", "warm")

    def _run(self, action: str, mode: str) -> str:
        done = subprocess.run(
            ["bash", str(SCRIPT), action],
            env={**self._environment, "MODE": mode},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"bare.sh {action} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


@contextmanager
def data_services(folder: Path) -> Generator[Services]:
    """A PostgreSQL and a Valkey, the same binaries and settings as ours."""
    home = Home(folder).create()
    home.logs.mkdir()
    ports = Ports(home.path / "ports.json")
    postgres = PostgresService(home, ports, 0, Secret("benchmark-admin"), Secret("benchmark-state"))
    valkey = ValkeyService(home, ports, 0, Secret(_PASSWORD))
    supervisors = [Supervisor(postgres, postgres.pid_file), Supervisor(valkey, valkey.pid_file)]
    with asyncio.Runner() as runner:
        for supervisor in supervisors:
            runner.run(supervisor.start())
        try:
            host, port = postgres.reach()
            redis = Secret("redis://:{}@{}:{}/1".format(_PASSWORD, *valkey.reach()))
            yield Services(postgres.admin_url, f"{host}:{port}", redis)
        finally:
            for supervisor in supervisors:
                runner.run(supervisor.stop())
