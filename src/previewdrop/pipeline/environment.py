"""A preview's complete environment and run, made from what was taken down and what there is."""

from __future__ import annotations

from dataclasses import dataclass

from previewdrop.domain.env import Environment, resolve
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import Process, RunSpec
from previewdrop.domain.urls import CacheAccess, DatabaseAccess
from previewdrop.domain.variables import OwnVariables, pool_size_for
from previewdrop.drivers.base import Endpoint, Handle
from previewdrop.pipeline.deploying import Detected, Workshop
from previewdrop.store.previews import PreviewRow

_UNRESOLVED = Endpoint("db", 1, "0", "unresolved", Secret("unresolved"))


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the preview's database and cache are; None for what it does not want."""

    database: Endpoint | None
    cache: Endpoint | None


@dataclass(frozen=True, slots=True)
class Release:
    """One commit of one preview that is to run: `deployment` is the id of its deployment."""

    row: PreviewRow
    deployment: int
    commit: str
    found: Detected


def environment_for(
    shop: Workshop, release: Release, endpoints: Endpoints, port: int
) -> Environment:
    """Everything the preview's processes get; BadTemplate or BadName when it cannot be resolved."""
    row, recipe = release.row, release.found.recipe
    own = OwnVariables(
        port=port,
        url=shop.url(row),
        name=row.name,
        number=row.preview.number,
        branch=row.preview.branch,
        commit=release.commit,
        project=row.project.name,
        database=_database_access(endpoints.database),
        cache=_cache_access(endpoints.cache),
        pool_size=pool_size_for(release.found.config.database.connections),
    )
    return resolve(recipe.template, recipe.layers, own, recipe.file)


def check_environment(shop: Workshop, release: Release) -> None:
    """Raises what `environment_for` will raise, before anything is built or created."""
    config = release.found.config
    database = None if config.database.isolation == "none" else _UNRESOLVED
    cache = _UNRESOLVED if config.cache.enabled else None
    environment_for(shop, release, Endpoints(database, cache), 1)


def run_spec(
    shop: Workshop, release: Release, artifact: Handle, environment: Environment, port: int
) -> RunSpec:
    """What the runtime starts."""
    facts, config = release.found.facts, release.found.config
    return RunSpec(
        installation=shop.home.installation,
        names=shop.names(release.row),
        deployment=release.deployment,
        source=str(shop.folder(release.deployment)),
        root=facts.root,
        import_path=facts.import_path,
        artifact=artifact,
        environment=environment.variables,
        port=port,
        web=shop.drivers.runtime.web_command(facts, port, artifact),
        processes=tuple(Process(name, command) for name, command in config.processes.items()),
        limits=config.limits.capped(shop.settings.ceilings),
    )


def _database_access(endpoint: Endpoint | None) -> DatabaseAccess | None:
    if endpoint is None:
        return None
    return DatabaseAccess(
        endpoint.host,
        endpoint.port,
        endpoint.name,
        endpoint.user,
        endpoint.password,
        endpoint.schema,
    )


def _cache_access(endpoint: Endpoint | None) -> CacheAccess | None:
    if endpoint is None:
        return None
    return CacheAccess(
        endpoint.host, endpoint.port, int(endpoint.name), endpoint.user, endpoint.password
    )
