"""`list`, `status`, `down` and `open`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from previewdrop.cli import browser, client, screen, tables
from previewdrop.cli.client import Api, preview_path
from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.follow import Outcome, follow
from previewdrop.cli.options import Json, Name, print_json
from previewdrop.cli.target import the_preview
from previewdrop.cli.views import LogEntry, Preview

commands = typer.Typer(rich_markup_mode=None)


@commands.command("list")
def list_(
    project: Annotated[
        str | None,
        typer.Option("--project", "-P", metavar="P", help="Only the previews of this project."),
    ] = None,
    json: Json = False,
) -> None:
    """List the previews.

    \b
    Examples:
      previewdrop list
      previewdrop list --project shop --json
    """
    previews: list[Preview] = client.connect().get("/api/v1/previews", project=project)
    if json:
        print_json(previews)
    elif previews:
        screen.show(screen.console(), tables.previews_table(previews, datetime.now(UTC)))
    else:
        typer.echo("There are no previews. Deploy a branch with `previewdrop up`.")


@commands.command("status")
def status(name: Name = None, json: Json = False) -> None:
    """Show one preview in full, with the timings of its stages.

    \b
    Examples:
      previewdrop status
      previewdrop status shop/pr-42 --json
    """
    preview = the_preview(client.connect(), name)
    if json:
        print_json(preview)
    else:
        screen.show(screen.console(), tables.preview_in_full(preview, datetime.now(UTC)))


@commands.command("down")
def down(
    name: Name = None,
    all_: Annotated[bool, typer.Option("--all", help="Every preview of every project.")] = False,
    json: Json = False,
) -> None:
    """Remove previews and everything of theirs.

    Process, databases, URL and logs go; the project with its settings and variables stays.
    Returns when nothing of them is left.

    \b
    Examples:
      previewdrop down
      previewdrop down shop/pr-42
      previewdrop down --all
    """
    if all_ and name is not None:
        raise WrongUsage("Give a NAME or --all, not both.")
    api = client.connect()
    terminal = screen.console(stderr=json)
    previews: list[Preview] = api.get("/api/v1/previews") if all_ else [the_preview(api, name)]
    began = time.monotonic()
    for preview in previews:
        api.delete(preview_path(preview["name"]))
    gone = [_removed(api, preview, terminal, began) for preview in previews]
    if json:
        print_json(gone if all_ else gone[0])
    elif not previews:
        typer.echo("There are no previews.")


@commands.command("open")
def open_(
    name: Name = None,
    docs: Annotated[bool, typer.Option("--docs", help="Its Swagger UI instead.")] = False,
) -> None:
    """Open a preview in the browser.

    Prints the URL too, for the machine that has no browser.

    \b
    Examples:
      previewdrop open
      previewdrop open shop/pr-42 --docs
    """
    preview = the_preview(client.connect(), name)
    url = preview["docs_url"] if docs else preview["url"]
    typer.echo(url)
    browser.show(url)


class _Removal:
    """Shows what keeps a removal, and nothing else."""

    def __init__(self, name: str, tell: Console) -> None:
        self._name = name
        self._tell = tell
        self._told: str | None = None

    def preview(self, preview: Preview) -> None:
        """The end alone is shown."""

    def log(self, entry: LogEntry) -> None:
        """The end alone is shown."""

    def trouble(self, text: str | None) -> None:
        if text and text != self._told:
            screen.show(self._tell, [Text(f"! {text} Trying again.")])
        self._told = text


def _removed(api: Api, preview: Preview, terminal: Console, began: float) -> Preview:
    name = preview["name"]
    with screen.spinner(terminal, f"Removing {name}." if terminal.is_terminal else None):
        _, last = follow(
            api,
            name,
            lambda each: Outcome.REMOVED if each["state"] == "removed" else None,
            _Removal(name, terminal),
        )
    seconds = f"{time.monotonic() - began:.1f} s"
    line = Text.assemble(("✓ ", "green"), f"{name} removed   ", (seconds, "dim"))
    screen.show(terminal, [line])
    return {**(last or preview), "state": "removed"}
