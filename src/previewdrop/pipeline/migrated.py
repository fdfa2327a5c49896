"""How many migrations a deployment has applied, whichever of its commands did that."""

from __future__ import annotations

import logging

from previewdrop.domain.database import Change, Fate
from previewdrop.domain.errors import PreviewDropError
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.holdings import wanted_database
from previewdrop.pipeline.stages.database import Readied

log = logging.getLogger(__name__)


async def migrated(work: Deploying, found: Detected, database: Readied | None) -> Change | None:
    """What became of the database; to be asked when the commands are through.

    None without a database. A database that does not tell costs the count and nothing else.
    """
    if database is None:
        return None
    return Change(database.fate, await _applied(work, found, database))


async def _applied(work: Deploying, found: Detected, database: Readied) -> int | None:
    graph, before = found.facts.migrations, database.revisions
    if graph is None or not graph.revisions or before is None:
        return None
    if database.fate is Fate.KEPT and set(before) == set(graph.heads):
        return 0
    wanted = wanted_database(work.shop, work.row, found)
    if wanted is None:
        return None
    try:
        now = await work.shop.drivers.database.observe(wanted)
    except PreviewDropError as error:
        log.info("migrations of %s: %s", work.row.name, error)
        return None
    return graph.applied(before, now.revisions)
