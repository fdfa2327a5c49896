"""post-deploy: migrations, seed data and own checks, beside the running app."""

from __future__ import annotations

from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import RunSpec
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.stages.command import run_command


async def post_deploy(work: Deploying, found: Detected, run: RunSpec) -> None:
    """Runs the post-deploy command, if there is one."""
    command = found.config.post_deploy
    if not command:
        return
    async with work.journal.stage(StageName.POST_DEPLOY) as stage:
        await run_command(work, run, stage, command, work.shop.settings.post_deploy_timeout)
