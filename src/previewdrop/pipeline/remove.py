"""Removing a preview: everything of it, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Sequence

from previewdrop.pipeline.attempt import clear
from previewdrop.pipeline.deploying import Workshop
from previewdrop.pipeline.holdings import cache_spec, held_database
from previewdrop.pipeline.patience import together
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Deployment


async def remove(shop: Workshop, row: PreviewRow) -> None:
    """Takes away the route first, then the processes, then the data, and records that.

    Each step succeeds when there is nothing to take away, so that a removal that was interrupted
    is simply done again.
    """
    drivers, preview = shop.drivers, row.preview
    await drivers.edge.remove(shop.names(row).host)
    deployments = await shop.store.deployments.of(preview.id)
    await together(
        *(clear(shop, one) for one in deployments if one.handle or one.id == preview.live)
    )
    database = held_database(shop, row)
    if database is not None:
        await drivers.database.remove(database)
    if preview.cache_number is not None:
        await drivers.cache.remove(cache_spec(shop, row, preview.cache_number, None))
    await _discard_artifacts(shop, preview.id, deployments)
    await shop.store.previews.removed(preview.id)


async def _discard_artifacts(
    shop: Workshop, preview_id: int, deployments: Sequence[Deployment]
) -> None:
    """Only while nothing is built: it might be finding the same artifact at this very moment."""
    others = await shop.store.deployments.artifacts(besides=preview_id)
    made = {one.made["artifact"]["key"] for one in deployments if "artifact" in one.made}
    if made and None not in others:
        await shop.drivers.builder.discard(made - others)
