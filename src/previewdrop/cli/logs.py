"""`logs` and `exec`: what a preview prints, streamed."""

from __future__ import annotations

import json as jsonlib
import sys
from typing import Annotated

import typer

from previewdrop.cli import client
from previewdrop.cli.client import Api, preview_path, problem_error
from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.options import Json, Name, print_json
from previewdrop.cli.printable import coloured, plain
from previewdrop.cli.target import the_preview
from previewdrop.cli.views import LogEntry
from previewdrop.domain.errors import Unavailable

commands = typer.Typer(rich_markup_mode=None)


@commands.command("logs")
def logs(
    name: Name = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    build: Annotated[
        bool, typer.Option("--build", help="The log of the deployment, not of the application.")
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option("--lines", "-l", metavar="N", min=0, help="Only the last N lines."),
    ] = None,
    deployment: Annotated[
        int | None,
        typer.Option(
            "--deployment", metavar="ID", min=1, help="An earlier one's. Else: the latest."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print what a preview or its build has logged.

    Each line is preceded by the stage or process that wrote it. With --follow, --json prints one
    object a line.

    \b
    Examples:
      previewdrop logs
      previewdrop logs shop/pr-42 --follow
      previewdrop logs shop/pr-42 --build --lines 50
    """
    if follow and (lines is not None or deployment is not None):
        raise WrongUsage("--lines and --deployment cannot be used with --follow.")
    api = client.connect()
    name = the_preview(api, name)["name"]
    query = {"build": "true" if build else None}
    if follow:
        _follow(api, preview_path(name, "logs", "stream"), query, json=json)
        return
    query["deployment"] = str(deployment) if deployment is not None else None
    entries: list[LogEntry] = api.get(preview_path(name, "logs"), **query)
    entries = entries[len(entries) - min(lines, len(entries)) :] if lines is not None else entries
    if json:
        print_json(entries)
        return
    if not entries:
        sys.stderr.write("Nothing has been logged yet.\n")
    for entry in entries:
        typer.echo(log_line(entry))


@commands.command("exec", context_settings={"allow_interspersed_args": False})
def exec_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="PROJECT/SLUG, or a slug or branch.")],
    command: Annotated[
        list[str], typer.Argument(metavar="CMD", help="The command and its arguments.")
    ],
) -> int:
    """Run a command inside a preview, with its environment.

    What it prints is shown as it comes, and its exit code is this command's. It gets no input;
    for the databases there are `psql` and `redis-cli`.

    \b
    Examples:
      previewdrop exec shop/pr-42 -- alembic current
      previewdrop exec pr-42 -- sh -c 'echo $DATABASE_URL'
    """
    argv = without_separator(command)
    if not argv:
        raise WrongUsage("Say which command: previewdrop exec NAME -- CMD…")
    api = client.connect()
    preview = the_preview(api, name)
    path = preview_path(preview["name"], "exec")
    with api.events(path, method="POST", body={"command": argv}) as events:
        for event in events:
            if event.kind == "line":
                typer.echo(coloured(event.data["line"]))
            elif event.kind == "exit":
                return int(event.data["code"])
            elif event.kind == "error":
                raise problem_error(event.data)
    raise Unavailable("The server went away before the command ended.", "Look with `status`.")


def _follow(api: Api, path: str, query: dict[str, str | None], *, json: bool) -> None:
    with api.events(path, query=query) as events:
        for event in events:
            if event.kind == "end":
                return
            if event.kind == "log":
                typer.echo(jsonlib.dumps(event.data) if json else log_line(event.data))
    raise Unavailable("The server ended the log.", "Follow it again.")


def log_line(entry: LogEntry) -> str:
    """`web | GET /health 200`."""
    return f"{plain(entry['source'])} | {coloured(entry['line'])}"


def without_separator(command: list[str]) -> list[str]:
    """The command without the `--` in front of it."""
    return list(command[1:] if command[:1] == ["--"] else command)
