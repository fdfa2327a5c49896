"""route: the preview's URL is switched to the new deployment."""

from __future__ import annotations

from previewdrop.domain.preview import StageName
from previewdrop.domain.spec import Route
from previewdrop.drivers.base import Handle
from previewdrop.pipeline.deploying import Deploying
from previewdrop.pipeline.patience import patiently


async def route(work: Deploying, handle: Handle) -> None:
    """From here on requests go to the new deployment; running ones end where they are."""
    async with work.journal.stage(StageName.ROUTE) as stage:
        wanted = Route(work.names.host, str(handle["upstream"]))
        await patiently(lambda: work.shop.drivers.edge.ensure(wanted), stage.log)
        stage.note = wanted.host
