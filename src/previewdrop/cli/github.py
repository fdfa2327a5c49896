"""`github connect|list|installations|disconnect|repositories|add`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from previewdrop.cli import client, screen
from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.github_connect import ended, next_steps, token_of
from previewdrop.cli.options import Json, print_json
from previewdrop.cli.printable import plain
from previewdrop.cli.tables import columns
from previewdrop.cli.views import (
    Connected,
    GitHubAttempt,
    GitHubInstallations,
    GitHubProject,
    GitHubRepositories,
)
from previewdrop.domain.errors import NotFound

commands = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

_CONNECTIONS = "/api/v1/github/connections"


@commands.command("connect")
def connect(
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="U", help="An Enterprise Server. Else: github.com."),
    ] = None,
    organization: Annotated[
        str | None,
        typer.Option("--organization", "-o", metavar="O", help="Whose App it is. Else: yours."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="A",
            help="Where GitHub reaches this server for webhooks. Else: PREVIEWDROP_PUBLIC_URL.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="-", help="A personal token, from standard input."),
    ] = None,
    json: Json = False,
) -> None:
    """Connect GitHub, by an App of your own or by a personal token.

    Prints and opens a page that has GitHub register the App, and returns when it is there. With
    `--token -` nothing is left to do in a browser; the token is read from standard input, or asked
    for and not shown.

    \b
    Examples:
      previewdrop github connect --organization acme --address https://previews.acme.com
      previewdrop github connect --url https://github.acme.com
      pass github | previewdrop github connect --token -
    """
    body: dict[str, Any] = {"url": url, "organization": organization, "address": address}
    if token is not None:
        body["token"] = token_of(token)
    api = client.connect()
    given = {name: value for name, value in body.items() if value is not None}
    attempt: GitHubAttempt = api.post(_CONNECTIONS, given)
    connection = attempt["connection"] or ended(api, attempt, quiet=json)
    if json:
        print_json(connection)
    else:
        screen.show(screen.console(), next_steps(connection))


@commands.command("list")
def list_(json: Json = False) -> None:
    """List the connections to GitHub.

    \b
    Example:
      previewdrop github list
    """
    connections: list[Connected] = client.connect().get(_CONNECTIONS)
    if json:
        print_json(connections)
    elif connections:
        rows = [
            (str(each["id"]), each["kind"], plain(each["slug"] or "–"), each["url"], _told(each))
            for each in connections
        ]
        header = ("ID", "KIND", "NAME", "GITHUB", "HEARS BY")
        screen.show(screen.console(), columns(header, rows))
    else:
        typer.echo("No GitHub is connected. `previewdrop github connect` connects it.")


@commands.command("installations")
def installations(json: Json = False) -> None:
    """List the accounts where the connected Apps are installed.

    \b
    Example:
      previewdrop github installations
    """
    told: GitHubInstallations = client.connect().get("/api/v1/github/installations")
    if json:
        print_json(told)
        return
    rows = [
        (
            plain(each["account"]),
            "suspended" if each["suspended"] else "active",
            str(each["connection"]),
            plain(each["url"]),
        )
        for each in told["installations"]
    ]
    if rows:
        header = ("ACCOUNT", "STATE", "CONNECTION", "REPOSITORIES ARE CHOSEN AT")
        screen.show(screen.console(), columns(header, rows))
    else:
        typer.echo("No App is installed. `previewdrop github list` tells what is connected.")
    _warn(told["warnings"])


@commands.command("disconnect")
def disconnect(
    id: Annotated[
        int | None, typer.Argument(metavar="ID", help="As in `github list`. Else: the only one.")
    ] = None,
    json: Json = False,
) -> None:
    """Forget a connection and its secrets.

    Its projects and previews stay; pull requests drive them no more. An App stays registered at
    GitHub until you delete it there.

    \b
    Examples:
      previewdrop github disconnect
      previewdrop github disconnect 2
    """
    api = client.connect()
    if id is None:
        id = _only(api.get(_CONNECTIONS))
    gone: Connected = api.delete(f"{_CONNECTIONS}/{id}")
    if json:
        print_json(gone)
    else:
        typer.echo(f"Disconnected {plain(gone['slug'] or gone['kind'])} at {gone['url']}.")


@commands.command("repositories")
def repositories(json: Json = False) -> None:
    """List the repositories that the connections see.

    \b
    Example:
      previewdrop github repositories
    """
    told: GitHubRepositories = client.connect().get("/api/v1/github/repositories")
    if json:
        print_json(told)
        return
    rows = [
        (
            plain(each["name"]),
            "private" if each["private"] else "public",
            ", ".join(each["projects"]) or "–",
        )
        for each in told["repositories"]
    ]
    if rows:
        screen.show(screen.console(), columns(("REPOSITORY", "ACCESS", "PROJECT"), rows))
    else:
        typer.echo("No repository is within reach. `previewdrop github list` tells of whom.")
    _warn(told["warnings"])


@commands.command("add")
def add(
    repository: Annotated[
        str, typer.Argument(metavar="REPOSITORY", help="OWNER/NAME on GitHub, or its URL.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="P", help="Else: the repository's name.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a project of a repository on GitHub; its pull requests get previews from now on.

    \b
    Examples:
      previewdrop github add acme/shop
      previewdrop github add acme/monorepo --name shop
    """
    body = {"repository": repository, "name": name}
    added: GitHubProject = client.connect().post("/api/v1/github/projects", body)
    if json:
        print_json(added)
        return
    repository = plain(added["repository"])
    if added["moved"]:
        typer.echo(f"{', '.join(added['moved'])} of {repository} moved to this connection.")
    else:
        typer.echo(
            f"{repository} is the project {added['project']['name']}. "
            "Its open pull requests get previews now."
        )
    _warn(added["warnings"])
    if not added["webhooks"]:
        typer.echo("  Until it is told, PreviewDrop looks for changes every five minutes.")


def _only(connections: list[Connected]) -> int:
    if len(connections) == 1:
        return connections[0]["id"]
    if not connections:
        raise NotFound("No GitHub is connected.")
    raise WrongUsage("There are several connections.", "Say which by its ID in `github list`.")


def _told(connection: Connected) -> str:
    return "webhooks" if connection["webhooks"] else "looking every 5 minutes"


def _warn(warnings: list[str]) -> None:
    lines = [Text.assemble(("! ", "yellow"), plain(each)) for each in warnings]
    screen.show(screen.console(stderr=True), lines)
