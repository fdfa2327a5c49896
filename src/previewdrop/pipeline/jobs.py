"""The job queue: one lock a preview, one queued job a preview, and who may abort it.

A job does nothing but reconcile its preview. Whatever is lost on the way (a job, a notification, a
worker) costs time only: the sweep asks for every preview that is not as it should be.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.job_context import JobContext
from procrastinate.jobs import Status
from procrastinate.worker import Worker

from previewdrop.domain.errors import NotFound, Unavailable
from previewdrop.store.store import Store

log = logging.getLogger(__name__)

QUEUE = "previews"
_TASK = "reconcile"
_DOING = Status.DOING.value
_TRY_AGAIN = 2.0

Reconcile = Callable[[int, int | None], Awaitable[None]]


class Jobs:
    """Previews wait here to be reconciled."""

    def __init__(self, conninfo: str, store: Store, concurrency: int) -> None:
        connector = procrastinate.PsycopgConnector(
            conninfo=conninfo, min_size=1, max_size=max(4, concurrency // 2)
        )
        self._app = procrastinate.App(connector=connector)
        self._store = store
        self._concurrency = concurrency
        self._worker: _Worker | None = None
        self._waiting: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        await self._app.open_async()

    async def close(self) -> None:
        for task in self._waiting:
            task.cancel()
        await self._app.close_async()

    async def wake(self, preview_id: int) -> None:
        """Asks for a preview to be reconciled soon; once more than one job waits it is one job."""
        lock = _lock(preview_id)
        deferrer = self._app.configure_task(
            _TASK, queue=QUEUE, lock=lock, queueing_lock=lock, allow_unknown=True
        )
        try:
            await deferrer.defer_async(preview_id=preview_id)
        except AlreadyEnqueued:
            log.debug("preview %s waits already", preview_id)
        except ConnectorException as error:
            raise Unavailable("The job queue does not answer.") from error

    async def supersede(self, preview_id: int) -> None:
        """Wakes a preview, and aborts what its job does unless that is what is wanted now.

        Only a job that ran before: aborting the one that was just woken would lose the request.
        """
        manager = self._app.job_manager
        try:
            running = await manager.list_jobs_async(lock=_lock(preview_id), status=_DOING)
            await self.wake(preview_id)
            try:
                row = await self._store.previews.by_id(preview_id)
            except NotFound:
                return  # it went with its project meanwhile
            under_way = await self._store.deployments.under_way(preview_id)
            if any(one.generation >= row.preview.generation for one in under_way):
                return
            for job in running:
                if job.id is not None:
                    await manager.cancel_job_by_id_async(job.id, abort=True)
        except ConnectorException as error:
            raise Unavailable("The job queue does not answer.") from error

    async def recover(self) -> list[int]:
        """Puts jobs whose worker died back into the queue; for when no other worker is alive."""
        stalled = await self._app.job_manager.list_jobs_async(queue=QUEUE, status=_DOING)
        for job in stalled:
            if job.id is not None:
                await self._app.job_manager.finish_job_by_id_async(
                    job.id, status=Status.ABORTED, delete_job=True
                )
        return [int(str(job.task_kwargs["preview_id"])) for job in stalled]

    async def work(self, reconcile: Reconcile) -> None:
        """Works on jobs until cancelled; comes back by itself when the database was away."""

        async def task(context: JobContext, preview_id: int) -> None:
            try:
                await reconcile(preview_id, context.job.id)
            except Unavailable as error:
                log.warning("preview %s: %s It is tried again.", preview_id, error.message)
                self._wake_later(preview_id)

        self._app.task(name=_TASK, queue=QUEUE, pass_context=True)(task)
        while True:
            self._worker = _Worker(
                self._app,
                queues=[QUEUE],
                concurrency=self._concurrency,
                delete_jobs="always",
                install_signal_handlers=False,
                shutdown_graceful_timeout=0.1,
            )
            try:
                await self._worker.run()
            except ConnectorException as error:
                log.warning("the job queue does not answer: %s", error)
            await asyncio.sleep(0.5)
            await self._recover_when_back()

    def _wake_later(self, preview_id: int) -> None:
        """A new job after a while, instead of a retry: a retry keeps its lock and its turn."""

        async def later() -> None:
            await asyncio.sleep(_TRY_AGAIN)
            try:
                await self.wake(preview_id)
            except Unavailable:
                self._wake_later(preview_id)

        task = asyncio.create_task(later())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _recover_when_back(self) -> None:
        while True:
            try:
                for preview_id in await self.recover():
                    await self.wake(preview_id)
            except (ConnectorException, Unavailable):
                await asyncio.sleep(0.5)
            else:
                return


def _lock(preview_id: int) -> str:
    return f"preview:{preview_id}"


class _Worker(Worker):
    """Looks for the next job as soon as one has ended.

    Procrastinate tells its workers of new jobs only. A job that waited for the lock of the one
    that just ended would lie there until the next poll, five seconds later.
    """

    async def _process_job(self, context: JobContext) -> None:
        try:
            await super()._process_job(context)
        finally:
            self._new_job_event.set()
