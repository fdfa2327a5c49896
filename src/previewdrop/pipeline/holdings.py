"""What a preview holds outside its processes: the specs of its database and cache."""

from __future__ import annotations

from typing import Any

from previewdrop.config.project import ProjectConfig
from previewdrop.domain.naming import project_database
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec, DatabaseSpec
from previewdrop.pipeline.deploying import Workshop
from previewdrop.store.previews import PreviewRow


def wanted_database(shop: Workshop, row: PreviewRow, config: ProjectConfig) -> DatabaseSpec | None:
    """The database that the configuration asks for; None with `isolation = "none"`."""
    wanted, names = config.database, shop.names(row)
    if wanted.isolation == "none":
        return None
    by_schema = wanted.isolation == "schema"
    return DatabaseSpec(
        name=project_database(row.project.name) if by_schema else names.identifier,
        role=names.identifier,
        password=shop.password(names, "database"),
        isolation=wanted.isolation,
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
        password=shop.password(shop.names(row), "database"),
    )


def database_as_json(spec: DatabaseSpec) -> dict[str, Any]:
    """What the store remembers of a database; the password can be derived again."""
    return {"name": spec.name, "role": spec.role, "isolation": spec.isolation}


def cache_spec(shop: Workshop, row: PreviewRow, number: int) -> CacheSpec:
    names = shop.names(row)
    return CacheSpec(names.identifier, shop.password(names, "cache"), number)


def passwords(shop: Workshop, row: PreviewRow) -> list[Secret]:
    """Those of the preview's database and cache."""
    names = shop.names(row)
    return [shop.password(names, "database"), shop.password(names, "cache")]
