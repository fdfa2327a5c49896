"""What a command is about: the preview or project that was named, or the current folder's."""

from __future__ import annotations

from previewdrop.cli.client import Api, project_path
from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.names import here, named
from previewdrop.cli.repository import read_repository
from previewdrop.cli.views import Preview, Project
from previewdrop.domain.errors import BadSource


def the_preview(api: Api, name: str | None) -> Preview:
    """The preview that `name` means; without a name that of the current folder's branch."""
    previews: list[Preview] = api.get("/api/v1/previews")
    if name is not None:
        return named(name, previews)
    try:
        repository = read_repository(".")
    except BadSource as error:
        raise WrongUsage("Say which preview: this folder is not a Git repository.") from error
    return here(repository, api.get("/api/v1/projects", source=repository.source), previews)


def the_project(api: Api, name: str | None) -> Project:
    """The project called `name`; without a name the one of the current folder's repository."""
    if name is not None:
        project: Project = api.get(project_path(name))
        return project
    try:
        repository = read_repository(".")
    except BadSource as error:
        raise WrongUsage("Say which project with --project.", "This is no repository.") from error
    projects: list[Project] = api.get("/api/v1/projects", source=repository.source)
    if len(projects) == 1:
        return projects[0]
    if not projects:
        raise WrongUsage(
            f"{repository.source} is not a project yet.",
            "Deploy it with `previewdrop up`, add it with `previewdrop project add`, or say "
            "which project with --project.",
        )
    names = ", ".join(each["name"] for each in projects)
    raise WrongUsage(f"{repository.source} is several projects.", f"Use --project: {names}.")
