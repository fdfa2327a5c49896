"""start: the web process and the extra ones, not yet reachable from outside."""

from __future__ import annotations

from collections.abc import Sequence

from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import RunSpec
from previewdrop.drivers.base import Handle
from previewdrop.pipeline.deploying import Deploying
from previewdrop.pipeline.patience import patiently


async def start(work: Deploying, run: RunSpec, notes: Sequence[str]) -> Handle:
    """Starts the processes and keeps their handle. `notes` on the environment go to the log."""
    async with work.journal.stage(StageName.START) as stage:
        for note in notes:
            stage.log(note)
        runtime = work.shop.drivers.runtime
        handle = await patiently(lambda: runtime.ensure(run), stage.log)
        await work.shop.store.deployments.hold(work.deployment_id, handle)
        stage.note = " + ".join(["web", *(process.name for process in run.processes)])
        return handle
