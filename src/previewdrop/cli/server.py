"""`serve` and `shutdown`."""

from __future__ import annotations

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
def shutdown() -> None:
    """Stop the server; previews are stopped, data is kept.

    Returns when the server is gone. `previewdrop up` or `previewdrop serve` start it again.

    \b
    Example:
      previewdrop shutdown
    """
    from previewdrop.cli import client, launch, screen

    home = address.home()
    # Read before it is asked: the server takes its record away as the first thing.
    where = address.find_address(home)
    pid = address.recorded_pid(home) if where and where.local else None
    api = client.connect()
    terminal = screen.console()
    try:
        api.post("/api/v1/shutdown")
    except Unavailable:
        typer.echo("No PreviewDrop server is running.")
        return
    with screen.spinner(terminal, "Stopping previews and services."):
        launch.wait_until_gone(api, home, pid)
    typer.echo("The server has stopped. Data is kept.")
