"""Starting a live deployment again whose processes ended, from what the store kept of it."""

from __future__ import annotations

import asyncio
import logging

from previewdrop.domain.errors import StageFailed
from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import Route, RunSpec
from previewdrop.drivers.base import Artifact, BuildSpec, Endpoint
from previewdrop.pipeline.deploying import Detected, Workshop
from previewdrop.pipeline.environment import environment_for, run_spec
from previewdrop.pipeline.holdings import cache_spec, wanted_database
from previewdrop.pipeline.journal import Stage
from previewdrop.pipeline.stages.health import wait_until_healthy
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Deployment

log = logging.getLogger(__name__)


async def revive(shop: Workshop, row: PreviewRow, deployment: Deployment) -> None:
    """Starts the processes, waits until they are healthy and routes to them.

    StageFailed when the app does not come back; what was made for it is made again if it is gone.
    """
    found = Detected.from_json(deployment.made)
    artifact = await shop.drivers.builder.ensure(
        _build_spec(shop, row, deployment, found), log.info
    )
    port = shop.drivers.runtime.choose_port(found.config.port)
    run = await _run(shop, row, deployment, found, artifact, port)
    handle = await shop.drivers.runtime.ensure(run)
    await shop.store.deployments.hold(deployment.id, handle)
    stage = Stage(StageName.HEALTH, log.info)
    await wait_until_healthy(shop, found.config.health, run, handle, stage)
    await shop.drivers.edge.ensure(Route(run.names.host, str(handle["upstream"])))


async def run_of(shop: Workshop, row: PreviewRow, deployment: Deployment) -> RunSpec:
    """The run of a live deployment, to start a command beside it."""
    if deployment.handle is None or not deployment.made:
        raise StageFailed(f"{row.name} does not run.", f"See `previewdrop status {row.name}`.")
    found = Detected.from_json(deployment.made)
    artifact = Artifact(deployment.made["artifact"], cached=True, note="")
    port = int(deployment.handle["port"])
    return await _run(shop, row, deployment, found, artifact, port)


async def _run(
    shop: Workshop,
    row: PreviewRow,
    deployment: Deployment,
    found: Detected,
    artifact: Artifact,
    port: int,
) -> RunSpec:
    variables = await shop.store.variables.of(row.project.id)
    database, cache = await asyncio.gather(_database(shop, row, found), _cache(shop, row, found))
    environment = environment_for(
        shop,
        row,
        shop.folder(deployment.id),
        found,
        variables,
        deployment.commit,
        port,
        database,
        cache,
    )
    return run_spec(shop, row, deployment.id, found, artifact, environment, port)


async def _database(shop: Workshop, row: PreviewRow, found: Detected) -> Endpoint | None:
    spec = wanted_database(shop, row, found.config)
    if spec is None:
        return None
    endpoint, _ = await shop.drivers.database.ensure(spec)
    return endpoint


async def _cache(shop: Workshop, row: PreviewRow, found: Detected) -> Endpoint | None:
    number = row.preview.cache_number
    if number is None or not found.config.cache.enabled:
        return None
    endpoint, _ = await shop.drivers.cache.ensure(cache_spec(shop, row, number))
    return endpoint


def _build_spec(
    shop: Workshop, row: PreviewRow, deployment: Deployment, found: Detected
) -> BuildSpec:
    return BuildSpec(
        source=shop.folder(deployment.id),
        project=row.project.name,
        facts=found.facts,
        python=found.config.python or found.facts.dependencies.python,
        timeout=shop.settings.build_timeout,
    )
