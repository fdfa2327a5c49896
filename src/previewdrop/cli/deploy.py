"""Following a deployment to its end; `redeploy` and `reset-db`."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.text import Text

from previewdrop.cli import client, display, screen
from previewdrop.cli.client import Api, preview_path
from previewdrop.cli.follow import Outcome, follow, outcome
from previewdrop.cli.options import Json, Name, print_json
from previewdrop.cli.target import the_preview
from previewdrop.cli.views import Preview

commands = typer.Typer(rich_markup_mode=None)


@commands.command("redeploy")
def redeploy(name: Name = None, json: Json = False) -> int:
    """Deploy a preview's newest commit again.

    The database is kept. What is live stays live until the new deployment is healthy.

    \b
    Examples:
      previewdrop redeploy
      previewdrop redeploy shop/pr-42
    """
    return _again(name, "redeploy", json=json)


@commands.command("reset-db")
def reset_db(name: Name = None, json: Json = False) -> int:
    """Recreate a preview's database and deploy again.

    What the database holds is lost; migrations and seed data run on an empty one.

    \b
    Examples:
      previewdrop reset-db
      previewdrop reset-db shop/pr-42
    """
    return _again(name, "reset-db", json=json)


def deploy(api: Api, preview: Preview, terminal: Console, *, json: bool) -> int:
    """Shows the deployment that was just asked for until it has ended; the exit code.

    With `json` the preview is all that is written to standard output.
    """
    generation = preview["generation"]
    if outcome(preview, generation) is Outcome.READY:
        if json:
            print_json(preview)
        else:
            screen.show(terminal, [_already(preview)])
        return 0
    try:
        with screen.progress(terminal, generation) as progress:
            end, last = follow(
                api, preview["name"], lambda each: outcome(each, generation), progress
            )
    except KeyboardInterrupt:
        screen.show(terminal, [Text(f"The deployment goes on. {_watch(preview)}")])
        return 130
    last = last or preview
    screen.show(terminal, [Text(), *ending(api, end, last)])
    if json:
        print_json(last)
    return 0 if end is Outcome.READY else 1


def ending(api: Api, end: Outcome, preview: Preview) -> list[Text]:
    """The last lines on the screen: what came of it and what to do."""
    deployment = preview["deployment"]
    if end is Outcome.READY:
        return display.ready_block(preview)
    if end is Outcome.FAILED and deployment and deployment["error"]:
        since = None
        if preview["commit"]:
            history = api.get(preview_path(preview["name"], "deployments"))
            since = display.went_live(preview, history)
        return display.failure_block(
            preview, deployment["error"], live_since=since, now=datetime.now(UTC)
        )
    sentence = {
        Outcome.WAITING: preview["waiting"] or "",
        Outcome.REMOVED: f"{preview['name']} was removed meanwhile.",
    }.get(end, f"The deployment failed. {display.full_log(preview)}")
    return [Text.assemble(("✗ ", "red"), sentence)]


def _again(name: str | None, action: str, *, json: bool) -> int:
    api = client.connect()
    preview = the_preview(api, name)
    wanted: Preview = api.post(preview_path(preview["name"], action))
    return deploy(api, wanted, screen.console(stderr=json), json=json)


def _already(preview: Preview) -> Text:
    commit = (preview["commit"] or "")[:7]
    return Text.assemble(
        ("✓ ", "green"), f"{preview['name']} is live at {commit} already: ", preview["url"]
    )


def _watch(preview: Preview) -> str:
    return f"See it with: previewdrop status {preview['name']}"
