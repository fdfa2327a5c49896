"""`env list|set|unset|import|export`: the variables and secrets of a project."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from previewdrop.cli import client, screen, tables
from previewdrop.cli.client import Api, project_path
from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.names import named
from previewdrop.cli.options import Json, print_json
from previewdrop.cli.options import Project as ProjectOption
from previewdrop.cli.target import the_project
from previewdrop.cli.views import Variable
from previewdrop.domain.errors import BadInput

commands = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

Branch = Annotated[
    str | None,
    typer.Option("--branch", "-b", metavar="GLOB", help="Only previews of branches like this."),
]
Preview = Annotated[
    str | None, typer.Option("--preview", metavar="NAME", help="Only this preview.")
]
SecretFlag = Annotated[
    bool, typer.Option("--secret", "-s", help="Stored encrypted and never shown again.")
]


@commands.command("list")
def list_(project: ProjectOption = None, json: Json = False) -> None:
    """List the variables of a project; secrets without their values.

    \b
    Example:
      previewdrop env list --project shop
    """
    api = client.connect()
    name = the_project(api, project)["name"]
    variables: list[Variable] = api.get(project_path(name, "variables"))
    if json:
        print_json(variables)
    elif variables:
        screen.show(screen.console(), tables.variables_table(variables))
    else:
        typer.echo(f"{name} has no variables. Set one with `previewdrop env set NAME=VALUE`.")


@commands.command("set")
def set_(
    assignments: Annotated[list[str], typer.Argument(metavar="NAME=VALUE")],
    secret: SecretFlag = False,
    branch: Branch = None,
    preview: Preview = None,
    project: ProjectOption = None,
    json: Json = False,
) -> None:
    """Set variables of a project. They count from the next deployment on.

    Without a value, or with `-`, the value is read from standard input, or asked for and not
    shown, so that a secret does not stay in the shell's history.

    \b
    Examples:
      previewdrop env set LOG_LEVEL=debug FEATURE_X=on
      previewdrop env set STRIPE_KEY --secret
      pass stripe | previewdrop env set STRIPE_KEY --secret
      previewdrop env set DEBUG=1 --branch 'feature/*'
    """
    _one_scope(branch, preview)
    pairs = values(assignments)
    api = client.connect()
    name = the_project(api, project)["name"]
    scope = _scope(api, name, branch, preview)
    done: list[Variable] = [
        api.put(project_path(name, "variables", key), {"value": value, "secret": secret, **scope})
        for key, value in pairs
    ]
    if json:
        print_json(done)
    else:
        typer.echo(f"Set {_names(done)} for {_whom(name, scope)}.")


@commands.command("unset")
def unset(
    names: Annotated[list[str], typer.Argument(metavar="NAME")],
    branch: Branch = None,
    preview: Preview = None,
    project: ProjectOption = None,
) -> None:
    """Take variables of a project back.

    \b
    Examples:
      previewdrop env unset LOG_LEVEL
      previewdrop env unset DEBUG --branch 'feature/*'
    """
    _one_scope(branch, preview)
    api = client.connect()
    name = the_project(api, project)["name"]
    scope = _scope(api, name, branch, preview)
    for each in names:
        api.delete(project_path(name, "variables", each), **scope)
    typer.echo(f"Took back {', '.join(names)} of {_whom(name, scope)}.")


@commands.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An env file; `-` is stdin.")],
    secret: SecretFlag = False,
    branch: Branch = None,
    preview: Preview = None,
    project: ProjectOption = None,
    json: Json = False,
) -> None:
    """Set every variable of an env file.

    \b
    Examples:
      previewdrop env import .env.staging --secret
      previewdrop env import - --project shop < .env
    """
    _one_scope(branch, preview)
    text = _read(file)
    api = client.connect()
    name = the_project(api, project)["name"]
    scope = _scope(api, name, branch, preview)
    body = {"text": text, "secret": secret, **scope}
    done: list[Variable] = api.post(project_path(name, "variables", "import"), body)
    if json:
        print_json(done)
    else:
        typer.echo(f"Set {_names(done)} for {_whom(name, scope)}." if done else "Nothing to set.")


@commands.command("export")
def export(project: ProjectOption = None, json: Json = False) -> None:
    """Print the variables of a project as an env file; secrets as comments without values.

    \b
    Example:
      previewdrop env export --project shop > shop.env
    """
    api = client.connect()
    name = the_project(api, project)["name"]
    document: dict[str, str] = api.get(project_path(name, "variables", "export"))
    if json:
        print_json(document)
    else:
        sys.stdout.write(document["text"])


def values(assignments: list[str]) -> list[tuple[str, str]]:
    """Names and values; what has no value is asked for. WrongUsage if stdin had to serve two."""
    pairs = [each.partition("=") for each in assignments]
    asked = [name for name, equals, value in pairs if not equals or value == "-"]
    if len(asked) > 1 and not sys.stdin.isatty():
        raise WrongUsage(
            f"Standard input holds one value, not {len(asked)}.", "Set them one by one."
        )
    return [(name, _ask(name) if name in asked else value) for name, _, value in pairs]


def _ask(name: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"{name}: ")
    value = sys.stdin.read()
    return value.removesuffix("\n").removesuffix("\r")


def _read(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8 text.") from error
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.") from error


def _one_scope(branch: str | None, preview: str | None) -> None:
    if branch is not None and preview is not None:
        raise WrongUsage("Give --branch or --preview, not both.")


def _scope(api: Api, project: str, branch: str | None, preview: str | None) -> dict[str, Any]:
    if preview is not None:
        found = named(preview, api.get("/api/v1/previews", project=project))
        preview = found["name"].partition("/")[2]
    return {"branch": branch, "preview": preview}


def _names(variables: list[Variable]) -> str:
    return ", ".join(variable["name"] for variable in variables)


def _whom(project: str, scope: dict[str, Any]) -> str:
    if scope["preview"]:
        return f"{project}/{scope['preview']}"
    return f"branches like {scope['branch']} of {project}" if scope["branch"] else project
