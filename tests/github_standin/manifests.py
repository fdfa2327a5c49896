"""The manifest flow: an App made of a form that another site has filled in."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from github_standin.accounts import Account
from github_standin.apps import ALWAYS, App

if TYPE_CHECKING:
    from github_standin.github import GitHub

LIFETIME = timedelta(hours=1)

_LONGEST_NAME = 34
_NEEDED = re.compile(r'at least \w+-level access for the ((?:"[^"]+"(?: or )?)+)')
_NAMES = {"commit_statuses": "statuses"}
_KEYS = {
    "name": str,
    "url": str,
    "hook_attributes": dict,
    "redirect_url": str,
    "callback_urls": list,
    "setup_url": str,
    "description": str,
    "public": bool,
    "default_events": list,
    "default_permissions": dict,
    "request_oauth_on_install": bool,
    "setup_on_update": bool,
}
"""https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest"""


class Manifests:
    """Apps that were made in the browser, and the codes by which their maker fetches them."""

    def __init__(self, github: GitHub) -> None:
        self._github = github
        self._codes: dict[str, tuple[App, datetime]] = {}

    def create(self, manifest: dict[str, Any], owner: Account) -> str:
        """The App of a manifest that is right; the code."""
        github = self._github
        hook = manifest.get("hook_attributes", {})
        name = manifest.get("name") or f"app-{secrets.token_hex(4)}"
        app = github.app(
            name,
            owner=owner,
            hook_url=hook.get("url") if hook.get("active", True) else None,
            permissions=manifest.get("default_permissions", {}),
            events=manifest.get("default_events", ()),
        )
        app.external_url = manifest["url"]
        app.description = manifest.get("description")
        app.setup_url = manifest.get("setup_url")
        app.public = manifest.get("public", False)
        code = secrets.token_hex(20)
        self._codes[code] = app, github.clock.now() + LIFETIME
        app.ping()
        return code

    def redeem(self, code: str) -> App | None:
        """The App, once."""
        app, until = self._codes.pop(code, (None, self._github.clock.now()))
        return app if until > self._github.clock.now() else None

    def wrong(self, manifest: Any) -> list[str]:
        """What GitHub would say of it, nothing if it is fine."""
        if not isinstance(manifest, dict):
            return ["Error: manifest is not an object"]
        said = [f"{key} is not known" for key in manifest.keys() - _KEYS.keys()]
        for key, kind in _KEYS.items():
            if key in manifest and not isinstance(manifest[key], kind):
                said.append(f"{key} is not of type {kind.__name__}")
        if said:
            return said
        return [
            *self._wrong_addresses(manifest),
            *self._wrong_name(manifest.get("name", "")),
            *self._wrong_permissions(manifest.get("default_permissions", {})),
            *self._wrong_events(
                manifest.get("default_events", []), manifest.get("default_permissions", {})
            ),
        ]

    def _wrong_addresses(self, manifest: dict[str, Any]) -> list[str]:
        hook = manifest.get("hook_attributes")
        needed = {"url": manifest.get("url")}
        if hook is not None:
            needed["hook_attributes.url"] = hook.get("url")
        for key in ("redirect_url", "setup_url"):
            if key in manifest:
                needed[key] = manifest[key]
        said = [f"{key} is not a URL" for key, value in needed.items() if not _url(value)]
        said += [
            f"callback URL {each} is not a URL"
            for each in manifest.get("callback_urls", [])
            if not _url(each)
        ]
        return said

    def _wrong_name(self, name: str) -> list[str]:
        if len(name) > _LONGEST_NAME:
            return [f"Name is too long (maximum is {_LONGEST_NAME} characters)"]
        taken = name and any(
            each.name.lower() == name.lower() for each in self._github.apps.values()
        )
        return ["Name is already taken"] if taken else []

    def _wrong_permissions(self, permissions: dict[str, str]) -> list[str]:
        description = self._github.description
        wrong = description.differences(
            "app-permissions", description.component("app-permissions"), permissions
        )
        return [f"Default permissions: {each}" for each in wrong]

    def _wrong_events(self, events: list[str], permissions: dict[str, str]) -> list[str]:
        known = self._github.description.events
        said: list[str] = []
        for event in events:
            if event not in known or event in ALWAYS:
                said.append(f"Default events unsupported: {event}")
                continue
            needed = needed_for(known[event])
            if needed and not needed & {"metadata", *permissions}:
                names = " or ".join(sorted(needed))
                said.append(f"Default events: {event} is not supported without {names}")
        return said


def needed_for(summary: str) -> set[str]:
    """Permissions of which an event needs one, as its description says."""
    match = _NEEDED.search(summary)
    if match is None:
        return set()
    names = [each.lower().replace(" ", "_") for each in re.findall(r'"([^"]+)"', match[1])]
    return {_NAMES.get(each, each) for each in names}


def _url(value: object) -> bool:
    return isinstance(value, str) and urlsplit(value).scheme in ("http", "https")
