"""What people do in a browser: making an App of a manifest, and installing it."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from github_standin.accounts import Account
from github_standin.calls import Answer, Refusal, not_found

if TYPE_CHECKING:
    from github_standin.github import GitHub

_NEW = re.compile(r"^(?:/organizations/(?P<organization>[^/]+))?/settings/apps/new$")
_INSTALL = re.compile(r"^/apps/(?P<slug>[^/]+)/installations/(?:new|select_target)$")


def visited(
    github: GitHub, method: str, path: str, query: dict[str, str], body: bytes
) -> Answer | None:
    """The page or the redirect of an address; None if there is no such page."""
    if match := _NEW.match(path):
        owner = github.signed_in
        if match["organization"] is not None:
            owner = github.accounts.get(match["organization"])
        if owner is None:
            raise not_found()
        form = {name: values[-1] for name, values in parse_qs(body.decode()).items()}
        manifest = form.get("manifest", query.get("manifest"))
        if manifest is None:
            return _page("Register new GitHub App")
        return _created(github, manifest, owner, query.get("state"))
    if (match := _INSTALL.match(path)) and method == "GET":
        return _installed(github, match["slug"], query.get("state"))
    return None


def _created(github: GitHub, text: str, owner: Account, state: str | None) -> Answer:
    """Back to where the manifest came from, with the code."""
    try:
        manifest = json.loads(text)
    except ValueError:
        return _page("Error: manifest is not valid JSON", 422)
    wrong = github.manifests.wrong(manifest)
    if not wrong and "redirect_url" not in manifest:
        wrong = ["redirect_url is missing"]
    if wrong:
        return _page("Invalid GitHub App configuration. " + "; ".join(wrong), 422)
    more = {"code": github.manifests.create(manifest, owner)}
    if state is not None:
        more["state"] = state
    return _redirect(manifest["redirect_url"], more)


def _installed(github: GitHub, slug: str, state: str | None) -> Answer:
    """Installs as `choice` says, and goes on to the App's setup page."""
    app = next((each for each in github.apps.values() if each.slug == slug), None)
    if app is None:
        raise not_found()
    account, repositories = github.choice or (app.owner, None)
    if not app.public and account is not app.owner:
        raise Refusal(404, "A private App can be installed at its owner's account only")
    former = next((i for i in app.installations.values() if i.account is account), None)
    installation = former or app.install(account, repositories)
    if former is not None and repositories is not None and former.repositories is not None:
        former.add(*(each for each in repositories if not former.sees(each)))
    if app.setup_url is None:
        return _page(f"Okay, {app.name} was installed on {account.login}.")
    action = "install" if former is None else "update"
    more = {"installation_id": str(installation.id), "setup_action": action}
    if state is not None:
        more["state"] = state
    return _redirect(app.setup_url, more)


def _redirect(url: str, more: dict[str, str]) -> Answer:
    join = "&" if "?" in url else "?"
    return Answer(302, None, {"Location": f"{url}{join}{urlencode(more)}"})


def _page(text: str, status: int = 200) -> Answer:
    content = f"<!doctype html><title>GitHub</title><p>{html.escape(text)}</p>"
    return Answer(status, content, {"Content-Type": "text/html; charset=utf-8"})
