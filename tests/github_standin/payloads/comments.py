"""Comments, their reactions, and pull requests as the issues that they are too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from github_standin.clock import iso
from github_standin.payloads.accounts import account
from github_standin.payloads.apps import app
from github_standin.payloads.pulls import association, label
from github_standin.payloads.real import Json, node_id

if TYPE_CHECKING:
    from github_standin.comments import Comment, Reaction
    from github_standin.pull import Pull

_REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


def comment(comment: Comment) -> Json:
    repository, number = comment.repository, comment.number
    url = f"{repository.api}/issues/comments/{comment.id}"
    return {
        "url": url,
        "html_url": f"{repository.web}/pull/{number}#issuecomment-{comment.id}",
        "issue_url": f"{repository.api}/issues/{number}",
        "id": comment.id,
        "node_id": node_id("IssueComment", comment.id),
        "user": account(comment.by),
        "created_at": iso(comment.created_at),
        "updated_at": iso(comment.updated_at),
        "author_association": association(repository, comment.by),
        "body": comment.body,
        "reactions": _counted(f"{url}/reactions", comment.reactions),
        "performed_via_github_app": None if comment.app is None else app(comment.app),
    }


def reaction(reaction: Reaction) -> Json:
    return {
        "id": reaction.id,
        "node_id": node_id("Reaction", reaction.id),
        "user": account(reaction.by),
        "content": reaction.content,
        "created_at": iso(reaction.created_at),
    }


def issue(pull: Pull) -> Json:
    """The pull request as events of comments tell of it."""
    repository, number = pull.repository, pull.number
    url = f"{repository.api}/issues/{number}"
    web = f"{repository.web}/pull/{number}"
    return {
        "url": url,
        "repository_url": repository.api,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": web,
        "id": pull.id + 1_000_000,
        "node_id": node_id("Issue", pull.id),
        "number": number,
        "title": pull.title,
        "user": account(pull.author),
        "labels": [label(repository, each) for each in pull.labels],
        "state": "open" if pull.open else "closed",
        "locked": False,
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "comments": len(pull.comments),
        "created_at": iso(pull.created_at),
        "updated_at": iso(pull.updated_at),
        "closed_at": iso(pull.closed_at),
        "author_association": association(repository, pull.author),
        "active_lock_reason": None,
        "draft": pull.draft,
        "pull_request": {
            "url": f"{repository.api}/pulls/{number}",
            "html_url": web,
            "diff_url": f"{web}.diff",
            "patch_url": f"{web}.patch",
            "merged_at": iso(pull.closed_at) if pull.merged else None,
        },
        "body": pull.body,
        "reactions": _counted(f"{url}/reactions", ()),
        "timeline_url": f"{url}/timeline",
        "performed_via_github_app": None,
        "state_reason": None,
    }


def _counted(url: str, reactions: Iterable[Reaction]) -> Json:
    counts = Counter(each.content for each in reactions)
    each = {name: counts[name] for name in _REACTIONS}
    return {"url": url, "total_count": counts.total(), **each}
