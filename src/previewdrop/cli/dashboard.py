"""`dashboard`."""

from __future__ import annotations

import typer

from previewdrop.cli import browser, client
from previewdrop.cli.options import Json, print_json

commands = typer.Typer(rich_markup_mode=None)


@commands.command("dashboard")
def dashboard(json: Json = False) -> None:
    """Open the dashboard in the browser, signed in.

    The address signs one browser in for a week; it is good once, for ten minutes. It is printed
    too, for the machine that has no browser.

    \b
    Examples:
      previewdrop dashboard
      ssh -t -L 7780:127.0.0.1:7780 server previewdrop dashboard
    """
    signed = client.connect().post("/api/v1/sign-ins")
    if json:
        print_json(signed)
        return
    typer.echo(signed["url"])
    browser.show(signed["url"])
