"""/api/v1/projects/{project}/variables"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from previewdrop.domain.errors import NotFound
from previewdrop.domain.secret import Secret
from previewdrop.domain.template import dump, importable
from previewdrop.domain.variables import check_variable
from previewdrop.store.tables import Project
from previewdrop.store.variables import StoredVariable
from previewdrop.web.api.depends import ControlDep
from previewdrop.web.api.schema import (
    VariableRequest,
    VariablesExport,
    VariablesImport,
    VariableView,
)
from previewdrop.web.api.views import variable_view

router = APIRouter(prefix="/api/v1/projects/{project}/variables", tags=["variables"])


@router.get("")
async def list_variables(project: str, control: ControlDep) -> list[VariableView]:
    return await _shown(await control.store.projects.named(project), control)


@router.put("/{name}")
async def set_variable(
    project: str, name: str, body: VariableRequest, control: ControlDep
) -> VariableView:
    """Sets a variable. It holds from each preview's next deployment on."""
    owner = await control.store.projects.named(project)
    check_variable(name, body.value)
    variable = StoredVariable(name, Secret(body.value), body.secret, body.branch, body.preview)
    await control.store.variables.put(owner.id, [variable])
    return variable_view(variable)


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT)
async def unset_variable(
    project: str,
    name: str,
    control: ControlDep,
    branch: str | None = None,
    preview: str | None = None,
) -> None:
    owner = await control.store.projects.named(project)
    if not await control.store.variables.remove(owner.id, name, branch, preview):
        raise NotFound(f"{project} has no such variable {name}.", "See `previewdrop env list`.")


@router.post("/import")
async def import_variables(
    project: str, body: VariablesImport, control: ControlDep
) -> list[VariableView]:
    """Sets every variable of an env file, all or none."""
    owner = await control.store.projects.named(project)
    found = [
        StoredVariable(name, Secret(value), body.secret, body.branch, body.preview)
        for name, value in importable(body.text, "the imported file", secret=body.secret).items()
    ]
    for variable in found:
        check_variable(variable.name, variable.value.reveal())
    await control.store.variables.put(owner.id, found)
    return await _shown(owner, control)


@router.get("/export")
async def export_variables(project: str, control: ControlDep) -> VariablesExport:
    """The variables as an env file, secrets without their value."""
    owner = await control.store.projects.named(project)
    lines = [_line(variable) for variable in await control.store.variables.of(owner.id)]
    return VariablesExport(text="".join(f"{line}\n" for line in lines))


async def _shown(owner: Project, control: ControlDep) -> list[VariableView]:
    return [variable_view(one) for one in await control.store.variables.of(owner.id)]


def _line(variable: StoredVariable) -> str:
    scope = variable.branch or variable.preview
    remark = f"  # only for {scope}" if scope else ""
    if variable.secret:
        return f"# {variable.name} is a secret{remark}"
    return dump({variable.name: variable.value.reveal()}).rstrip("\n") + remark
