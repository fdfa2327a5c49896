"""Fixtures for everybody: a data folder, and the real services, started once a test run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

import container_services as containers
from previewdrop.config.home import Home
from previewdrop.domain.secret import Secret
from previewdrop.services.caddy import CaddyService
from previewdrop.services.containers import ContainerServices
from previewdrop.services.ports import Ports
from previewdrop.services.postgres import PostgresService
from previewdrop.services.supervisor import Supervisor
from previewdrop.services.valkey import ValkeyService


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty data folder for one test."""
    return Home(tmp_path / "home").create()


@pytest.fixture(scope="session")
def services_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The data folder of the services that all tests of a run share."""
    return Home(tmp_path_factory.mktemp("services") / "home").create()


@pytest.fixture(scope="session")
def ports(services_home: Home) -> Ports:
    return Ports(services_home.path / "ports.json")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_service(services_home: Home, ports: Ports) -> AsyncGenerator[PostgresService]:
    """A running PostgreSQL of our own; `admin_url` and `state_url` lead to it."""
    admin, state = Secret("administrator's"), Secret("state's")
    service = PostgresService(services_home, ports, 0, admin, state)
    supervisor = Supervisor(service, service.pid_file)
    await supervisor.start()
    yield service
    await supervisor.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_ordinary_admin(postgres_service: PostgresService) -> Secret:
    """The URL of an administrator who is no superuser, as on many a company's server."""
    async with await psycopg.AsyncConnection.connect(postgres_service.admin_url.reveal()) as admin:
        await admin.execute("CREATE ROLE ordinary LOGIN CREATEDB CREATEROLE PASSWORD 'ordinary'")
        await admin.execute("GRANT CONNECT ON DATABASE postgres TO ordinary")
    return Secret(f"postgresql://ordinary:ordinary@127.0.0.1:{postgres_service.port}/postgres")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey_service(services_home: Home, ports: Ports) -> AsyncGenerator[ValkeyService]:
    """A running Valkey of our own; `admin_url` leads to it."""
    service = ValkeyService(services_home, ports, 0, Secret("administrator's"), databases=64)
    supervisor = Supervisor(service, service.pid_file)
    await supervisor.start()
    yield service
    await supervisor.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def caddy_service(services_home: Home, ports: Ports) -> AsyncGenerator[CaddyService]:
    """A running Caddy of our own; `admin`, `https` and `access_log` are what a driver needs."""
    service = CaddyService(services_home, ports, "127.0.0.1", 0, 0)
    supervisor = Supervisor(service, service.pid_file)
    await supervisor.start()
    yield service
    await supervisor.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def container_services(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[ContainerServices]:
    """PostgreSQL and Valkey in containers, as the docker runtime has them."""
    home = Home(tmp_path_factory.mktemp("containers") / "home").create()
    async with containers.engine() as engine:
        services = containers.services_on(engine, home, containers.unique())
        try:
            await services.start()
            yield services
        finally:
            await services.remove()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def container_addresses(container_services: ContainerServices) -> dict[str, str]:
    """Where this machine reaches the services in containers, by role."""
    async with containers.engine() as engine:
        return {
            role: await containers.address_of(engine, name)
            for role, name in container_services.names.items()
        }
