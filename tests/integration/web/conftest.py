"""The API on a real state database, without a server around it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast

import httpx2
import pytest
import pytest_asyncio

from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.secret import Secret
from previewdrop.services.postgres import PostgresService
from previewdrop.store.database import StateDatabase
from previewdrop.store.previews import PreviewRow
from previewdrop.store.secrets import SecretBox
from previewdrop.store.store import Store
from previewdrop.store.tables import Base, Project
from previewdrop.web.app import create_app
from previewdrop.web.events import Changes
from previewdrop.web.ports import Control, Operations, ServerFacts


class IdleOperations:
    """Operations that do nothing, and know which preview was to be looked at."""

    def __init__(self) -> None:
        self.woken: list[int] = []

    async def resolve(self, project: Project, branch: str, commit: str | None) -> str:
        return commit or "a" * 40

    async def concerned(self, row: PreviewRow, commit: str) -> bool:
        return True

    async def changed(self, preview_id: int) -> None:
        self.woken.append(preview_id)

    def url(self, row: PreviewRow) -> str:
        return f"https://{row.preview.slug}.shop.localhost:7443"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def state(postgres_service: PostgresService) -> AsyncGenerator[StateDatabase]:
    database = StateDatabase(postgres_service.state_url)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
async def store(state: StateDatabase, home: Home) -> Store:
    """An empty store."""
    async with state.transaction() as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.execute(table.delete())
    return Store(state, SecretBox.open(home.key_file, data_exists=False))


@pytest.fixture
async def main(store: Store) -> PreviewRow:
    """A preview that is wanted, and nothing of it there yet."""
    await store.projects.add("shop", "/code/shop", {})
    preview = await store.previews.want("shop", "main", "a" * 40)
    return await store.previews.by_id(preview.id)


@pytest.fixture
def changes(state: StateDatabase) -> Changes:
    return Changes(state)


class Walls:
    """Previews that are kept apart."""

    isolated = True
    isolation = "Previews have walls."


@pytest.fixture
def control(store: Store, home: Home) -> Control:
    facts = ServerFacts("process", Walls(), "http://here", "https://there")
    operations = cast("Operations", IdleOperations())
    return Control(store, Settings(home=home.path), facts, operations, Secret("the-token"))


@pytest.fixture
async def api(control: Control, changes: Changes) -> AsyncGenerator[httpx2.AsyncClient]:
    transport: Any = httpx2.ASGITransport(app=create_app(control, changes))
    headers = {"Authorization": "Bearer the-token"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://here/api/v1", headers=headers
    ) as client:
        yield client
