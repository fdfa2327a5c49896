"""GitHub Apps from a manifest: what we ask for and why, and what GitHub hands over.

https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest

A page of ours posts the manifest to `registration_address`, GitHub shows it to the person, makes
the App and sends the browser back to `redirect` with a code, which `registered` turns into the App.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from previewdrop.domain.errors import BadInput
from previewdrop.domain.secret import Secret
from previewdrop.forge.github import calls, results
from previewdrop.forge.github.answers import read
from previewdrop.forge.github.app import App
from previewdrop.forge.github.client import Client
from previewdrop.forge.github.host import Host

_LONGEST_NAME = 34
_NOWHERE = "https://example.com/"
_CODE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ORGANIZATION = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Permission:
    """`level` is `read` or `write`."""

    name: str
    level: str
    why: str


PERMISSIONS = (
    Permission("metadata", "read", "find repositories, and see who may write to them"),
    Permission("contents", "read", "clone what is previewed, and hear of pushes"),
    Permission("pull_requests", "write", "hear of pull requests, and comment on them"),
    # Comments on pull requests are written with pull_requests, but GitHub refuses a manifest with
    # the event issue_comment if it asks for no permission on issues.
    Permission(
        "issues", "read", "hear of commands such as /preview in comments, and see who set a label"
    ),
    Permission("statuses", "write", "show the preview's state at a commit"),
    Permission("deployments", "write", "offer the preview as a deployment, with its URL"),
)
"""The least that works:
https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps"""

EVENTS = ("delete", "issue_comment", "pull_request", "push", "repository")
"""What to hear of. Installations are always told, and refused if they are named here."""


@dataclass(frozen=True, slots=True)
class Registration:
    """An App as GitHub made it; `url` is its page."""

    app: App
    slug: str
    url: str

    @property
    def installation_address(self) -> str:
        """Where people choose the repositories that it may see."""
        return f"{self.url}/installations/new"


def manifest(
    name: str, *, home: str, webhook: str | None, redirect: str, setup: str
) -> dict[str, Any]:
    """The manifest, to be sent as JSON in the form field `manifest`.

    `home` is our own address for people; `redirect` gets the code, `setup` the browser of whoever
    installed the App. `webhook` is None where GitHub cannot reach us: then none are sent.
    """
    return {
        "name": name[:_LONGEST_NAME].strip(),
        "url": home,
        # The address must be there and reachable, even if nothing is ever sent to it.
        "hook_attributes": {"url": webhook or _NOWHERE, "active": webhook is not None},
        "redirect_url": redirect,
        "setup_url": setup,
        "setup_on_update": True,
        "description": "A live environment for every pull request.",
        "public": False,
        "default_permissions": {each.name: each.level for each in PERMISSIONS},
        "default_events": list(EVENTS),
    }


def registration_address(host: Host, state: str, organization: str | None = None) -> str:
    """Where the form is posted to. `state` comes back with the code, so that it can be compared.

    The App belongs to the organization, or to the person without one. BadInput for no login.
    """
    if organization is not None and not _ORGANIZATION.fullmatch(organization):
        raise BadInput("The name of a GitHub organization has letters, digits and hyphens only.")
    owner = f"/organizations/{quote(organization)}" if organization else ""
    return f"{host.web}{owner}/settings/apps/new?{urlencode({'state': state})}"


async def registered(client: Client, code: str) -> Registration:
    """The App for a code, once, within an hour. BadInput for what is no code."""
    if not _CODE.fullmatch(code):
        raise BadInput("GitHub's code for the new App is not complete.", "Connect GitHub again.")
    answer = await client.send(calls.conversion(code), None)
    told = read(results.ConversionPayload, answer.value)
    app = App(told.id, Secret(told.pem), Secret(told.webhook_secret or ""))
    return Registration(app, told.slug, told.html_url)
