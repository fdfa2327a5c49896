"""A preview's complete environment and run, made from what is stored and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from previewdrop.domain.env import Environment, resolve
from previewdrop.domain.errors import BadTemplate
from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import Process, RunSpec
from previewdrop.domain.template import TEMPLATE_BYTES, decode
from previewdrop.domain.urls import CacheAccess, DatabaseAccess
from previewdrop.domain.variables import Layer, OwnVariables, branch_layers, pool_size_for
from previewdrop.drivers.base import Artifact, Endpoint
from previewdrop.pipeline.deploying import Detected, Workshop
from previewdrop.store.previews import PreviewRow
from previewdrop.store.variables import StoredVariable

_UNRESOLVED = Endpoint("db", 1, "0", "unresolved", Secret("unresolved"))


def environment_for(
    shop: Workshop,
    row: PreviewRow,
    folder: Path,
    found: Detected,
    variables: Sequence[StoredVariable],
    commit: str,
    port: int,
    database: Endpoint | None,
    cache: Endpoint | None,
) -> Environment:
    """Everything the preview's processes get; BadTemplate or BadName when it cannot be resolved."""
    own = OwnVariables(
        port=port,
        url=shop.url(row),
        name=row.name,
        number=row.preview.number,
        branch=row.preview.branch,
        commit=commit,
        project=row.project.name,
        database=_database_access(database),
        cache=_cache_access(cache),
        pool_size=pool_size_for(found.config.database.connections),
    )
    template, file = _template(folder, found)
    return resolve(template, layers_for(row, variables), own, file)


def check_environment(
    shop: Workshop,
    row: PreviewRow,
    folder: Path,
    found: Detected,
    variables: Sequence[StoredVariable],
    commit: str,
) -> None:
    """Raises what `environment_for` will raise, before anything is built or created."""
    database = None if found.config.database.isolation == "none" else _UNRESOLVED
    cache = _UNRESOLVED if found.config.cache.enabled else None
    environment_for(shop, row, folder, found, variables, commit, 1, database, cache)


def layers_for(row: PreviewRow, variables: Sequence[StoredVariable]) -> list[Layer]:
    """Project variables, overrides of branches the most exact last, then the preview's own."""
    everywhere = [v for v in variables if v.branch is None and v.preview is None]
    globs = {v.branch for v in variables if v.branch is not None}
    overrides = {
        glob: _layer(f"variables for {glob}", [v for v in variables if v.branch == glob])
        for glob in globs
    }
    own = [v for v in variables if v.preview == row.preview.slug]
    return [
        _layer("project variables", everywhere),
        *branch_layers(overrides, row.preview.branch),
        _layer(f"variables of {row.name}", own),
    ]


def run_spec(
    shop: Workshop,
    row: PreviewRow,
    deployment_id: int,
    found: Detected,
    artifact: Artifact,
    environment: Environment,
    port: int,
) -> RunSpec:
    """What the runtime starts."""
    config = found.config
    return RunSpec(
        installation=shop.home.installation,
        names=shop.names(row),
        deployment=deployment_id,
        source=str(shop.folder(deployment_id)),
        root=found.facts.root,
        import_path=found.facts.import_path,
        artifact=artifact.handle,
        environment=environment.variables,
        port=port,
        web=shop.drivers.runtime.web_command(found.facts, port),
        processes=tuple(Process(name, command) for name, command in config.processes.items()),
        limits=config.limits.capped(shop.settings.ceilings),
    )


def known_secrets(
    shop: Workshop, row: PreviewRow, variables: Sequence[StoredVariable]
) -> list[Secret]:
    """What must never be read in a log, as far as it is known before anything was resolved."""
    names = shop.names(row)
    own = [shop.password(names, "database"), shop.password(names, "cache")]
    return [*own, *(variable.value for variable in variables if variable.secret)]


def _template(folder: Path, found: Detected) -> tuple[str | None, str]:
    """The env template's text and where it stands; None if the commit has none."""
    for name in found.config.env_files(found.facts.root):
        place = folder / name
        if not place.is_file():
            continue
        if place.stat().st_size > TEMPLATE_BYTES:
            raise BadTemplate(f"{name} is larger than {TEMPLATE_BYTES // 1024} KiB.")
        return decode(place.read_bytes(), name), name
    return None, found.config.env_file


def _layer(name: str, variables: Sequence[StoredVariable]) -> Layer:
    values = {variable.name: variable.value.reveal() for variable in variables}
    return Layer(name, values, frozenset(v.name for v in variables if v.secret))


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
