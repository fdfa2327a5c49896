"""One attempt: runs the stages, and records how it ended whatever happens."""

from __future__ import annotations

import asyncio
import logging

from previewdrop.domain.errors import PreviewDropError, StageFailed
from previewdrop.domain.preview import Failure
from previewdrop.domain.spec import PROCESS
from previewdrop.drivers.base import Handle
from previewdrop.pipeline.deploy import Superseded, deploy
from previewdrop.pipeline.deploying import Deploying, Workshop
from previewdrop.pipeline.holdings import passwords
from previewdrop.pipeline.journal import Journal
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Deployment

log = logging.getLogger(__name__)

SUPERSEDED = "A newer push replaced it."
INTERRUPTED = "The server stopped in the middle of it."
BROKEN_OFF = "It was broken off: what it needed did not answer."


async def attempt(shop: Workshop, row: PreviewRow, deployment: Deployment) -> None:
    """Brings the deployment to ready, failed or cancelled.

    A cancellation stops what runs, marks the deployment cancelled and goes on to the caller.
    """
    variables = await shop.store.variables.of(row.project.id)
    journal = Journal(
        shop.store.deployments,
        deployment.id,
        [*passwords(shop, row), *(variable.value for variable in variables if variable.secret)],
        shop.settings.log_bytes,
    )
    work = Deploying(shop, row, deployment.id, deployment.commit, variables, journal)
    try:
        database = await deploy(work)
        await journal.close()
        await shop.store.deployments.ready(deployment.id, database)
    except asyncio.CancelledError:
        await asyncio.shield(_give_up(work))
        raise
    except Superseded:
        await _give_up(work)
    except PreviewDropError as error:
        await _fail(work, _failure(work, error))
    except Exception as error:
        log.exception("deployment %s of %s broke", deployment.id, row.name)
        failure = _failure(work, PreviewDropError(f"PreviewDrop itself broke: {error!r}"))
        await _fail(work, failure)


async def clear(shop: Workshop, deployment: Deployment) -> None:
    """Takes away what a deployment that is over has left: its processes and its checkout."""
    runtime = deployment.made.get("runtime", PROCESS)
    ran: Handle = {"deployment": deployment.id, "runtime": runtime}
    await shop.drivers.runtime.remove(deployment.handle or ran)
    if deployment.handle is not None:
        await shop.store.deployments.hold(deployment.id, None)
    await shop.checkouts.remove_export(shop.folder(deployment.id))


async def _give_up(work: Deploying) -> None:
    await work.journal.close()
    deployments = work.shop.store.deployments
    await clear(work.shop, await deployments.get(work.deployment_id))
    wanted = await deployments.wanted(work.deployment_id)
    await deployments.cancelled(work.deployment_id, INTERRUPTED if wanted else SUPERSEDED)


async def _fail(work: Deploying, failure: Failure) -> None:
    await work.journal.close()
    deployments = work.shop.store.deployments
    await clear(work.shop, await deployments.get(work.deployment_id))
    await deployments.failed(work.deployment_id, failure)


def _failure(work: Deploying, error: PreviewDropError) -> Failure:
    """The error as people read it, with the last lines of the stage that broke."""
    broken = work.journal.broken
    stage = broken.name.value if broken else ""
    tail = tuple(broken.tail) if broken else ()
    redacted = work.journal.redacted
    code = status = None
    if isinstance(error, StageFailed):
        code, status = error.exit_code, error.status
        tail = tuple(redacted(line) for line in error.log_tail) or tail
    return Failure(
        stage=stage,
        message=redacted(error.message),
        hint=redacted(error.hint) if error.hint else None,
        exit_code=code,
        status=status,
        log_tail=tail,
    )
