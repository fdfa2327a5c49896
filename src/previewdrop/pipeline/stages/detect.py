"""detect: what the repository is and how it wants to be deployed; nothing of it is run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from previewdrop.config.project import ProjectConfig
from previewdrop.config.project_file import merge, read
from previewdrop.domain.preview import StageName
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.environment import Release, check_environment
from previewdrop.pipeline.recipe import read_recipe
from previewdrop.source.detect import detect as find_app

ENTRYPOINT = "bin/preview-entrypoint.sh"


async def detect(work: Deploying) -> Detected:
    """The facts and the settings: the file's, below the server's, within the server's limits."""
    async with work.journal.stage(StageName.DETECT) as stage:
        file = await asyncio.to_thread(read, work.folder)
        for note in file.notes:
            work.journal.note(note)
        config = merge(file.config, work.server_settings)
        facts = await asyncio.to_thread(find_app, work.folder, root=config.root, app=config.app)
        for line in facts.why:
            stage.log(line)
        for warning in facts.warnings:
            stage.log(warning)
            work.journal.note(warning)
        stage.note = facts.app.import_string
        recipe = await asyncio.to_thread(
            read_recipe, work.folder, config, facts.root, work.row, work.variables
        )
        config = _with_entrypoint(config, work.folder, facts.root)
        runtime = await work.shop.choice.of(facts, config, await _former_runtime(work))
        found = Detected(facts, config, recipe, runtime)
        check_environment(work.shop, Release(work.row, work.deployment_id, work.commit, found))
        return found


async def _former_runtime(work: Deploying) -> str | None:
    live = work.row.preview.live
    if live is None:
        return None
    return (await work.shop.store.deployments.get(live)).made.get("runtime")


def _with_entrypoint(config: ProjectConfig, folder: Path, root: str) -> ProjectConfig:
    """Without a post-deploy command of its own, a repository's entrypoint script is it."""
    if config.post_deploy is not None or not (folder / root / ENTRYPOINT).is_file():
        return config
    return config.model_copy(update={"post_deploy": f"bash {ENTRYPOINT}"})
