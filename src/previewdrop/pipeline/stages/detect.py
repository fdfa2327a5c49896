"""detect: what the repository is and how it wants to be deployed; nothing of it is run."""

from __future__ import annotations

import asyncio

from previewdrop.config.project_file import merge, read
from previewdrop.domain.preview import StageName
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.environment import check_environment
from previewdrop.source.detect import detect as find_app


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
        found = Detected(facts, config)
        check_environment(work.shop, work.row, work.folder, found, work.variables, work.commit)
        return found
