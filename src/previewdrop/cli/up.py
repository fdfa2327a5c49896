"""`up`: deploy a branch, from nothing at all if need be."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from previewdrop.cli import address, client, launch, screen
from previewdrop.cli.client import Api, project_path
from previewdrop.cli.deploy import deploy
from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.options import Json, print_json
from previewdrop.cli.repository import Repository, read_repository
from previewdrop.cli.views import Preview, Project
from previewdrop.domain.errors import BadSource, Conflict, NotFound

commands = typer.Typer(rich_markup_mode=None)


@commands.command("up")
def up(
    path: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="Folder or URL of a Git repository. Else: here."),
    ] = None,
    branch: Annotated[
        str | None, typer.Option("--branch", "-b", metavar="B", help="Else: the current branch.")
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("--number", "-n", metavar="N", min=1, help="Number of the pull request."),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option("--project", "-P", metavar="P", help="Name of the project. Else: found."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the deployment to its end.")
    ] = True,
    json: Json = False,
) -> int:
    """Deploy a branch and print its URL.

    Starts the server if none answers, adds the project if it is new, deploys the newest commit of
    the branch and shows the progress. The exit code is 0 only when the preview is ready.

    \b
    Examples:
      previewdrop up
      previewdrop up ~/code/shop --branch feature/new-auth
      previewdrop up https://github.com/acme/shop --branch main --project shop
      previewdrop up --number 42 --json
    """
    terminal = screen.console(stderr=json)
    repository = None if project and path is None else read_repository(path or ".")
    api = client.connect()
    with screen.spinner(terminal) as tell:
        launch.ensure_server(api, address.home(), tell)
    found = find_project(api, repository, project)
    if repository is None and branch is None:
        repository = _checkout_of(found)
    wanted = branch or _current(repository)
    if repository and repository.uncommitted and wanted == repository.branch:
        screen.show(terminal, [_not_committed(repository.uncommitted)])
    preview: Preview = api.post(
        project_path(found["name"], "previews"), {"branch": wanted, "number": number}
    )
    if wait:
        return deploy(api, preview, terminal, json=json)
    if json:
        print_json(preview)
    else:
        screen.show(terminal, [Text(f"{preview['name']} is being deployed: {preview['url']}")])
    return 0


def find_project(api: Api, repository: Repository | None, name: str | None) -> Project:
    """The project to deploy: the one called `name`, else the repository's, added if it is new.

    `repository` may be None when `name` is that of a project that exists.
    """
    if name is not None:
        return _named(api, repository, name)
    assert repository is not None  # noqa: S101 - the caller reads one unless it has a name
    found = _of_source(api, repository)
    if not found:
        try:
            added: Project = api.post("/api/v1/projects", {"source": repository.address})
        except Conflict:
            # Another `up` may have added it since we looked; any other project keeps its name.
            found = _of_source(api, repository)
            if not found:
                raise
        else:
            return added
    if len(found) > 1:
        names = ", ".join(project["name"] for project in found)
        raise WrongUsage(f"{repository.source} is several projects.", f"Use --project: {names}.")
    return _logged_in(api, found[0], repository)


def _named(api: Api, repository: Repository | None, name: str) -> Project:
    try:
        project: Project = api.get(project_path(name))
    except NotFound:
        repository = repository or read_repository(".")
        body = {"source": repository.address, "name": name}
        added: Project = api.post("/api/v1/projects", body)
        return added
    if repository is None:
        return project
    if name not in [each["name"] for each in _of_source(api, repository)]:
        raise WrongUsage(
            f"The project {name} is {project['source']}, not {repository.source}.",
            "Give another name with --project.",
        )
    return _logged_in(api, project, repository)


def _logged_in(api: Api, project: Project, repository: Repository) -> Project:
    """The project, with the user name and password of the URL that was given, if any."""
    if repository.login is None:
        return project
    changed: Project = api.patch(project_path(project["name"]), {"source": repository.address})
    return changed


def _of_source(api: Api, repository: Repository) -> list[Project]:
    return api.get("/api/v1/projects", source=repository.source)


def _checkout_of(project: Project) -> Repository:
    try:
        repository = read_repository(".")
    except BadSource:
        repository = None
    if repository is None or repository.source != project["source"]:
        raise WrongUsage(
            f"This folder is not a checkout of {project['source']}.", "Say which branch: --branch."
        )
    return repository


def _current(repository: Repository | None) -> str:
    if repository is None or repository.branch is None:
        raise WrongUsage(
            "The repository is not on a branch (detached HEAD).", "Say which branch with --branch."
        )
    return repository.branch


def _not_committed(count: int) -> Text:
    files = "1 file is" if count == 1 else f"{count} files are"
    return Text.assemble(
        ("! ", "yellow"), f"{files} not committed and will not be part of the preview."
    )
