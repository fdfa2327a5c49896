"""GitHub as settings and the store have it: its clients, and the connection that needs no step."""

from __future__ import annotations

import logging
from collections.abc import Callable

from previewdrop.config.settings import Settings
from previewdrop.domain.secret import Secret
from previewdrop.forge.base import Forge
from previewdrop.forge.github.app import App
from previewdrop.forge.github.github import GitHub
from previewdrop.forge.github.host import host
from previewdrop.store.forges import Forges, StoredForge
from previewdrop.web.github.connections import keep_token, webhooks

log = logging.getLogger(__name__)


def code_hosts_of(settings: Settings) -> Callable[[StoredForge], Forge]:
    """Makes the client of a connected host. BadConfig for credentials that cannot be."""
    ours, secret = host(settings.github_url), settings.github_webhook_secret

    def code_host(stored: StoredForge) -> Forge:
        place, credentials = host(stored.url), stored.credentials
        more = [Secret(secret.get_secret_value())] if secret and place == ours else []
        if stored.app is not None:
            app = App(stored.app, credentials["key"], credentials["webhook"])
            return GitHub.by_app(place, app, *more)
        return GitHub.by_token(place, credentials["token"], *webhooks(credentials), *more)

    return code_host


async def connect_by_settings(settings: Settings, forges: Forges) -> None:
    """Keeps the token of the settings, if there is one, as a connection. Nobody is asked yet.

    BadConfig for what cannot be a token, or no address of a GitHub.
    """
    place, secret = host(settings.github_url), settings.github_webhook_secret
    webhook = Secret(secret.get_secret_value()) if secret else None
    if settings.github_token is not None:
        token = Secret(settings.github_token.get_secret_value())
        await GitHub.by_token(place, token).aclose()
        await keep_token(forges, place, token, webhook=webhook)
    elif webhook and not any(each.url == place.web for each in await forges.all()):
        log.warning(
            "PREVIEWDROP_GITHUB_WEBHOOK_SECRET is set, but %s is not connected: "
            "set PREVIEWDROP_GITHUB_TOKEN too, or run `previewdrop github connect`.",
            place.web,
        )
