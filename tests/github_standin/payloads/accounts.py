"""Accounts as GitHub shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from github_standin.payloads.real import (
    Json,
    addressed,
    node_id,
    organization_template,
    user_template,
)

if TYPE_CHECKING:
    from github_standin.accounts import Account


def account(account: Account) -> Json:
    """A person, an organization or a bot, as the author of something."""
    github, template = account.github, user_template()
    made = addressed(
        template,
        ("https://api.github.com", github.api),
        (template["avatar_url"], f"{github.web}/avatars/u/{account.id}?v=4"),
        ("https://github.com", github.web),
        (template["login"], quote(account.login)),
    )
    return made | {
        "login": account.login,
        "id": account.id,
        "node_id": node_id(account.kind, account.id),
        "type": account.kind.value,
        "site_admin": False,
    }


def organization(account: Account) -> Json:
    """An organization, as webhooks name it."""
    github, template = account.github, organization_template()
    made = addressed(
        template,
        (template["avatar_url"], f"{github.web}/avatars/u/{account.id}?v=4"),
        ("https://api.github.com", github.api),
        (template["login"], quote(account.login)),
    )
    return made | {
        "login": account.login,
        "id": account.id,
        "node_id": node_id(account.kind, account.id),
        "description": "",
    }
