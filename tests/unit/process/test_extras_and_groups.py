"""A repository whose FastAPI stands in an extra or a group gets that installed too."""

from __future__ import annotations

import tomllib

from previewdrop.domain import poetry
from previewdrop.domain.app import Dependencies, Lock
from previewdrop.drivers.process import commands
from previewdrop.drivers.process.installation import installation_for

PROJECT = b'[project]\nname = "shop"\ndependencies = ["httpx"]\n'


def test_uv_sync_is_told_of_extras_and_groups() -> None:
    wanted = Dependencies(Lock.UV, ("uv.lock",), extras=("api",), groups=("web",))
    installation = installation_for(wanted, {"uv.lock": b""})
    argv = commands.install("uv", "python", installation, "", None)
    assert argv[-4:] == ("--extra", "api", "--group", "web")


def test_a_pyproject_without_lock_is_asked_for_the_same() -> None:
    wanted = Dependencies(Lock.PYPROJECT, ("pyproject.toml",), extras=("api",), groups=("web",))
    installation = installation_for(wanted, {"pyproject.toml": PROJECT})
    argv = commands.install("uv", "python", installation, "", None)
    assert argv[-4:] == ("--extra", "api", "--group", "pyproject.toml:web")


def test_poetry_groups_and_extras() -> None:
    pyproject = tomllib.loads(
        """
        [tool.poetry.dependencies]
        python = "^3.11"
        httpx = "^0.28"
        fastapi = { version = "^0.115", optional = true }
        redis = { version = "*", optional = true }
        [tool.poetry.extras]
        api = ["fastapi"]
        [tool.poetry.group.web.dependencies]
        uvicorn = "^0.34"
        [tool.poetry.group.dev.dependencies]
        pytest = "*"
        """
    )
    assert poetry.requirements(pyproject, ("api",), ("web",), pinned=True) == [
        "httpx",
        "fastapi",
        "uvicorn",
    ]
    assert poetry.requirements(pyproject, pinned=True) == ["httpx"]
