"""From rows to the objects of the API: pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from previewdrop.domain.preview import DeploymentState, StageName, StageState
from previewdrop.store.previews import PreviewRow
from previewdrop.store.tables import Deployment, Project
from previewdrop.store.variables import StoredVariable
from previewdrop.web.api.schema import (
    DatabaseView,
    DeploymentView,
    FailureView,
    PreviewView,
    ProjectView,
    RedisView,
    StageView,
    VariableView,
)


def preview_view(
    row: PreviewRow,
    url: str,
    health_path: str,
    live_commit: str | None,
    expire_after: timedelta,
    warnings: list[str],
) -> PreviewView:
    """A preview as the API shows it."""
    preview = row.preview
    used = max(filter(None, (preview.pushed_at, preview.last_request_at)))
    held = preview.database
    return PreviewView(
        name=row.name,
        project=row.project.name,
        number=preview.number,
        branch=preview.branch,
        state=preview.state,
        url=url,
        docs_url=f"{url}/docs",
        health_url=url + health_path,
        commit=live_commit,
        desired_commit=preview.commit,
        generation=preview.generation,
        database=_database_view(held) if held else None,
        redis=None if preview.cache_number is None else RedisView(db=preview.cache_number),
        deployment=deployment_view(row.latest) if row.latest else None,
        waiting=preview.waiting,
        warnings=warnings,
        created_at=preview.created_at,
        last_request_at=preview.last_request_at,
        expires_at=used + expire_after,
    )


def deployment_view(row: Deployment) -> DeploymentView:
    """A deployment as the API shows it."""
    ended = DeploymentState(row.state).ended
    stages = sorted((StageView.model_validate(stage) for stage in row.stages), key=_reading_order)
    return DeploymentView(
        id=row.id,
        commit=row.commit,
        title=row.title,
        generation=row.generation,
        state=row.state,
        error=FailureView.model_validate(row.error) if row.error else None,
        seconds=_seconds(row.created_at, row.finished_at),
        stages=[_settled(stage) for stage in stages] if ended else stages,
        notes=list(row.notes),
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def project_view(project: Project, previews: int) -> ProjectView:
    return ProjectView(
        name=project.name,
        source=project.source,
        settings=project.settings,
        previews=previews,
        created_at=project.created_at,
    )


def variable_view(variable: StoredVariable) -> VariableView:
    """A variable; a secret's value is left out."""
    return VariableView(
        name=variable.name,
        value=None if variable.secret else variable.value.reveal(),
        secret=variable.secret,
        branch=variable.branch,
        preview=variable.preview,
    )


def _reading_order(stage: StageView) -> int:
    return list(StageName).index(StageName(stage.name))


def _settled(stage: StageView) -> StageView:
    """A stage still running in a deployment that ended was cut off with its worker."""
    if stage.state != StageState.RUNNING:
        return stage
    return stage.model_copy(update={"state": StageState.CANCELLED.value})


def _database_view(held: dict[str, object]) -> DatabaseView:
    by_schema = held["isolation"] == "schema"
    schema = str(held["role"]) if by_schema else None
    return DatabaseView(name=str(held["name"]), user=str(held["role"]), schema=schema)


def _seconds(begin: datetime, end: datetime | None) -> float | None:
    return None if end is None else round((end - begin).total_seconds(), 3)
