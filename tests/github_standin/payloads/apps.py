"""Apps and installations as GitHub shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from github_standin.clock import iso
from github_standin.payloads.accounts import account
from github_standin.payloads.real import Json, node_id

if TYPE_CHECKING:
    from github_standin.apps import App, Installation
    from github_standin.repository import Repository


def app(app: App) -> Json:
    return {
        "id": app.id,
        "slug": app.slug,
        "client_id": app.client_id,
        "node_id": node_id("App", app.id),
        "owner": account(app.owner),
        "name": app.name,
        "description": app.description,
        "external_url": app.external_url,
        "html_url": f"{app.github.web}/apps/{app.slug}",
        "created_at": iso(app.created_at),
        "updated_at": iso(app.created_at),
        "permissions": app.permissions,
        "events": list(app.events),
    }


def installation(installation: Installation) -> Json:
    github, id, owner = installation.github, installation.id, installation.account
    people = "" if owner.kind == "User" else f"organizations/{owner.login}/"
    by = installation.suspended_by
    return {
        "id": id,
        "account": account(owner),
        "repository_selection": "all" if installation.repositories is None else "selected",
        "access_tokens_url": f"{github.api}/app/installations/{id}/access_tokens",
        "repositories_url": f"{github.api}/installation/repositories",
        "html_url": f"{github.web}/{people}settings/installations/{id}",
        "app_id": installation.app.id,
        "app_slug": installation.app.slug,
        "target_id": owner.id,
        "target_type": owner.kind.value,
        "permissions": installation.permissions,
        "events": list(installation.app.events),
        "created_at": iso(installation.created_at),
        "updated_at": iso(installation.updated_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_at": iso(installation.suspended_at),
        "suspended_by": None if by is None else account(by),
    }


def named(repository: Repository) -> Json:
    """A repository in an installation's lists."""
    return {
        "id": repository.id,
        "node_id": node_id("Repository", repository.id),
        "name": repository.short,
        "full_name": repository.name,
        "private": repository.private,
    }
