"""Connecting GitHub from a terminal: the token, the page, the waiting, and what comes next."""

from __future__ import annotations

import getpass
import sys
import time

from rich.text import Text

from previewdrop.cli import browser, screen
from previewdrop.cli.client import Api
from previewdrop.cli.errors import WrongUsage
from previewdrop.cli.printable import plain
from previewdrop.cli.views import Connected, GitHubAttempt
from previewdrop.domain.errors import BadInput, NotFound

_PAUSE = 1.0


def token_of(given: str) -> str:
    """The token, which is never said on the command line, where everybody may read it."""
    if given != "-":
        raise WrongUsage(
            "A token does not belong on the command line.",
            "Write `--token -` and give it on standard input, or when asked.",
        )
    token = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.read()
    if not token.strip():
        raise BadInput("There is no token on standard input.")
    return token.strip()


def ended(api: Api, attempt: GitHubAttempt, *, quiet: bool) -> Connected:
    """The connection, once GitHub has registered the App in the browser; BadInput if it refuses."""
    terminal = screen.console(stderr=quiet)
    screen.show(terminal, [Text("Open this page in a browser:"), Text(f"  {attempt['url']}")])
    if attempt["url"]:
        browser.show(attempt["url"])
    with screen.spinner(terminal, "Waiting for GitHub to register the App."):
        while True:
            now: GitHubAttempt = api.get(f"/api/v1/github/attempts/{attempt['id']}")
            if now["connection"]:
                return now["connection"]
            if now["state"] == "failed":
                raise BadInput(now["error"] or "GitHub did not register the App.")
            if now["state"] != "waiting":
                raise NotFound("The connection was removed meanwhile.")
            time.sleep(_PAUSE)


def next_steps(connection: Connected) -> list[Text]:
    """What is connected now, and what is left to do."""
    name = plain(connection["slug"] or "the token")
    whose = "as the App" if connection["kind"] == "app" else "with the token of"
    lines = [
        Text.assemble(("✓ ", "green"), f"{connection['url']} is connected {whose} {name}."),
        Text(),
    ]
    if connection["install_url"]:
        lines += [Text("Choose the repositories that it may see:")]
        lines += [Text(f"  {connection['install_url']}")]
    lines += [Text("Then add those whose pull requests get previews:")]
    lines += [Text("  previewdrop github add OWNER/NAME")]
    if not connection["webhooks"]:
        lines += [
            Text(),
            Text.assemble(
                ("! ", "yellow"),
                "GitHub was told no address of this server, so PreviewDrop looks for changes every "
                "five minutes. To be told at once, connect with --address.",
            ),
        ]
    return lines
