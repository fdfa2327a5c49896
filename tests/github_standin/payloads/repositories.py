"""Repositories as GitHub shows them: to those who ask, and to webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from github_standin.clock import iso
from github_standin.payloads.accounts import account, organization
from github_standin.payloads.real import Json, addressed, node_id, repository_template

if TYPE_CHECKING:
    from github_standin.repository import Repository

_FORMER = frozenset({"stargazers", "master_branch", "permissions", "custom_properties"})
_COUNTS = ("forks", "open_issues", "watchers")


def told_repository(repository: Repository) -> Json:
    """As a webhook tells of it."""
    github, template = repository.github, repository_template()
    host = urlsplit(github.web).netloc
    made = addressed(
        {key: value for key, value in template.items() if key not in _FORMER},
        ("https://api.github.com", github.api),
        ("https://github.com", github.web),
        (template["full_name"], repository.name),
    )
    forks = sum(each.parent is repository for each in github.repositories.values())
    pulls = sum(each.open for each in repository.pulls.values())
    return made | {
        "id": repository.id,
        "node_id": node_id("Repository", repository.id),
        "name": repository.short,
        "full_name": repository.name,
        "private": repository.private,
        "owner": account(repository.owner),
        "description": None,
        "fork": repository.parent is not None,
        "created_at": iso(repository.created_at),
        "updated_at": iso(repository.updated_at),
        "pushed_at": iso(repository.pushed_at),
        "git_url": f"git://{host}/{repository.name}.git",
        "ssh_url": f"git@{host}:{repository.name}.git",
        "clone_url": repository.url,
        "svn_url": repository.web,
        "homepage": None,
        "mirror_url": None,
        "language": "Python",
        "license": None,
        "archived": repository.archived,
        "disabled": False,
        "is_template": False,
        "allow_forking": True,
        "web_commit_signoff_required": False,
        "has_discussions": False,
        "topics": [],
        "visibility": "private" if repository.private else "public",
        "default_branch": repository.default_branch,
        **{
            key: count
            for name, count in zip(_COUNTS, (forks, pulls, 0), strict=True)
            for key in (name, f"{name}_count")
        },
        "stargazers_count": 0,
    }


def repository(repository: Repository, level: str = "read") -> Json:
    """As part of an answer to somebody whose level this is."""
    ranks = ("read", "triage", "write", "maintain", "admin")
    names = ("pull", "triage", "push", "maintain", "admin")
    granted = {
        name: level != "none" and ranks.index(level) >= place for place, name in enumerate(names)
    }
    return told_repository(repository) | {"permissions": granted}


def full_repository(one: Repository, level: str) -> Json:
    """As the answer to a question for it."""
    made = repository(one, level) | {"network_count": 0, "subscribers_count": 0}
    if one.owner.kind == "Organization":
        made["organization"] = account(one.owner)
    if one.parent is not None:
        made["parent"] = made["source"] = repository(one.parent)
    return made


def of_push(one: Repository) -> Json:
    """As a push tells of it, with times as numbers."""
    owner = {"name": one.owner.login, "email": None}
    made = told_repository(one) | {
        "created_at": int(one.created_at.timestamp()),
        "pushed_at": int(one.pushed_at.timestamp()),
        "url": one.web,
        "stargazers": 0,
        "master_branch": one.default_branch,
    }
    made["owner"] = owner | made["owner"]
    if one.owner.kind == "Organization":
        made["organization"] = one.owner.login
    return made


__all__ = ["full_repository", "of_push", "organization", "repository", "told_repository"]
