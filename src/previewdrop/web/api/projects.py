"""/api/v1/projects"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import APIRouter

from previewdrop.config.project import ProjectConfig
from previewdrop.config.project_file import merge, setting
from previewdrop.config.pull_rules import PREFIX, pull_rules, rule
from previewdrop.domain.errors import BadConfig, Conflict
from previewdrop.domain.naming import check_project_name, project_name
from previewdrop.source.address import parse_address
from previewdrop.store.tables import Project
from previewdrop.web.api.depends import ControlDep
from previewdrop.web.api.schema import ProjectPatch, ProjectRequest, ProjectView
from previewdrop.web.api.views import project_view
from previewdrop.web.ports import Control

router = APIRouter(prefix="/api/v1/projects", tags=["projects"])

MAX_PREVIEWS = "max_previews"


@router.get("")
async def list_projects(control: ControlDep, source: str | None = None) -> list[ProjectView]:
    """All projects, or those of one repository."""
    wanted = None if source is None else parse_address(source).text
    return [project_view(*row) for row in await control.store.projects.all(wanted)]


@router.post("", status_code=HTTPStatus.CREATED)
async def add_project(body: ProjectRequest, control: ControlDep) -> ProjectView:
    """Adds a repository as a project, named after it, with a number if need be, or as given.

    A user name and a password in the URL are kept encrypted and never shown.
    """
    project = await added(body, control)
    return project_view(project, 0)


async def added(body: ProjectRequest, control: Control) -> Project:
    """A new project. Conflict if its name or repository is one already, or none has room."""
    settings, place = _read(body.settings), parse_address(body.source)
    pull_rules(settings)
    if "{project}" not in control.settings.domain and await control.store.projects.all():
        raise Conflict(
            f"All previews share the domain {control.settings.domain}, which has one project.",
            "Put {project} into PREVIEWDROP_DOMAIN to serve several.",
        )
    if body.name is None:
        name = project_name(_last_part(place.text))
        add = control.store.projects.add_named_after
    else:
        name, add = check_project_name(body.name), control.store.projects.add
    return await add(name, place.text, settings, place.login)


@router.get("/{project}")
async def show_project(project: str, control: ControlDep) -> ProjectView:
    return project_view(await control.store.projects.named(project), await _count(project, control))


@router.patch("/{project}")
async def change_project(project: str, body: ProjectPatch, control: ControlDep) -> ProjectView:
    """Sets settings. They hold from each preview's next deployment on; `github.…` hold at once.

    A `source` comes with its user name and password, or takes those of before away.
    """
    place = parse_address(body.source) if body.source else None
    source, login = (place.text, place.login) if place else (None, None)
    settings = _read(body.settings)
    pull_rules({**(await control.store.projects.named(project)).settings, **settings})
    changed = await control.store.projects.change(project, settings, source, login)
    if any(key.startswith(PREFIX) for key in settings):
        control.resync()
    for preview_id in await control.store.previews.waiting(changed.id):
        await control.operations.changed(preview_id)
    return project_view(changed, await _count(project, control))


@router.delete("/{project}", status_code=HTTPStatus.ACCEPTED)
async def remove_project(project: str, control: ControlDep) -> ProjectView:
    """Removes a project: its previews first, then its settings and variables."""
    row = await control.store.projects.named(project)
    shown = project_view(row, await _count(project, control))
    for preview_id in await control.store.projects.forget(project):
        await control.operations.changed(preview_id)
    await control.store.projects.drop_forgotten()
    if row.forge_id is not None:
        control.resync()
    return shown


async def _count(project: str, control: ControlDep) -> int:
    return len(await control.store.previews.all(project))


def _read(settings: Mapping[str, object]) -> dict[str, object]:
    """The settings, texts turned into what their key holds; BadConfig for what cannot be."""
    return {key: _setting(key, value) for key, value in settings.items()}


def _setting(key: str, value: object) -> object:
    if key == MAX_PREVIEWS:
        if value is not None and not str(value).isdecimal():
            raise BadConfig(f"{MAX_PREVIEWS} must be a whole number from 1 on.")
        return None if value is None else max(1, int(str(value)))
    if key.startswith(PREFIX):
        return rule(key, value)
    if isinstance(value, str):
        return setting(key, value)
    merge(ProjectConfig(), {key: value})
    return value


def _last_part(source: str) -> str:
    """The repository's own name: `shop` for `git@example.com:team/shop.git` and `/srv/shop/`."""
    return re.split(r"[/:]", source.rstrip("/"))[-1]
