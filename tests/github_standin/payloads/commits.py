"""Commits, statuses and check runs as GitHub shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from github_standin.clock import iso
from github_standin.commit_objects import Change, Person
from github_standin.commits import Status, combined
from github_standin.payloads.accounts import account
from github_standin.payloads.real import Json, node_id
from github_standin.payloads.repositories import told_repository

if TYPE_CHECKING:
    from github_standin.repository import Repository

_WORDS = {"A": "added", "M": "modified", "D": "removed", "T": "changed"}


def commit(repository: Repository, sha: str) -> Json:
    """With its files, but not their patches."""
    found = repository.git.read(sha)
    changes = found.changes
    api = f"{repository.api}/commits/{sha}"
    plus, minus = sum(each.additions for each in changes), sum(each.deletions for each in changes)
    return {
        "url": api,
        "sha": sha,
        "node_id": node_id("Commit", repository.id) + sha,
        "html_url": f"{repository.web}/commit/{sha}",
        "comments_url": f"{api}/comments",
        "commit": {
            "url": f"{repository.api}/git/commits/{sha}",
            "author": _person(found.author),
            "committer": _person(found.committer),
            "message": found.message,
            "tree": {"sha": found.tree, "url": f"{repository.api}/git/trees/{found.tree}"},
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        },
        "author": _account_of(repository, found.author),
        "committer": _account_of(repository, found.committer),
        "parents": [
            {
                "sha": each,
                "url": f"{repository.api}/commits/{each}",
                "html_url": f"{repository.web}/commit/{each}",
            }
            for each in found.parents
        ],
        "stats": {"total": plus + minus, "additions": plus, "deletions": minus},
        "files": [changed_file(repository, sha, each) for each in changes],
    }


def changed_file(repository: Repository, sha: str, change: Change) -> Json:
    return {
        "sha": change.blob,
        "filename": change.path,
        "status": _WORDS[change.status],
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{repository.web}/blob/{sha}/{change.path}",
        "raw_url": f"{repository.web}/raw/{sha}/{change.path}",
        "contents_url": f"{repository.api}/contents/{change.path}?ref={sha}",
    }


def pushed_commit(repository: Repository, sha: str) -> Json:
    """As a push tells of it."""
    found = repository.git.read(sha)
    changes = found.changes
    return {
        "id": sha,
        "tree_id": found.tree,
        "distinct": True,
        "message": found.message,
        "timestamp": found.committer.date,
        "url": f"{repository.web}/commit/{sha}",
        "author": {"name": found.author.name, "email": found.author.email},
        "committer": {"name": found.committer.name, "email": found.committer.email},
        "added": [each.path for each in changes if each.status == "A"],
        "removed": [each.path for each in changes if each.status == "D"],
        "modified": [each.path for each in changes if each.status in "MT"],
    }


def status(status: Status) -> Json:
    return _bare_status(status) | {"creator": account(status.by)}


def combined_status(repository: Repository, sha: str, statuses: list[Status]) -> Json:
    api = f"{repository.api}/commits/{sha}"
    return {
        "state": combined(statuses),
        "statuses": [_bare_status(each) for each in statuses],
        "sha": sha,
        "total_count": len(statuses),
        "repository": told_repository(repository),
        "commit_url": api,
        "url": f"{api}/status",
    }


def check_run(run: Json) -> Json:
    return run


def _bare_status(status: Status) -> Json:
    repository = status.repository
    return {
        "url": f"{repository.api}/statuses/{status.sha}",
        "avatar_url": account(status.by)["avatar_url"],
        "id": status.id,
        "node_id": node_id("StatusContext", status.id),
        "state": status.state,
        "description": status.description,
        "target_url": status.target_url,
        "context": status.context,
        "created_at": iso(status.created_at),
        "updated_at": iso(status.created_at),
    }


def _person(person: Person) -> dict[str, Any]:
    return {"name": person.name, "email": person.email, "date": person.date}


def _account_of(repository: Repository, person: Person) -> Json | None:
    found = repository.github.accounts.get(person.name)
    return None if found is None else account(found)
