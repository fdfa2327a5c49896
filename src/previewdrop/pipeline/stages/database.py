"""database: the preview's own database and role, fresh when the old one cannot be used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from previewdrop.domain.database import Fate
from previewdrop.domain.preview import StageName, StageState
from previewdrop.domain.spec import DatabaseSpec
from previewdrop.drivers.base import Endpoint
from previewdrop.pipeline.deploying import Deploying, Detected
from previewdrop.pipeline.holdings import database_as_json, held_database, wanted_database
from previewdrop.pipeline.journal import Stage
from previewdrop.pipeline.patience import patiently


@dataclass(frozen=True, slots=True)
class Readied:
    """A database that a deployment may use. `revisions` are those it is at, None if unknown."""

    endpoint: Endpoint
    fate: Fate
    revisions: tuple[str, ...] | None


async def database(work: Deploying, found: Detected) -> Readied | None:
    """Makes the database usable; None when the project wants none.

    A database whose revisions the commit does not know is recreated, since a rebase rewrote its
    migrations; so is one that somebody asked to reset.
    """
    async with work.journal.stage(StageName.DATABASE) as stage:
        wanted = wanted_database(work.shop, work.row, found)
        if wanted is None:
            stage.state, stage.note = StageState.SKIPPED, 'isolation = "none"'
            return None
        return await patiently(lambda: _bring_about(work, found, wanted, stage), stage.log)


async def _bring_about(
    work: Deploying, found: Detected, wanted: DatabaseSpec, stage: Stage
) -> Readied:
    driver, preview = work.shop.drivers.database, work.row.preview
    await _remove_former(work, wanted)
    there = await _revisions(work, found, wanted)
    reason = _unusable(work, found, there or ())
    if reason:
        await driver.remove(wanted)
        work.journal.note(f"The database was recreated: {reason}.")
        stage.log(f"recreated: {reason}")
    held = database_as_json(wanted)
    hold = work.shop.store.previews.hold_database
    if preview.database != held:
        await hold(preview.id, held, preview.reset_done)
    endpoint, existed = await driver.ensure(wanted)
    if preview.reset_done != preview.reset_wanted:
        await hold(preview.id, held, preview.reset_wanted)
    stage.cached, stage.note = existed, wanted.role
    if existed:
        return Readied(endpoint, Fate.KEPT, there)
    return Readied(endpoint, Fate.RECREATED if reason else Fate.CREATED, ())


def _unusable(work: Deploying, found: Detected, revisions: Collection[str]) -> str | None:
    """Why the database that is there cannot be kept; None when it can, or there is none."""
    preview, migrations = work.row.preview, found.facts.migrations
    if preview.database is None:
        return None
    if preview.reset_wanted > preview.reset_done:
        return "a reset was asked for"
    unknown = set(revisions) - (migrations.revisions if migrations else set())
    if not unknown:
        return None
    names = ", ".join(sorted(unknown))
    return f"it was at revision {names}, which this commit does not know"


async def _revisions(
    work: Deploying, found: Detected, wanted: DatabaseSpec
) -> tuple[str, ...] | None:
    """Where the database is that may be there; None if that says nothing about the commit."""
    preview, migrations = work.row.preview, found.facts.migrations
    if preview.database is None or preview.reset_wanted > preview.reset_done:
        return None
    if migrations is None or not migrations.revisions or migrations.warnings:
        return None
    return (await work.shop.drivers.database.observe(wanted)).revisions


async def _remove_former(work: Deploying, wanted: DatabaseSpec) -> None:
    """Takes away a database of another kind of isolation or on another server."""
    former = held_database(work.shop, work.row)
    if former and (former.name, former.server) != (wanted.name, wanted.server):
        if former.server != wanted.server:
            work.journal.note(
                f"The database was made anew: this preview runs in {wanted.server} now."
            )
        await work.shop.drivers.database.remove(former)
