"""Webhooks of repositories as GitHub shows them, without their secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from github_standin.clock import iso
from github_standin.payloads.real import Json

if TYPE_CHECKING:
    from github_standin.hooks import Hook
    from github_standin.repository import Repository

HIDDEN = "********"


def hook(repository: Repository, hook: Hook) -> Json:
    url = f"{repository.api}/hooks/{hook.id}"
    config = {
        "content_type": hook.content_type,
        "insecure_ssl": hook.insecure_ssl,
        "url": hook.url,
    }
    if hook.secret is not None:
        config["secret"] = HIDDEN
    return {
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": list(hook.events),
        "config": config,
        "updated_at": iso(hook.updated_at),
        "created_at": iso(hook.created_at),
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": {"code": None, "status": "unused", "message": None},
    }
