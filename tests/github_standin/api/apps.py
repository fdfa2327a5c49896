"""What Apps ask for themselves: who they are, where they are installed, and tokens."""

from __future__ import annotations

from typing import cast

from github_standin import payloads
from github_standin.api.table import operation
from github_standin.apps import App, Installation
from github_standin.calls import Answer, Call, Refusal, not_found
from github_standin.clock import iso
from github_standin.payloads.deliveries import delivery_item
from github_standin.payloads.hooks import HIDDEN
from github_standin.tokens import InstallationToken

_RANKS = ("read", "write", "admin")


@operation("apps/create-from-manifest")
def convert(call: Call) -> Answer:
    """The code of the browser's manifest flow works once, for an hour."""
    app = call.github.manifests.redeem(call.path["code"])
    if app is None:
        raise not_found()
    secrets = {
        "client_secret": app.client_secret,
        "webhook_secret": app.webhook_secret,
        "pem": app.pem,
    }
    return Answer(201, payloads.app(app) | secrets)


@operation("apps/get-authenticated")
def own(call: Call) -> Answer:
    app = _app(call)
    return Answer(200, payloads.app(app) | {"installations_count": len(app.installations)})


@operation("apps/get-webhook-config-for-app")
def hook_config(call: Call) -> Answer:
    return Answer(200, _config(_app(call)))


@operation("apps/update-webhook-config-for-app")
def change_hook(call: Call) -> Answer:
    app = _app(call)
    app.hook_url = call.body.get("url", app.hook_url)
    app.webhook_secret = call.body.get("secret", app.webhook_secret)
    return Answer(200, _config(app))


@operation("apps/list-webhook-deliveries")
def deliveries(call: Call) -> Answer:
    found = call.github.webhooks.of(_app(call))
    size = int(call.query.get("per_page", "30"))
    return Answer(200, [delivery_item(each) for each in found[:size]])


@operation("apps/redeliver-webhook-delivery")
def redeliver(call: Call) -> Answer:
    for each in call.github.webhooks.of(_app(call)):
        if each.id == call.id("delivery_id"):
            call.github.webhooks.redeliver(each)
            return Answer(202, {})
    raise not_found()


@operation("apps/list-installations")
def installations(call: Call) -> Answer:
    return call.page(list(_app(call).installations.values()), payloads.installation)


@operation("apps/get-installation")
def one_installation(call: Call) -> Answer:
    return Answer(200, payloads.installation(_installation(call)))


@operation("apps/delete-installation")
def uninstall(call: Call) -> Answer:
    _installation(call).uninstall()
    return Answer(204)


@operation("apps/get-repo-installation")
def repository_installation(call: Call) -> Answer:
    for each in _app(call).installations.values():
        if each.sees(call.repository):
            return Answer(200, payloads.installation(each))
    raise not_found()


@operation("apps/create-installation-access-token")
def token(call: Call) -> Answer:
    installation = _installation(call)
    if installation.suspended_at is not None:
        raise Refusal(403, "This installation has been suspended")
    body = call.body or {}
    token = installation.token(_repositories(installation, body), _permissions(installation, body))
    answer = {
        "token": token.value,
        "expires_at": iso(token.expires_at),
        "permissions": token.permissions,
        "repository_selection": "all" if installation.repositories is None else "selected",
    }
    if token.repositories is not None:
        answer["repository_selection"] = "selected"
        answer["repositories"] = [
            payloads.repository(each) for each in installation.seen if each.id in token.repositories
        ]
    return Answer(201, answer)


@operation("apps/list-repos-accessible-to-installation")
def repositories(call: Call) -> Answer:
    token = call.viewer
    if not isinstance(token, InstallationToken):
        raise Refusal(
            403,
            "You must authenticate with an installation access token in order to "
            "list repositories for an installation.",
        )
    seen = [
        each
        for each in token.installation.seen
        if token.repositories is None or each.id in token.repositories
    ]
    part, headers = call.part(seen)
    shown = [payloads.repository(each) for each in part]
    return Answer(200, {"total_count": len(seen), "repositories": shown}, headers)


def _app(call: Call) -> App:
    if not isinstance(call.viewer, App):
        raise Refusal(401, "A JSON web token could not be decoded")
    return call.viewer


def _installation(call: Call) -> Installation:
    found = _app(call).installations.get(call.id("installation_id"))
    if found is None:
        raise not_found()
    return found


def _config(app: App) -> dict[str, str | None]:
    return {"content_type": "json", "insecure_ssl": "0", "secret": HIDDEN, "url": app.hook_url}


def _repositories(installation: Installation, body: dict[str, object]) -> frozenset[int] | None:
    ids = cast("list[int]", body.get("repository_ids", []))
    names = cast("list[str]", body.get("repositories", []))
    if not ids and not names:
        return None
    seen = {each.id: each.short for each in installation.seen}
    if not set(ids) <= seen.keys() or not set(names) <= set(seen.values()):
        raise Refusal(
            422,
            "There is at least one repository that does not exist or is not accessible to the "
            "parent installation.",
        )
    return frozenset(ids) | {id for id, name in seen.items() if name in names}


def _permissions(installation: Installation, body: dict[str, object]) -> dict[str, str]:
    wanted = cast("dict[str, str]", body.get("permissions", {}))
    for name, level in wanted.items():
        granted = installation.permissions.get(name)
        if granted is None or _RANKS.index(level) > _RANKS.index(granted):
            raise Refusal(422, "The permissions requested are not granted to this installation.")
    return {"metadata": "read", **wanted} if wanted else {}
