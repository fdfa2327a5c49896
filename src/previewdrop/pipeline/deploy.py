"""The stages of one deployment, in their order, side by side where they can be."""

from __future__ import annotations

import asyncio

from previewdrop.domain.database import Change
from previewdrop.domain.preview import DeploymentState
from previewdrop.drivers.base import Artifact
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.environment import (
    Endpoints,
    Release,
    environment_for,
    run_spec,
)
from previewdrop.pipeline.migrated import migrated
from previewdrop.pipeline.patience import together
from previewdrop.pipeline.stages.build import build
from previewdrop.pipeline.stages.cache import cache
from previewdrop.pipeline.stages.checkout import checkout
from previewdrop.pipeline.stages.database import Readied, database
from previewdrop.pipeline.stages.detect import detect
from previewdrop.pipeline.stages.health import health
from previewdrop.pipeline.stages.post_deploy import post_deploy
from previewdrop.pipeline.stages.release import release
from previewdrop.pipeline.stages.route import route
from previewdrop.pipeline.stages.start import start


class Superseded(Exception):
    """Something newer is wanted; this deployment must not go live."""


async def deploy(work: Deploying) -> Change | None:
    """Brings one commit to where its URL can be switched, and switches it.

    Returns what became of its database. Raises what a stage raised, and Superseded when something
    newer is wanted. Whatever was started is taken away again unless the URL was switched.
    """
    deployments = work.shop.store.deployments
    await deployments.advance(work.deployment_id, DeploymentState.BUILDING)
    await checkout(work)
    found = await detect(work)
    artifact, readied, endpoints = await _prepare(work, found)
    made = {**found.as_json(), "artifact": artifact.handle}
    sealed = work.shop.store.box.encrypt(found.recipe.sealed())
    await deployments.made(work.deployment_id, made, sealed)

    await deployments.advance(work.deployment_id, DeploymentState.DEPLOYING)
    port = work.shop.drivers.runtime.choose_port(found.config.port, artifact.handle)
    commit = Release(work.row, work.deployment_id, work.commit, found)
    environment = environment_for(work.shop, commit, endpoints, port)
    work.journal.redact(environment.secrets)
    run = run_spec(work.shop, commit, artifact.handle, environment, port)

    await release(work, found, run)
    handle = await start(work, run, environment.notes)
    await health(work, found, run, handle)
    await post_deploy(work, found, run)
    if not await deployments.wanted(work.deployment_id):
        raise Superseded
    counting = asyncio.ensure_future(migrated(work, found, readied))
    await together(route(work, handle), counting)
    return counting.result()


async def _prepare(work: Deploying, found: Detected) -> tuple[Artifact, Readied | None, Endpoints]:
    """build, database and cache at the same time."""
    building = asyncio.ensure_future(build(work, found))
    creating = asyncio.ensure_future(database(work, found))
    leasing = asyncio.ensure_future(cache(work, found))
    await together(building, creating, leasing)
    readied = creating.result()
    endpoints = Endpoints(readied.endpoint if readied else None, leasing.result())
    return building.result(), readied, endpoints
