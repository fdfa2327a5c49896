"""The loop: look, plan, take the step, look again, until wanted and observed agree."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from previewdrop.domain.errors import NotFound, PreviewDropError, Unavailable
from previewdrop.domain.plan import (
    Abandon,
    Deploy,
    Desired,
    Done,
    Live,
    Observed,
    Remove,
    Reroute,
    Restart,
    Step,
    Wait,
    plan,
)
from previewdrop.domain.preview import DeploymentState, PreviewState
from previewdrop.domain.spec import Route
from previewdrop.pipeline.attempt import BROKEN_OFF, attempt, clear
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.drain import Drains
from previewdrop.pipeline.holdings import drop_unwanted_database
from previewdrop.pipeline.remove import remove
from previewdrop.pipeline.revive import revive
from previewdrop.pipeline.watch import Watch
from previewdrop.store.previews import PreviewRow

log = logging.getLogger(__name__)

_MOST_STEPS = 50
"""No preview needs as many: what it wants and what is there never meet, which is a bug."""

Wake = Callable[[int], Awaitable[None]]
"""Asks for a preview to be reconciled soon. Asking twice is asking once."""


class Reconciler:
    """Brings one preview after the other to its desired state. One call a preview at a time."""

    def __init__(self, shop: Workshop, wake: Wake) -> None:
        self._shop = shop
        self._wake = wake
        self._drains = Drains(shop)
        self._watch = Watch(shop.drivers.runtime, shop.drivers.edge, wake)
        self._running = 0
        self._open = asyncio.Event()
        self._open.set()

    async def reconcile(self, preview_id: int, job_id: int | None = None) -> None:
        """Returns when nothing is left to do now. Safe to call at any time, any number of times."""
        await self._open.wait()
        self._running += 1
        try:
            for _ in range(_MOST_STEPS):
                if not await self._step(preview_id, job_id):
                    return
            log.error("preview %s does not settle; the next sweep goes on with it", preview_id)
        except Unavailable as error:
            with contextlib.suppress(PreviewDropError):
                row = await self._shop.store.previews.by_id(preview_id)
                await self._say(row, f"{error.message} It is tried again.")
            raise
        finally:
            self._running -= 1

    @asynccontextmanager
    async def pause(self) -> AsyncGenerator[bool]:
        """Holds back all reconciling for the block; yields False, and does not, if one runs."""
        if self._running:
            yield False
            return
        self._open.clear()
        try:
            yield True
        finally:
            self._open.set()

    async def _step(self, preview_id: int, job_id: int | None) -> bool:
        try:
            row = await self._shop.store.previews.by_id(preview_id)
        except NotFound:
            return False  # it went with its project
        step = plan(_desired(row), await self._observe(row))
        log.log(logging.DEBUG if isinstance(step, Done) else logging.INFO, "%s: %s", row.name, step)
        return await self._take(step, row, job_id)

    async def close(self) -> None:
        """Stops watching; drains that are under way are cut short."""
        await self._watch.close()
        await self._drains.close()

    async def _take(self, step: Step, row: PreviewRow, job_id: int | None) -> bool:
        """Takes the step; False when there is nothing more to do for now."""
        match step:
            case Abandon(deployments):
                await self._abandon(row, deployments)
            case Deploy(commit, generation):
                await self._deploy(row, commit, generation, job_id)
            case Restart(deployment):
                return await self._restart(row, deployment)
            case Reroute(deployment):
                await self._reroute(row, deployment)
            case Remove():
                await self._remove(row)
            case Wait():
                await self._wait(row)
                return False
            case Done():
                await self._settle(row)
                return False
        return True

    async def _observe(self, row: PreviewRow) -> Observed:
        preview, deployments = row.preview, self._shop.store.deployments
        behind = [
            one for one in await deployments.left_behind(preview.id) if one.id not in self._drains
        ]
        held = preview.live, preview.cache_number, preview.database
        leftovers = any(one is not None for one in held) or bool(self._drains.of(preview.id))
        removing_state = not preview.present and preview.state != PreviewState.REMOVED
        return Observed(
            answered=await deployments.answered(preview.id),
            live=await self._observe_live(row),
            unfinished=tuple(one.id for one in behind),
            leftovers=leftovers or removing_state,
            room=await self._has_room(row),
        )

    async def _observe_live(self, row: PreviewRow) -> Live | None:
        if row.preview.live is None:
            return None
        deployment = await self._shop.store.deployments.get(row.preview.live)
        if deployment.handle is None:
            return Live(deployment.id, running=False, routed=False)
        run = await self._shop.drivers.runtime.observe(deployment.handle)
        route = await self._shop.drivers.edge.observe(self._shop.names(row).host)
        routed = route is not None and route.upstream == deployment.handle["upstream"]
        return Live(deployment.id, run.running, routed)

    async def _has_room(self, row: PreviewRow) -> bool:
        if row.preview.live is not None:
            return True
        others = await self._shop.store.deployments.places_taken(row.project.id, row.preview.id)
        return others < self._limit(row)

    def _limit(self, row: PreviewRow) -> int:
        return int(row.project.settings.get("max_previews", self._shop.settings.max_previews))

    async def _deploy(
        self, row: PreviewRow, commit: str, generation: int, job_id: int | None
    ) -> None:
        former = row.preview.live
        deployment = await self._shop.store.deployments.begin(
            row.preview.id, commit, generation, job_id, self._limit(row)
        )
        if deployment is None:
            return
        await attempt(self._shop, row, deployment)
        ended = await self._shop.store.deployments.get(deployment.id)
        if ended.state == DeploymentState.READY:
            await drop_unwanted_database(self._shop, row, ended)
        if ended.state == DeploymentState.READY and former is not None:
            self._watch.forget(former)
            self._drains.begin(row.preview.id, await self._shop.store.deployments.get(former))
        if ended.state != DeploymentState.READY and former is None:
            await self._wake_waiting(row)

    async def _abandon(self, row: PreviewRow, deployments: tuple[int, ...]) -> None:
        for number in deployments:
            await clear(self._shop, await self._shop.store.deployments.get(number))
        await self._say(row, None)
        for number in deployments:
            await self._shop.store.deployments.cancelled(number, BROKEN_OFF)

    async def _restart(self, row: PreviewRow, deployment_id: int) -> bool:
        """Starts the live deployment again; if it does not come back, the watch tries later."""
        deployment = await self._shop.store.deployments.get(deployment_id)
        try:
            await revive(self._shop, row, deployment)
        except PreviewDropError as error:
            log.warning("%s does not come back: %s", row.name, error)
            sentence = f"The app ended and does not come back; it is tried again. {error.message}"
            await self._shop.store.previews.wait(row.preview.id, sentence)
            self._watch.try_later(row.preview.id, deployment_id)
            return False
        return True

    async def _reroute(self, row: PreviewRow, deployment_id: int) -> None:
        deployment = await self._shop.store.deployments.get(deployment_id)
        handle = deployment.handle or {}
        route = Route(self._shop.names(row).host, str(handle.get("upstream")))
        await self._shop.drivers.edge.ensure(route)

    async def _remove(self, row: PreviewRow) -> None:
        self._watch.forget(row.preview.live)
        await self._drains.finish(row.preview.id)
        await remove(self._shop, row)
        await self._shop.store.projects.drop_forgotten()
        await self._wake_waiting(row)

    async def _wait(self, row: PreviewRow) -> None:
        limit, project = self._limit(row), row.project.name
        await self._shop.store.previews.wait(
            row.preview.id,
            f"{project} has {limit} live previews, its limit. Remove one with `previewdrop down`, "
            f"or allow more with `previewdrop project set max_previews={limit + 2} -P {project}`.",
        )

    async def _settle(self, row: PreviewRow) -> None:
        """Watches over what serves from now on."""
        if row.preview.live is None or not row.preview.present:
            return
        await self._say(row, None)
        deployment = await self._shop.store.deployments.get(row.preview.live)
        if deployment.handle is not None:
            self._watch.over(
                row.preview.id, deployment.id, deployment.handle, self._shop.names(row).host
            )

    async def _say(self, row: PreviewRow, sentence: str | None) -> None:
        """Records what the preview waits for, if that is not what is recorded already."""
        if row.preview.waiting != sentence:
            await self._shop.store.previews.wait(row.preview.id, sentence)

    async def _wake_waiting(self, row: PreviewRow) -> None:
        for preview_id in await self._shop.store.previews.waiting(row.project.id):
            await self._wake(preview_id)


def _desired(row: PreviewRow) -> Desired:
    preview = row.preview
    return Desired(preview.present, preview.commit, preview.generation)
