"""The running server: its tasks, what it recovers when it starts, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

from previewdrop.bootstrap.stopping import Stopping
from previewdrop.domain.errors import Unavailable
from previewdrop.pipeline.code_hosts import CodeHosts
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.jobs import Jobs
from previewdrop.pipeline.reconcile import Reconciler
from previewdrop.pipeline.sweep import Sweep
from previewdrop.web.app import create_app
from previewdrop.web.events import Changes
from previewdrop.web.ports import Control

log = logging.getLogger(__name__)


class Server:
    """Everything that runs while the server runs."""

    def __init__(
        self,
        shop: Workshop,
        jobs: Jobs,
        reconciler: Reconciler,
        changes: Changes,
        control: Control,
        code_hosts: CodeHosts,
    ) -> None:
        self._shop = shop
        self._jobs = jobs
        self._reconciler = reconciler
        self._changes = changes
        self._control = control
        self._code_hosts = code_hosts
        self._sweep = Sweep(shop, reconciler, jobs.wake)

    async def run(self, listener: socket.socket, stop: Stopping) -> None:
        """Works and answers until `stop` is set, then stops the previews too, unless it says no."""
        await self._recover()
        api = Api(create_app(self._control, self._changes), self._announce)
        work = [
            asyncio.create_task(self._jobs.work(self._reconciler.reconcile), name="jobs"),
            asyncio.create_task(self._changes.run(), name="changes"),
            asyncio.create_task(self._sweep.run(), name="sweep"),
            asyncio.create_task(self._code_hosts.run(), name="code hosts"),
            asyncio.create_task(self._report(), name="report"),
            asyncio.create_task(api.serve([listener]), name="api"),
        ]
        stopping = asyncio.create_task(stop.wait())
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
            if not stop.keeps_previews:
                await self.stop_previews()

    async def stop_previews(self) -> None:
        """Previews stop with their server, also what was draining; the next one starts them."""
        try:
            handles = await self._shop.store.deployments.handles()
        except Unavailable as error:
            log.warning("previews are left running: %s", error)
            return
        stop, grace = self._shop.drivers.runtime.stop, self._shop.settings.grace
        stopping = [stop(handle, grace) for handle in handles.values()]
        ends = await asyncio.gather(*stopping, return_exceptions=True)
        for deployment_id, end in zip(handles, ends, strict=True):
            if end is not None:
                log.warning("deployment %s did not stop: %s", deployment_id, end)

    async def _report(self) -> None:
        """Hands every change of a preview to those who tell code hosts of it."""
        with self._changes.follow() as queue:
            while True:
                change = await queue.get()
                if change is None or change.deployment is None:
                    await self._code_hosts.changed(change.preview if change else None)

    async def _recover(self) -> None:
        """Clears what a server that died left behind, and asks for every preview."""
        await self._jobs.recover()
        await self._sweep.first()

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
        if not facts.walls.isolated:
            print(facts.walls.isolation, file=sys.stderr, flush=True)  # noqa: T201


class Api(uvicorn.Server):
    """uvicorn without its own signal handlers: the server around it decides when to stop.

    `listening` is called as soon as it answers.
    """

    def __init__(self, app: Any, listening: Callable[[], None]) -> None:
        self._listening = listening
        super().__init__(
            uvicorn.Config(
                app, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    @contextlib.contextmanager
    def capture_signals(self):
        yield
