"""release: the command that runs before the new deployment gets any traffic."""

from __future__ import annotations

from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import RunSpec
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.stages.command import run_command


async def release(work: Deploying, found: Detected, run: RunSpec) -> None:
    """Runs the release command, if the project has one."""
    command = found.config.release
    if not command:
        return
    async with work.journal.stage(StageName.RELEASE) as stage:
        await run_command(work, run, stage, command, work.shop.settings.release_timeout)
