"""One real server for the tests of a file, and a gate for what runs in previews."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.gate import Gate
from e2e.server import Server, served


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    """A server with a fresh data folder and short time limits, shared by all tests of a run."""
    async with served(tmp_path_factory.mktemp("server") / "home") as server:
        yield server


@pytest_asyncio.fixture
async def gate() -> AsyncGenerator[Gate]:
    """Where commands and apps of a test's previews wait until they are let on."""
    async with Gate() as gate:
        yield gate


@pytest.fixture(scope="session")
def repositories_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("repositories")
