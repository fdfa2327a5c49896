"""Puts the server together: the only module that names concrete drivers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import uvicorn

from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.errors import PreviewDropError, ServerError
from previewdrop.domain.secret import Secret
from previewdrop.drivers.base import Drivers
from previewdrop.drivers.caddy.driver import CaddyEdge
from previewdrop.drivers.caddy.table import RouteFolders
from previewdrop.drivers.postgres.driver import PostgresDatabase
from previewdrop.drivers.process.builder import ProcessBuilder
from previewdrop.drivers.process.runtime import ProcessRuntime
from previewdrop.drivers.valkey.driver import ValkeyCache
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.jobs import Jobs
from previewdrop.pipeline.operations import LiveOperations
from previewdrop.pipeline.reconcile import Reconciler
from previewdrop.pipeline.sweep import Sweep
from previewdrop.services.embedded import EmbeddedServices
from previewdrop.services.lock import HomeLock
from previewdrop.source.checkout import Checkouts
from previewdrop.store.database import StateDatabase, create_if_missing
from previewdrop.store.secrets import SecretBox
from previewdrop.store.store import Store
from previewdrop.web.app import create_app
from previewdrop.web.events import Changes
from previewdrop.web.ports import Control, ServerFacts

log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Runs the control plane until SIGTERM, Ctrl-C or `previewdrop shutdown`.

    ServerError when it cannot run: another server holds the data folder, a port is taken, a
    service does not start.
    """
    _set_up_logging()
    home = Home(settings.home).create()
    with HomeLock(home):
        asyncio.run(_serve(settings, home))


async def _serve(settings: Settings, home: Home) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listener(settings))
        box = SecretBox.open(home.key_file, data_exists=(home.path / "ports.json").exists())
        for warning in box.warnings:
            log.warning("%s", warning)
        services = EmbeddedServices(settings, home, box.derive)
        await _until(stop, services.start())
        stack.push_async_callback(services.stop)
        settings = services.settled().model_copy(update={"port": listener.getsockname()[1]})
        server = await stack.enter_async_context(_server(settings, home, box, services, stop))
        await server.run(listener, stop)


class _Server:
    """Everything that runs while the server runs."""

    def __init__(
        self,
        shop: Workshop,
        jobs: Jobs,
        reconciler: Reconciler,
        changes: Changes,
        control: Control,
    ) -> None:
        self._shop = shop
        self._jobs = jobs
        self._reconciler = reconciler
        self._changes = changes
        self._control = control
        self._sweep = Sweep(shop, reconciler, jobs.wake)

    async def run(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Works and answers until `stop` is set, then stops the previews too."""
        await self._recover()
        api = _Api(create_app(self._control, self._changes))
        work = [
            asyncio.create_task(self._jobs.work(self._reconciler.reconcile), name="jobs"),
            asyncio.create_task(self._changes.run(), name="changes"),
            asyncio.create_task(self._sweep.run(), name="sweep"),
            asyncio.create_task(api.serve([listener]), name="api"),
        ]
        stopping = asyncio.create_task(stop.wait())
        self._announce()
        try:
            done, _ = await asyncio.wait({*work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
        finally:
            self._shop.home.server_file.unlink(missing_ok=True)
            api.should_exit = True
            await asyncio.wait({work[-1]}, timeout=5)
            for task in (*work, stopping):
                task.cancel()
            await asyncio.wait({*work, stopping})
            await self._reconciler.close()
        await self._stop_previews()

    async def _recover(self) -> None:
        """Clears what a server that died left behind, and asks for every preview."""
        await self._jobs.recover()
        await self._sweep.abandon()
        await self._sweep.orphans()
        await self._sweep.drift()

    async def _stop_previews(self) -> None:
        """Previews stop with their server; their deployments start again with the next one."""
        deployments = self._shop.store.deployments
        handles = [(await deployments.get(one)).handle for one in await deployments.holding()]
        stop, grace = self._shop.drivers.runtime.stop, self._shop.settings.grace
        await asyncio.gather(*(stop(handle, grace) for handle in handles if handle is not None))

    def _announce(self) -> None:
        """Tells command lines where the server is; written last, when everything answers."""
        facts = self._control.facts
        content = {
            "url": facts.url,
            "pid": os.getpid(),
            "edge_port": self._shop.settings.edge_port,
            "edge_http_port": self._shop.settings.edge_http_port,
        }
        file = self._shop.home.server_file
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps(content))
        fresh.replace(file)
        print(f"PreviewDrop answers on {facts.url}, previews on {facts.edge_url}", flush=True)  # noqa: T201
        if not facts.isolated:
            print(facts.isolation, file=sys.stderr, flush=True)  # noqa: T201


class _Api(uvicorn.Server):
    """uvicorn without its own signal handlers: the server around it decides when to stop."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1
            )
        )

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@asynccontextmanager
async def _server(
    settings: Settings,
    home: Home,
    box: SecretBox,
    services: EmbeddedServices,
    stop: asyncio.Event,
) -> AsyncGenerator[_Server]:
    async with AsyncExitStack() as stack:
        addresses = services.addresses
        if settings.postgres_url is not None and settings.state_url is None:
            await create_if_missing(addresses.state)
        state = StateDatabase(addresses.state)
        stack.push_async_callback(state.close)
        await state.migrate()
        store = Store(state, box)
        jobs = Jobs(state.conninfo, store, settings.concurrency)
        await jobs.open()
        stack.push_async_callback(jobs.close)
        database = PostgresDatabase(addresses.postgres, home.installation)
        stack.push_async_callback(database.aclose)
        cache = ValkeyCache(addresses.redis, home.installation)
        stack.push_async_callback(cache.aclose)
        edge = CaddyEdge(
            addresses.caddy,
            home.installation,
            (settings.edge_host, settings.edge_port),
            home.logs / "access.log",
            None if settings.caddy_admin else RouteFolders.under(home),
        )
        stack.push_async_callback(edge.aclose)
        runtime = ProcessRuntime(home, settings.sandbox, settings.ceilings)
        stack.push_async_callback(runtime.close)
        builder = ProcessBuilder(home, settings.sandbox, keep_bytes=settings.environments_bytes)
        drivers = Drivers(builder, runtime, database, cache, edge)
        http = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False))
        checkouts = Checkouts(home.mirrors, home.checkouts, settings.source_bytes)
        shop = Workshop(home, settings, store, drivers, checkouts, http)
        reconciler = Reconciler(shop, jobs.wake)
        url = f"http://{settings.host}:{settings.port}"
        facts = ServerFacts(
            runtime=settings.runtime,
            isolation=runtime.isolation,
            isolated=runtime.isolated,
            url=url,
            edge_url=f"https://{settings.domain.format(project='*')}:{settings.edge_port}",
        )
        operations = LiveOperations(shop, jobs, services.notes, stop.set)
        control = Control(store, settings, facts, operations, _token(home))
        yield _Server(shop, jobs, reconciler, Changes(state), control)


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Does the work, unless the server is asked to stop meanwhile."""
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ServerError("PreviewDrop was stopped while it started.")
        doing.result()
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)


def _listener(settings: Settings) -> socket.socket:
    """The API's socket, bound before anything is started, so that a taken port is said at once."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise ServerError(
            f"The API cannot listen on {settings.host}:{settings.port}: {error.strerror}.",
            "Stop what listens there, or set PREVIEWDROP_PORT.",
        ) from error
    return listener


def _token(home: Home) -> Secret:
    """The API's token: made once, readable by the owner only."""
    if not home.token_file.exists():
        fresh = home.token_file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(f"{secrets.token_urlsafe(32)}\n")
        fresh.replace(home.token_file)
    return Secret(home.token_file.read_text().strip())


def _set_up_logging() -> None:
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("procrastinate", "httpx2", "httpcore2", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


__all__ = ["PreviewDropError", "serve"]
