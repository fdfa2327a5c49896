"""What a preview holds outside its processes: the specs of its database and cache."""

from __future__ import annotations

from typing import Any

from previewdrop.domain.naming import project_database
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import PROCESS, CacheSpec, DatabaseSpec
from previewdrop.pipeline.deploying import Detected, Workshop
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Deployment


def wanted_database(shop: Workshop, row: PreviewRow, found: Detected) -> DatabaseSpec | None:
    """The database that the configuration asks for; None with `isolation = "none"`."""
    wanted, names = found.config.database, shop.names(row)
    if wanted.isolation == "none":
        return None
    by_schema = wanted.isolation == "schema"
    return DatabaseSpec(
        name=project_database(row.project.name) if by_schema else names.identifier,
        role=names.identifier,
        password=shop.password(names, "database"),
        isolation=wanted.isolation,
        server=PROCESS if shop.settings.postgres_url else found.runtime,
        extensions=tuple(wanted.extensions),
        connections=wanted.connections,
    )


def held_database(shop: Workshop, row: PreviewRow) -> DatabaseSpec | None:
    """The database that the preview has, as the store remembers it."""
    held = row.preview.database
    if held is None:
        return None
    return DatabaseSpec(
        name=str(held["name"]),
        role=str(held["role"]),
        isolation=str(held["isolation"]),
        server=str(held.get("server", PROCESS)),
        password=shop.password(shop.names(row), "database"),
    )


def database_as_json(spec: DatabaseSpec) -> dict[str, Any]:
    """What the store remembers of a database; the password can be derived again."""
    return {
        "name": spec.name,
        "role": spec.role,
        "isolation": spec.isolation,
        "server": spec.server,
    }


def cache_spec(shop: Workshop, row: PreviewRow, number: int, runtime: str | None) -> CacheSpec:
    """The number on the runtime's server; without a runtime, to remove it, on each server."""
    names = shop.names(row)
    server = PROCESS if shop.settings.redis_url else runtime
    return CacheSpec(names.identifier, shop.password(names, "cache"), number, server)


async def drop_unwanted_database(shop: Workshop, row: PreviewRow, live: Deployment) -> None:
    """Drops a database that the live deployment wants no more, now that nothing else uses it."""
    held = held_database(shop, row)
    if held is not None and live.made["config"]["database"]["isolation"] == "none":
        await shop.drivers.database.remove(held)
        await shop.store.previews.hold_database(row.preview.id, None, row.preview.reset_wanted)


def passwords(shop: Workshop, row: PreviewRow) -> list[Secret]:
    """Those of the preview's database and cache."""
    names = shop.names(row)
    return [shop.password(names, "database"), shop.password(names, "cache")]
