"""Pull requests and labels as GitHub shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from github_standin.clock import iso
from github_standin.payloads.accounts import account
from github_standin.payloads.real import Json, node_id
from github_standin.payloads.repositories import told_repository

if TYPE_CHECKING:
    from github_standin.accounts import Account
    from github_standin.pull import Label, Labelling, Pull
    from github_standin.repository import Repository


def simple_pull(pull: Pull) -> Json:
    """As an item of a list."""
    repository, number = pull.repository, pull.number
    api = f"{repository.api}/pulls/{number}"
    issue = f"{repository.api}/issues/{number}"
    web = f"{repository.web}/pull/{number}"
    statuses = f"{repository.api}/statuses/{pull.head}"
    links = {
        "self": api,
        "html": web,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{api}/comments",
        "review_comment": f"{repository.api}/pulls/comments{{/number}}",
        "commits": f"{api}/commits",
        "statuses": statuses,
    }
    return {
        "url": api,
        "id": pull.id,
        "node_id": node_id("PullRequest", pull.id),
        "html_url": web,
        "diff_url": f"{web}.diff",
        "patch_url": f"{web}.patch",
        "issue_url": issue,
        "number": number,
        "state": "open" if pull.open else "closed",
        "locked": False,
        "title": pull.title,
        "user": account(pull.author),
        "body": pull.body,
        "created_at": iso(pull.created_at),
        "updated_at": iso(pull.updated_at),
        "closed_at": iso(pull.closed_at),
        "merged_at": iso(pull.closed_at) if pull.merged else None,
        "merge_commit_sha": pull.merge_commit,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [label(repository, each) for each in pull.labels],
        "milestone": None,
        "draft": pull.draft,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": statuses,
        "head": _side(pull.source, pull.branch, pull.head, pull.author),
        "base": _side(repository, pull.base, pull.base_commit, repository.owner),
        "_links": {name: {"href": link} for name, link in links.items()},
        "author_association": association(repository, pull.author),
        "auto_merge": None,
        "active_lock_reason": None,
    }


def pull(pull: Pull, *, mergeable: bool | None = None) -> Json:
    """As the answer to a question for it. `mergeable` is None while GitHub has not tried yet."""
    plus, minus, files, commits = pull.size
    tried = {None: "unknown", True: "clean", False: "dirty"}
    return simple_pull(pull) | {
        "merged": pull.merged,
        "mergeable": mergeable,
        "rebaseable": mergeable,
        "mergeable_state": "draft" if pull.draft and mergeable else tried[mergeable],
        "merged_by": None if pull.merged_by is None else account(pull.merged_by),
        "comments": len(pull.comments),
        "review_comments": 0,
        "maintainer_can_modify": pull.fork and pull.source is not None,
        "commits": commits,
        "additions": plus,
        "deletions": minus,
        "changed_files": files,
    }


def label(repository: Repository, label: Label) -> Json:
    return {
        "id": label.id,
        "node_id": node_id("Label", label.id),
        "url": f"{repository.api}/labels/{label.name}",
        "name": label.name,
        "color": label.color,
        "default": False,
        "description": "",
    }


def labelling(repository: Repository, event: Labelling) -> Json:
    return {
        "id": event.id,
        "node_id": node_id("LabeledEvent", event.id),
        "url": f"{repository.api}/issues/events/{event.id}",
        "actor": account(event.by),
        "event": "labeled" if event.there else "unlabeled",
        "commit_id": None,
        "commit_url": None,
        "created_at": iso(event.at),
        "performed_via_github_app": None,
        "label": {"name": event.label.name, "color": event.label.color},
    }


def association(repository: Repository, who: Account) -> str:
    """What somebody is to a repository."""
    if who is repository.owner:
        return "OWNER"
    return "COLLABORATOR" if repository.people.get(who.login, "none") != "none" else "NONE"


def _side(repository: Repository | None, ref: str, sha: str, author: Account) -> Json:
    """The head or the base. The head of a deleted fork has no repository and `unknown` label."""
    owner = author if repository is None else repository.owner
    return {
        "label": f"{owner.login}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": account(owner),
        "repo": None if repository is None else told_repository(repository),
    }
