"""/api/v1/previews and what is asked of them."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import APIRouter

from previewdrop.domain.commands import Verb
from previewdrop.domain.errors import Conflict
from previewdrop.domain.pulls import Mark
from previewdrop.store.pulls import PullRow
from previewdrop.web.api.depends import ControlDep, NamedPreview, show, show_again
from previewdrop.web.api.pulls import agreed, deploy_mark, pull_now
from previewdrop.web.api.schema import (
    ConnectionView,
    DeploymentView,
    PreviewRequest,
    PreviewView,
)
from previewdrop.web.api.views import deployment_view
from previewdrop.web.ports import Control

router = APIRouter(prefix="/api/v1", tags=["previews"])


@router.get("/previews")
async def list_previews(control: ControlDep, project: str | None = None) -> list[PreviewView]:
    """All previews that are not removed."""
    return [await show(control, row) for row in await control.store.previews.all(project)]


@router.get("/projects/{project}/previews")
async def list_of_project(project: str, control: ControlDep) -> list[PreviewView]:
    await control.store.projects.named(project)
    return await list_previews(control, project)


@router.post("/projects/{project}/previews", status_code=HTTPStatus.ACCEPTED)
async def want_preview(project: str, body: PreviewRequest, control: ControlDep) -> PreviewView:
    """Asks for a preview of a branch or pull request.

    Deploys unless the commit is live already, or touches nothing that `watch` names. For a pull
    request on a connected code host it is as the command `/preview` there.
    """
    owner = await control.store.projects.named(project)
    pull = await pull_now(control, owner, body.number)
    if pull is not None:
        return await _want_pull(pull, body, control)
    commit = await control.operations.resolve(owner, body.branch, body.commit)
    row = await control.store.previews.existing(project, body.branch, body.number)
    if row is not None and not await control.operations.concerned(row, commit):
        return await show(control, row)
    preview = await control.store.previews.want(project, body.branch, commit, body.number)
    await control.operations.changed(preview.id)
    return await show_again(control, preview.id)


@router.get("/previews/{project}/{preview}")
async def show_preview(row: NamedPreview, control: ControlDep) -> PreviewView:
    return await show(control, row)


@router.delete("/previews/{project}/{preview}", status_code=HTTPStatus.ACCEPTED)
async def remove_preview(row: NamedPreview, control: ControlDep) -> PreviewView:
    """Removes a preview and everything of it; that of a pull request stays away until asked for."""
    if row.preview.number is not None and row.preview.commit is not None:
        mark = Mark(datetime.now(UTC), Verb.STOP, row.preview.commit)
        await control.store.pulls.say(row.project.id, row.preview.number, mark)
    await control.store.previews.unwant(row.preview.id)
    await control.operations.changed(row.preview.id)
    return await show_again(control, row.preview.id)


@router.get("/previews/{project}/{preview}/deployments")
async def list_deployments(row: NamedPreview, control: ControlDep) -> list[DeploymentView]:
    """All deployments of a preview, newest first."""
    return [deployment_view(one) for one in await control.store.deployments.of(row.preview.id)]


@router.post("/previews/{project}/{preview}/redeploy", status_code=HTTPStatus.ACCEPTED)
async def redeploy(row: NamedPreview, control: ControlDep) -> PreviewView:
    """Deploys the wanted commit again, with the settings and variables of now."""
    return await _ask_again(row, control, fresh_database=False)


@router.post("/previews/{project}/{preview}/reset-db", status_code=HTTPStatus.ACCEPTED)
async def reset_database(row: NamedPreview, control: ControlDep) -> PreviewView:
    """Deploys again on a fresh, empty database."""
    return await _ask_again(row, control, fresh_database=True)


@router.get("/previews/{project}/{preview}/connection")
async def show_connection(row: NamedPreview, control: ControlDep) -> ConnectionView:
    """How to reach the preview's data from the server's machine, passwords included."""
    database, cache = await control.operations.connection(row)
    return ConnectionView(
        database_url=database.reveal() if database else None,
        redis_url=cache.reveal() if cache else None,
    )


async def _want_pull(pull: PullRow, body: PreviewRequest, control: Control) -> PreviewView:
    store, project, mark = control.store, pull.project, deploy_mark(pull)
    number, branch = pull.pull.number, pull.pull.branch
    shown = agreed(pull, mark, body.branch)
    if body.commit is not None and not shown.commit.startswith(body.commit.lower()):
        raise Conflict(
            f"Pull request {number} shows {shown.commit[:7]}, not {body.commit[:7]}.",
            "Push it, or leave out the commit.",
        )
    await store.pulls.say(project.id, number, mark)
    want = store.previews.want
    preview = await want(project.name, branch, shown.commit, number, secrets=shown.secrets)
    await control.operations.changed(preview.id)
    return await show_again(control, preview.id)


async def _ask_again(
    row: NamedPreview, control: ControlDep, *, fresh_database: bool
) -> PreviewView:
    if not row.preview.present:
        raise Conflict(f"{row.name} is being removed.", "Deploy it again with `previewdrop up`.")
    await control.store.previews.ask_again(row.preview.id, fresh_database=fresh_database)
    await control.operations.changed(row.preview.id)
    return await show_again(control, row.preview.id)
