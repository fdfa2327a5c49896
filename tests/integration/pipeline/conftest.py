"""A whole pipeline on memory drivers, with its real state on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.secret import Secret
from previewdrop.drivers.base import Drivers
from previewdrop.drivers.memory import (
    MemoryBuilder,
    MemoryCache,
    MemoryDatabase,
    MemoryEdge,
    MemoryRuntime,
)
from previewdrop.forge.memory import MemoryForge
from previewdrop.pipeline.choice import RuntimeChoice
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.hosts import Hosts
from previewdrop.pipeline.reconcile import Reconciler
from previewdrop.services.ports import Ports
from previewdrop.services.postgres import PostgresService
from previewdrop.services.supervisor import Supervisor
from previewdrop.source.checkout import Checkouts
from previewdrop.store.database import StateDatabase
from previewdrop.store.previews import PreviewRow
from previewdrop.store.secrets import SecretBox
from previewdrop.store.store import Store
from previewdrop.store.tables import Base, Deployment


@dataclass
class Plant:
    """A pipeline whose drivers can be made to misbehave, and a repository to deploy."""

    shop: Workshop
    repository: Path
    builder: MemoryBuilder
    runtime: MemoryRuntime
    database: MemoryDatabase
    cache: MemoryCache
    edge: MemoryEdge
    woken: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reconciler = self.new_reconciler()

    def new_reconciler(self) -> Reconciler:
        async def wake(preview_id: int) -> None:
            self.woken.append(preview_id)

        return Reconciler(self.shop, wake)

    async def want(self, branch: str = "main", number: int | None = None) -> int:
        """Records that the branch's newest commit is wanted; the preview's id."""
        commit = await self.shop.checkouts.resolve(str(self.repository), branch)
        preview = await self.shop.store.previews.want("shop", branch, commit.sha, number)
        return preview.id

    async def deploy(self, branch: str = "main") -> PreviewRow:
        """Wants the branch and reconciles until there is nothing left to do."""
        preview_id = await self.want(branch)
        await self.reconciler.reconcile(preview_id)
        return await self.row(preview_id)

    async def again(self, row: PreviewRow, *, fresh_database: bool = False) -> PreviewRow:
        """Deploys the same commit once more."""
        previews = self.shop.store.previews
        await previews.ask_again(row.preview.id, fresh_database=fresh_database)
        await self.reconciler.reconcile(row.preview.id)
        return await self.row(row.preview.id)

    async def row(self, preview_id: int) -> PreviewRow:
        return await self.shop.store.previews.by_id(preview_id)

    async def latest(self, preview_id: int) -> Deployment:
        return (await self.shop.store.deployments.of(preview_id))[0]


@pytest.fixture(scope="session")
async def state_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Secret]:
    home = Home(tmp_path_factory.mktemp("state")).create()
    program = PostgresService(
        home, Ports(home.path / "ports.json"), 0, Secret("admin-pw"), Secret("state-pw")
    )
    supervisor = Supervisor(program, program.pid_file)
    home.logs.mkdir()
    await supervisor.start()
    yield program.state_url
    await supervisor.stop()


@pytest.fixture(scope="session")
async def state(state_url: Secret) -> AsyncGenerator[StateDatabase]:
    database = StateDatabase(state_url)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
async def plant(
    state: StateDatabase, tmp_path: Path, healthy_repository: Path
) -> AsyncGenerator[Plant]:
    async with state.transaction() as session:
        for table in reversed(Base.metadata.sorted_tables):
            await session.execute(table.delete())
    home = Home(tmp_path / "home").create()
    settings = Settings(
        home=home.path, health_timeout=3, post_deploy_timeout=5, max_previews=2, edge_port=7443
    )
    store = Store(state, SecretBox.open(home.key_file, data_exists=False))
    drivers = (
        MemoryBuilder(),
        MemoryRuntime(serve=True),
        MemoryDatabase(),
        MemoryCache(),
        MemoryEdge(),
    )
    checkouts = Checkouts(home.mirrors, home.checkouts, 10_000_000)
    async with httpx2.AsyncHTTPTransport(trust_env=False) as http:
        choice = RuntimeChoice("process", no_engine)
        hosts = Hosts(store, lambda _: MemoryForge())
        shop = Workshop(home, settings, store, Drivers(*drivers), checkouts, http, choice, hosts)
        await store.projects.add("shop", str(healthy_repository), {})
        plant = Plant(shop, healthy_repository, *drivers)
        yield plant
        await plant.reconciler.close()
        await drivers[1].aclose()


async def no_engine() -> bool:
    return False


@pytest.fixture
def healthy_repository(tmp_path: Path) -> Path:
    from repositories import make_repository

    return make_repository(tmp_path, "healthy")
