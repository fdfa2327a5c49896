"""post-deploy: migrations, seed data and own checks, beside the running app."""

from __future__ import annotations

from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import RunSpec
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.stages.command import run_command

ENTRYPOINT = "bin/preview-entrypoint.sh"


async def post_deploy(work: Deploying, found: Detected, run: RunSpec) -> None:
    """Runs the project's command, or `bin/preview-entrypoint.sh` if the repository has one."""
    command = found.config.post_deploy
    if command is None:
        if not (work.folder / found.facts.root / ENTRYPOINT).is_file():
            return
        command = f"bash {ENTRYPOINT}"
    async with work.journal.stage(StageName.POST_DEPLOY) as stage:
        await run_command(work, run, stage, command, work.shop.settings.post_deploy_timeout)
