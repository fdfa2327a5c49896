"""checkout: exactly the wanted commit, from the local mirror, without its history."""

from __future__ import annotations

from previewdrop.domain.preview import StageName
from previewdrop.domain.secret import Secret
from previewdrop.pipeline.deploying import Deploying
from previewdrop.pipeline.patience import patiently


async def checkout(work: Deploying) -> None:
    """Exports the commit to the deployment's folder and tells its title."""
    checkouts, source = work.shop.checkouts, work.row.project.source
    timeout = work.shop.settings.fetch_timeout

    async with work.journal.stage(StageName.CHECKOUT) as stage:

        async def fetch(login: Secret | None) -> str:
            return await checkouts.fetch(
                source, commit=work.commit, log=stage.log, timeout=timeout, credentials=login
            )

        async def attempt() -> None:
            sha = await work.shop.hosts.with_login(work.row.project, fetch)
            commit = await checkouts.commit(source, sha, timeout=timeout)
            export = await checkouts.export(source, sha, work.folder, stage.log, timeout=timeout)
            for warning in export.warnings:
                work.journal.note(warning)
            await work.shop.store.deployments.called(work.deployment_id, commit.title)

        await patiently(attempt, stage.log)
