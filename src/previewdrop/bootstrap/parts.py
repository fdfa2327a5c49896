"""Puts the server's parts together: the only place that names concrete drivers."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2

from previewdrop.bootstrap.docker import Data, DockerParts
from previewdrop.bootstrap.github import code_hosts_of, connect_by_settings
from previewdrop.bootstrap.server import Server
from previewdrop.bootstrap.stopping import Stopping
from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.errors import BadConfig
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import DOCKER, PROCESS
from previewdrop.drivers.base import Drivers
from previewdrop.drivers.caddy.driver import CaddyEdge
from previewdrop.drivers.caddy.table import RouteFolders
from previewdrop.drivers.chosen import ChosenBuilder, ChosenCache, ChosenDatabase, ChosenRuntime
from previewdrop.drivers.postgres.driver import PostgresDatabase
from previewdrop.drivers.process.builder import ProcessBuilder
from previewdrop.drivers.process.runtime import ProcessRuntime
from previewdrop.drivers.valkey.driver import ValkeyCache
from previewdrop.pipeline.choice import RuntimeChoice
from previewdrop.pipeline.code_hosts import CodeHosts
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.hosts import Hosts
from previewdrop.pipeline.jobs import Jobs
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.reconcile import Reconciler
from previewdrop.services.embedded import EmbeddedServices
from previewdrop.source.checkout import Checkouts
from previewdrop.store.database import StateDatabase, create_if_missing
from previewdrop.store.secrets import SecretBox
from previewdrop.store.store import Store
from previewdrop.web.events import Changes
from previewdrop.web.ports import Control, ServerFacts

log = logging.getLogger(__name__)


@asynccontextmanager
async def put_together(
    settings: Settings,
    home: Home,
    box: SecretBox,
    services: EmbeddedServices,
    stop: Stopping,
) -> AsyncGenerator[Server]:
    async with AsyncExitStack() as stack:
        addresses = services.addresses
        database = PostgresDatabase(addresses.postgres, home.installation, addresses.database)
        stack.push_async_callback(database.aclose)
        cache = ValkeyCache(addresses.redis, home.installation, addresses.cache)
        stack.push_async_callback(cache.aclose)
        edge = CaddyEdge(
            addresses.caddy,
            home.installation,
            (settings.edge_host, settings.edge_port),
            home.logs / "access.log",
            None if settings.caddy_admin else RouteFolders.under(home),
        )
        stack.push_async_callback(edge.aclose)
        processes = ProcessRuntime(home, settings.sandbox, settings.ceilings)
        stack.push_async_callback(processes.close)
        environments = ProcessBuilder(
            home, settings.sandbox, keep_bytes=settings.environments_bytes
        )
        here = Drivers(environments, processes, database, cache, edge)
        runtimes = Runtimes(here)
        docker = _docker(settings, home, box, runtimes)
        if docker is not None:
            stack.push_async_callback(docker.aclose)
            stack.push_async_callback(lambda: docker.stop(keep=stop.keeps_previews))
        beginning = _beside(stack, _begin(docker, settings))
        if settings.postgres_url is not None and settings.state_url is None:
            await create_if_missing(addresses.state)
        state = StateDatabase(addresses.state)
        stack.push_async_callback(state.close)
        await state.migrate()
        store = Store(state, box)
        await store.check_keys()
        await connect_by_settings(settings, store.forges)
        jobs = Jobs(state.conninfo, store, settings.concurrency)
        await jobs.open()
        stack.push_async_callback(jobs.close)
        await beginning
        if docker is not None:
            _beside(stack, docker.keep())
        drivers = runtimes.drivers
        runtime = docker.runtime if docker and settings.runtime == DOCKER else drivers.runtime
        choice = RuntimeChoice(settings.runtime, docker.answers if docker else _never)
        http = await stack.enter_async_context(httpx2.AsyncHTTPTransport(trust_env=False))
        checkouts = Checkouts(home.mirrors, home.checkouts, settings.source_bytes)
        hosts = Hosts(store, code_hosts_of(settings))
        stack.push_async_callback(hosts.close)
        shop = Workshop(home, settings, store, drivers, checkouts, http, choice, hosts)
        reconciler = Reconciler(shop, jobs.wake)
        url = f"http://{settings.host}:{settings.port}"
        facts = ServerFacts(
            runtime=settings.runtime,
            walls=runtime,
            url=url,
            edge_url=f"https://{settings.domain.format(project='*')}:{settings.edge_port}",
        )

        def notes() -> dict[str, str]:
            return services.notes() | (docker.services.notes() if docker else {})

        operations = LiveOperations(shop, jobs, notes, stop.ask)
        code_hosts = CodeHosts(shop, operations)
        control = Control(
            store, settings, facts, operations, token(home),
            code_hosts.hear, hosts.all, code_hosts.pulls.resync.set,
        )  # fmt: skip
        server = Server(shop, jobs, reconciler, Changes(state), control, code_hosts)
        if services.moved:
            log.warning("A service has another port than before: previews are started again.")
            await server.stop_previews()
        yield server


class Runtimes:
    """The drivers of each runtime that there is, as one. Docker is added when an Engine is."""

    def __init__(self, here: Drivers) -> None:
        self._builders = {PROCESS: here.builder}
        self._runtimes = {PROCESS: here.runtime}
        self._databases = {PROCESS: here.database}
        self._caches = {PROCESS: here.cache}
        self.data = Data(here.database, here.cache)
        self.drivers = Drivers(
            ChosenBuilder(self._builders),
            ChosenRuntime(self._runtimes),
            ChosenDatabase(self._databases),
            ChosenCache(self._caches),
            here.edge,
        )

    def add(self, docker: DockerParts) -> None:
        self._builders[DOCKER] = docker.builder
        self._runtimes[DOCKER] = docker.runtime
        self._databases[DOCKER] = docker.database
        self._caches[DOCKER] = docker.cache


def _docker(
    settings: Settings, home: Home, box: SecretBox, runtimes: Runtimes
) -> DockerParts | None:
    """The parts of the docker runtime; None where it is not wanted, or cannot be and need not."""
    if settings.runtime == PROCESS:
        return None
    try:
        return DockerParts(settings, home, box, runtimes.data, runtimes.add)
    except BadConfig as error:
        if settings.runtime == DOCKER:
            raise
        log.info("previews run as processes: %s", error)
        return None


async def _begin(docker: DockerParts | None, settings: Settings) -> None:
    """Raises what keeps docker from being used only if nothing else may be."""
    if docker is not None:
        await (docker.open() if settings.runtime == DOCKER else docker.answers())


def _beside(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Does the work at the same time, and no longer than the stack."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)
    return task


async def _never() -> bool:
    return False


def token(home: Home) -> Secret:
    """The API's token: made once, readable by the owner only."""
    if not home.token_file.exists():
        fresh = home.token_file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(f"{secrets.token_urlsafe(32)}\n")
        fresh.replace(home.token_file)
    return Secret(home.token_file.read_text().strip())
