"""cache: a numbered Redis database of the preview's own."""

from __future__ import annotations

from previewdrop.domain.preview import StageName, StageState
from previewdrop.drivers.base import Endpoint
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.holdings import cache_spec
from previewdrop.pipeline.patience import patiently


async def cache(work: Deploying, found: Detected) -> Endpoint | None:
    """Where the cache is; None when the project wants none."""
    async with work.journal.stage(StageName.CACHE) as stage:
        if not found.config.cache.enabled:
            stage.state, stage.note = StageState.SKIPPED, "not enabled"
            return None
        driver, previews = work.shop.drivers.cache, work.shop.store.previews

        async def attempt() -> Endpoint:
            number = work.row.preview.cache_number
            if number is None:
                number = await previews.lease_number(work.row.preview.id, await driver.capacity())
            endpoint, existed = await driver.ensure(
                cache_spec(work.shop, work.row, number, found.runtime)
            )
            stage.cached, stage.note = existed, f"database {number}"
            return endpoint

        return await patiently(attempt, stage.log)
