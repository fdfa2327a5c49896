"""Starts the server: lock, services, and everything that stands on them."""

from __future__ import annotations

import asyncio
import importlib
import logging
import signal
import socket
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from types import ModuleType
from typing import Any

from previewdrop.bootstrap.stopping import Stopping
from previewdrop.config.home import Home
from previewdrop.config.settings import Settings
from previewdrop.domain.errors import ServerError
from previewdrop.services.embedded import EmbeddedServices
from previewdrop.services.lock import HomeLock
from previewdrop.store.secrets import SecretBox

log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Runs the control plane until SIGTERM, Ctrl-C or `previewdrop shutdown`.

    SIGHUP ends it too, and leaves previews and services running for the next one.
    ServerError when it cannot run: another server holds the data folder, a port is taken, a
    service does not start.
    """
    _set_up_logging()
    home = Home(settings.home).create()
    with HomeLock(home):
        asyncio.run(_serve(settings, home))


async def _serve(settings: Settings, home: Home) -> None:
    stop = Stopping()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.ask)
    loop.add_signal_handler(signal.SIGHUP, stop.ask, True)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listener(settings))
        box = SecretBox.open(home.key_file, data_exists=(home.path / "ports.json").exists())
        for warning in box.warnings:
            log.warning("%s", warning)
        services = EmbeddedServices(settings, home, box.derive)
        loading = asyncio.create_task(asyncio.to_thread(_load_parts))
        await _until(stop, services.start())
        stack.push_async_callback(lambda: _end(services, stop))
        settings = services.settled().model_copy(update={"port": listener.getsockname()[1]})
        parts = await loading
        together = parts.put_together(settings, home, box, services, stop)
        server = await stack.enter_async_context(together)
        await server.run(listener, stop)


async def _end(services: EmbeddedServices, stop: Stopping) -> None:
    await (services.release() if stop.keeps_previews else services.stop())


def _load_parts() -> ModuleType:
    """The rest of the server: it takes as long to load as the services take to start."""
    return importlib.import_module("previewdrop.bootstrap.parts")


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
    # asyncio turns Nagle's algorithm off only where a socket says that it is TCP. With it a body
    # that follows its header waits 40 ms for the other side's acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        raise ServerError(
            f"The API cannot listen on {settings.host}:{settings.port}: {error.strerror}.",
            "Stop what listens there, or set PREVIEWDROP_PORT.",
        ) from error
    return listener


def _set_up_logging() -> None:
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("procrastinate", "httpx2", "httpcore2", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
