"""`serve` and `shutdown`."""

from __future__ import annotations

from typing import Annotated

import typer

from previewdrop.cli import address
from previewdrop.domain.errors import Unavailable

commands = typer.Typer(rich_markup_mode=None)


@commands.command("serve")
def serve() -> None:
    """Run the control plane in the foreground.

    With it run its HTTPS edge and, unless settings name yours, PostgreSQL and Valkey. Ctrl-C
    stops all of it; the data is kept.

    \b
    Examples:
      previewdrop serve
      PREVIEWDROP_PORT=8080 PREVIEWDROP_DOMAIN=preview.example.com previewdrop serve
    """
    from previewdrop import bootstrap
    from previewdrop.config.settings import load_settings

    bootstrap.serve(load_settings())


@commands.command("shutdown")
def shutdown(
    keep_previews: Annotated[
        bool,
        typer.Option("--keep-previews", help="Previews go on, and the next server adopts them."),
    ] = False,
) -> None:
    """Stop the server; previews are stopped, data is kept.

    Returns when the server is gone. `previewdrop up` or `previewdrop serve` start it again.
    --keep-previews is for an upgrade: no request to a preview is lost meanwhile.

    \b
    Examples:
      previewdrop shutdown
      previewdrop shutdown --keep-previews
    """
    from previewdrop.cli import client, launch, screen

    home = address.home()
    # Read before it is asked: the server takes its record away as the first thing.
    where = address.find_address(home)
    pid = address.recorded_pid(home) if where and where.local else None
    api = client.connect()
    terminal = screen.console()
    try:
        api.post("/api/v1/shutdown", keep_previews="true" if keep_previews else None)
    except Unavailable:
        typer.echo("No PreviewDrop server is running.")
        return
    doing = "Stopping the server." if keep_previews else "Stopping previews and services."
    with screen.spinner(terminal, doing):
        launch.wait_until_gone(api, home, pid)
    left = "Previews go on." if keep_previews else "Data is kept."
    typer.echo(f"The server has stopped. {left}")
