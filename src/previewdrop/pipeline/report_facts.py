"""What there is to report of a pull request, from the rows of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from previewdrop.config.project import ProjectConfig
from previewdrop.domain.database import Change, Fate
from previewdrop.domain.preview import (
    DeploymentState,
    Failure,
    PreviewState,
    StageName,
    StageState,
)
from previewdrop.domain.reasons import FORGOTTEN, Why
from previewdrop.report.facts import Attempt, Database, Facts, Removal, StageFacts
from previewdrop.store.previews import PreviewRow
from previewdrop.store.pulls import PullRow
from previewdrop.store.tables import Deployment

_LEAVES = frozenset({Why.UNAPPROVED, Why.SKIPPED, Why.UNWATCHED})
"""Reasons that leave a preview as it is; with all others there is none."""


def facts_of(
    pull: PullRow,
    row: PreviewRow | None,
    deployments: Sequence[Deployment],
    name: str,
    url: str,
    details_url: str | None,
) -> Facts:
    """`row` and `deployments` (newest first) are those of the pull request's preview, if any."""
    told, reason = pull.pull, pull.reason
    live = next((d for d in deployments if row and d.id == row.preview.live), None)
    config = ProjectConfig.model_validate(live.made["config"]) if live else ProjectConfig()
    present = row is not None and row.preview.present
    return Facts(
        name=name,
        ref=told.head if told.fork is not False else told.branch,
        head=told.head,
        url=url,
        docs_url=f"{url}/docs",
        health_url=url + config.health,
        desired=row.preview.commit if row and present else None,
        live=_attempt(live) if live else None,
        newest=_attempt(deployments[0]) if deployments else None,
        database=_database(row, live) if row else None,
        waiting=row.preview.waiting if row else None,
        skipped=reason if reason and (reason.why in _LEAVES or row is None) else None,
        removal=_removal(pull, row),
        sleeping=row is not None and row.preview.state == PreviewState.SLEEPING,
        details_url=details_url,
    )


def _removal(pull: PullRow, row: PreviewRow | None) -> Removal | None:
    """Of a project that was removed, nothing is left, also where there was no preview."""
    done = row is None or row.preview.state == PreviewState.REMOVED
    if not pull.project.present:
        return Removal(done, FORGOTTEN)
    if row is None or row.preview.present:
        return None
    return Removal(done, pull.reason)


def _attempt(deployment: Deployment) -> Attempt:
    state = DeploymentState(deployment.state)
    seconds = None
    if deployment.finished_at is not None:
        seconds = (deployment.finished_at - deployment.created_at).total_seconds()
    return Attempt(
        id=deployment.id,
        commit=deployment.commit,
        state=state,
        title=deployment.title,
        seconds=seconds,
        stages=tuple(_stage(each, ended=state.ended) for each in deployment.stages),
        notes=tuple(deployment.notes),
        failure=_failure(deployment.error) if deployment.error else None,
    )


def _stage(stage: Mapping[str, Any], *, ended: bool) -> StageFacts:
    """One still running in a deployment that ended was cut off with its worker."""
    state = StageState(stage["state"])
    if ended and state is StageState.RUNNING:
        state = StageState.CANCELLED
    return StageFacts(StageName(stage["name"]), state, stage["seconds"], bool(stage["cached"]))


def _failure(error: Mapping[str, Any]) -> Failure:
    return Failure(
        stage=error["stage"],
        message=error["message"],
        hint=error["hint"],
        exit_code=error["exit_code"],
        status=error["status"],
        log_tail=tuple(error["log_tail"]),
    )


def _database(row: PreviewRow, live: Deployment | None) -> Database | None:
    held = row.preview.database
    if held is None:
        return None
    told = live.database if live else None
    change = Change(Fate(told["fate"]), told["migrations"]) if told else None
    return Database(str(held["name"]), change)
