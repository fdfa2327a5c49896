"""Starting a live deployment again whose processes ended, from what the store kept of it."""

from __future__ import annotations

import asyncio
import logging

from previewdrop.domain.errors import StageFailed
from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import Route, RunSpec
from previewdrop.drivers.base import Endpoint, Handle
from previewdrop.pipeline.deploying import Detected, Workshop
from previewdrop.pipeline.environment import Endpoints, Release, environment_for, run_spec
from previewdrop.pipeline.holdings import cache_spec, wanted_database
from previewdrop.pipeline.journal import Stage
from previewdrop.pipeline.recipe import Recipe
from previewdrop.pipeline.stages.health import wait_until_healthy
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Deployment

log = logging.getLogger(__name__)


async def revive(shop: Workshop, row: PreviewRow, deployment: Deployment) -> None:
    """Starts the processes, waits until they are healthy and routes to them.

    StageFailed when the app does not come back; its processes are stopped then.
    """
    found = detected_of(shop, row, deployment)
    artifact: Handle = deployment.made["artifact"]
    port = shop.drivers.runtime.choose_port(found.config.port, artifact)
    run = await _run(shop, row, deployment, found, port)
    handle = await shop.drivers.runtime.ensure(run)
    await shop.store.deployments.hold(deployment.id, handle)
    stage = Stage(StageName.HEALTH, log.info)
    try:
        await wait_until_healthy(shop, found.config.health, run, handle, stage)
    except BaseException:
        await asyncio.shield(shop.drivers.runtime.stop(handle, 0))
        raise
    await shop.drivers.edge.ensure(Route(run.names.host, str(handle["upstream"])))


async def run_of(shop: Workshop, row: PreviewRow, deployment: Deployment) -> RunSpec:
    """The run of a live deployment, to start a command beside it."""
    found = detected_of(shop, row, deployment)
    handle = deployment.handle or {}
    return await _run(shop, row, deployment, found, int(handle["port"]))


def detected_of(shop: Workshop, row: PreviewRow, deployment: Deployment) -> Detected:
    """What the deployment's stages found; StageFailed if it never came so far."""
    if deployment.handle is None or not deployment.made or deployment.recipe is None:
        raise StageFailed(f"{row.name} does not run.", f"See `previewdrop status {row.name}`.")
    recipe = Recipe.unsealed(shop.store.box.decrypt(deployment.recipe))
    return Detected.from_json(deployment.made, recipe)


async def _run(
    shop: Workshop, row: PreviewRow, deployment: Deployment, found: Detected, port: int
) -> RunSpec:
    release = Release(row, deployment.id, deployment.commit, found)
    database, cache = await asyncio.gather(_database(shop, row, found), _cache(shop, row, found))
    environment = environment_for(shop, release, Endpoints(database, cache), port)
    return run_spec(shop, release, deployment.made["artifact"], environment, port)


async def _database(shop: Workshop, row: PreviewRow, found: Detected) -> Endpoint | None:
    spec = wanted_database(shop, row, found)
    if spec is None:
        return None
    endpoint, _ = await shop.drivers.database.ensure(spec)
    return endpoint


async def _cache(shop: Workshop, row: PreviewRow, found: Detected) -> Endpoint | None:
    number = row.preview.cache_number
    if number is None or not found.config.cache.enabled:
        return None
    endpoint, _ = await shop.drivers.cache.ensure(cache_spec(shop, row, number, found.runtime))
    return endpoint
