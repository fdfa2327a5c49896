"""`project add|list|show|set|remove`."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.text import Text

from previewdrop.cli import client, screen, tables
from previewdrop.cli.client import Api, project_path
from previewdrop.cli.options import Json, print_json
from previewdrop.cli.options import Project as ProjectOption
from previewdrop.cli.repository import is_url, read_repository, repository_at
from previewdrop.cli.settings import assignments
from previewdrop.cli.target import the_project
from previewdrop.cli.views import Project
from previewdrop.domain.errors import NotFound

commands = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

_PAUSE = 0.2


@commands.command("add")
def add(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Folder or URL of a Git repository.")
    ] = ".",
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings to begin with.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="P", help="Else: the repository's name.")
    ] = None,
    json: Json = False,
) -> None:
    """Add a project without deploying anything.

    \b
    Examples:
      previewdrop project add
      previewdrop project add https://github.com/acme/shop --name shop root=backend
    """
    where = repository_at(source) if is_url(source) else read_repository(source)
    body = {"source": where.address, "name": name, "settings": assignments(settings or [])}
    project: Project = client.connect().post("/api/v1/projects", body)
    if json:
        print_json(project)
    else:
        typer.echo(f"Added the project {project['name']}, {project['source']}.")


@commands.command("list")
def list_(json: Json = False) -> None:
    """List the projects.

    \b
    Example:
      previewdrop project list
    """
    projects: list[Project] = client.connect().get("/api/v1/projects")
    if json:
        print_json(projects)
    elif projects:
        screen.show(screen.console(), tables.projects_table(projects))
    else:
        typer.echo("There are no projects. `previewdrop up` in a repository adds it.")


@commands.command("show")
def show(
    name: Annotated[
        str | None, typer.Argument(metavar="P", help="Else: the current folder's project.")
    ] = None,
    json: Json = False,
) -> None:
    """Show a project and the settings that it has on the server.

    \b
    Examples:
      previewdrop project show
      previewdrop project show shop --json
    """
    _print(the_project(client.connect(), name), json=json)


@commands.command("set")
def set_(
    settings: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE", help="Names as in previewdrop.toml.")
    ],
    project: ProjectOption = None,
    json: Json = False,
) -> None:
    """Set up a project on the server; that wins over previewdrop.toml.

    An empty value takes a setting back; lists are written as in TOML. It counts from the next
    deployment on. `github.…` are rules for pull requests, which count at once.

    \b
    Examples:
      previewdrop project set health=/healthz port=3000
      previewdrop project set --project shop limits.memory=1GiB database.isolation=schema
      previewdrop project set 'watch=["backend/**"]' post_deploy=
      previewdrop project set -P shop github.drafts=false github.bases=main,release/*
    """
    changes = assignments(settings)
    api = client.connect()
    name = the_project(api, project)["name"]
    _print(api.patch(project_path(name), {"settings": changes}), json=json)


@commands.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="P", help="The project's name.")],
    json: Json = False,
) -> None:
    """Remove a project with its previews, settings and variables.

    The repository itself is not touched. Returns when nothing is left.

    \b
    Example:
      previewdrop project remove shop
    """
    api = client.connect()
    project: Project = api.get(project_path(name))
    terminal = screen.console(stderr=json)
    with screen.spinner(terminal, f"Removing {name}." if terminal.is_terminal else None):
        api.delete(project_path(name))
        while _exists(api, name):
            time.sleep(_PAUSE)
    if json:
        print_json(project)
    else:
        typer.echo(f"Removed the project {name}.")


def _exists(api: Api, name: str) -> bool:
    try:
        api.get(project_path(name))
    except NotFound:
        return False
    return True


def _print(project: Project, *, json: bool) -> None:
    if json:
        print_json(project)
    else:
        screen.show(screen.console(), [Text.assemble((project["name"], "bold"))])
        screen.show(screen.console(), tables.project_facts(project))
